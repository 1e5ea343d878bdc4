//! Threads, where the system provides them.
//!
//! A limit on processes or memory, or a sandbox, may make it impossible to start a thread. Everything here works
//! without one: the caller then does the work itself. Only this module starts threads.

#![allow(clippy::disallowed_methods, reason = "only this module starts threads")]

use std::cell::Cell;
use std::io;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};

thread_local! {
    static WITHOUT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `act` as if no thread could be started: the seam for tests.
pub fn without_threads<T>(act: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            WITHOUT.set(self.0);
        }
    }
    let _restore = Restore(WITHOUT.replace(true));
    act()
}

/// A builder for a new thread, unless threads are disabled for a test.
fn builder(name: &str) -> io::Result<Builder> {
    match WITHOUT.get() {
        true => Err(io::ErrorKind::WouldBlock.into()),
        false => Ok(Builder::new().name(name.to_owned())),
    }
}

/// Runs `work` on up to `threads` threads while `here` runs on the calling one, with the number of threads started.
/// Returns when all have ended and propagates their panics.
///
/// `here` must end the work when it returns or panics, and must not wait for a worker that has panicked.
pub fn beside<T>(threads: usize, work: impl Fn() + Sync, here: impl FnOnce(usize) -> T) -> T {
    std::thread::scope(|scope| {
        let work = &work;
        let spawn = || builder("tljournal-work")?.spawn_scoped(scope, work);
        let workers: Vec<_> = (0..threads).map_while(|_| spawn().ok()).collect();
        let done = here(workers.len());
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
        done
    })
}

/// Runs `work` on up to `threads` threads, including the calling one.
pub fn together(threads: usize, work: impl Fn() + Sync) {
    beside(threads.saturating_sub(1), &work, |_| work());
}

/// The value for a thread that could not be started, and the reason.
#[derive(Debug)]
pub struct NoThread<T> {
    /// The value, handed back.
    pub given: T,
    /// The system's error.
    pub source: io::Error,
}

/// Hands a value to a thread of its own, which is never joined.
///
/// # Errors
/// [`NoThread`] with the value.
pub fn detached<T: Send + 'static>(
    name: &str,
    given: T,
    work: impl FnOnce(T) + Send + 'static,
) -> Result<JoinHandle<()>, NoThread<T>> {
    let (give, taken) = sync_channel(1);
    let begin = move || {
        if let Ok(taken) = taken.recv() {
            work(taken);
        }
    };
    match builder(name).and_then(|builder| builder.spawn(begin)) {
        Ok(thread) => {
            // The thread exists and receives it.
            let _ = give.send(given);
            Ok(thread)
        }
        Err(source) => Err(NoThread { given, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn g15_work_is_done_with_and_without_threads() {
        let done = AtomicUsize::new(0);
        let work = || {
            done.fetch_add(1, Ordering::Relaxed);
        };
        together(3, work);
        assert_eq!(done.load(Ordering::Relaxed), 3);
        without_threads(|| {
            together(3, work);
            assert_eq!(beside(3, work, |workers| workers), 0);
        });
        assert_eq!(done.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn g15_the_value_for_a_thread_is_handed_back_if_none_starts() {
        let (sender, receiver) = sync_channel(1);
        let work = move |number| sender.send(number).unwrap();
        let refused = without_threads(|| detached("x", 7, work.clone()));
        assert_eq!(refused.unwrap_err().given, 7);
        let thread = detached("x", 7, work).unwrap();
        assert_eq!(receiver.recv(), Ok(7));
        thread.join().unwrap();
    }

    #[test]
    fn g15_a_panic_of_a_worker_reaches_its_caller() {
        let run = || beside(1, || std::panic::panic_any("here"), |workers| workers);
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"here"));
    }
}
