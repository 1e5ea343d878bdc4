//! Threads, where they can be had.
//!
//! A limit of processes, of memory or a sandbox may leave no room for another thread. Everything here works
//! without one: what was to be done beside the caller is done by the caller. Nothing else in these crates starts
//! threads.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the one place that starts threads"
)]

use std::cell::Cell;
use std::io;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};

thread_local! {
    static WITHOUT: Cell<bool> = const { Cell::new(false) };
}

/// Does something as if no thread could be had: the seam for tests.
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

/// A new thread, if one may be had.
fn builder(name: &str) -> io::Result<Builder> {
    match WITHOUT.get() {
        true => Err(io::ErrorKind::WouldBlock.into()),
        false => Ok(Builder::new().name(name.to_owned())),
    }
}

/// Runs `work` on up to so many threads while `here` runs on this one, which learns how many there are.
/// Returns when all have ended; a panic of any of them goes on here.
///
/// `here` has to end the work when it returns or panics, and must not wait for a worker that has panicked.
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

/// Runs `work` on up to so many threads, this one among them.
pub fn together(threads: usize, work: impl Fn() + Sync) {
    beside(threads.saturating_sub(1), &work, |_| work());
}

/// What a thread was to be given, and the reason why there is none.
#[derive(Debug)]
pub struct NoThread<T> {
    /// What comes back.
    pub given: T,
    /// What the system said.
    pub source: io::Error,
}

/// Gives something to a thread of its own, which nobody need wait for.
///
/// # Errors
/// [`NoThread`], with what was given.
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
            // The thread is there to take it.
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
    fn g15_what_a_thread_was_to_be_given_comes_back_without_one() {
        let (sender, receiver) = sync_channel(1);
        let work = move |number| sender.send(number).unwrap();
        let refused = without_threads(|| detached("x", 7, work.clone()));
        assert_eq!(refused.unwrap_err().given, 7);
        let thread = detached("x", 7, work).unwrap();
        assert_eq!(receiver.recv(), Ok(7));
        thread.join().unwrap();
    }

    #[test]
    fn g15_a_panic_of_a_worker_goes_on_in_its_caller() {
        let run = || beside(1, || std::panic::panic_any("here"), |workers| workers);
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"here"));
    }
}
