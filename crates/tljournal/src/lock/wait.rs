use std::os::fd::AsFd;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use rustix::io::Errno;

use super::flock::{LockError, Mode, flock_blocking, try_flock, unlock};
use crate::disk::DiskError;

/// After how long a waiter is told who it waits for.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// How often a waiter asks whether it is to give up.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How to wait for a lock.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wait<'a> {
    /// Give up after this long; never, if `None`.
    pub(crate) limit: Option<Duration>,
    /// Told who holds it, once, when a wait has become long.
    pub(crate) tell: Option<&'a dyn Fn(&str)>,
    /// Asked again and again whether to give up before the limit.
    pub(crate) gives_up: Option<&'a dyn Fn() -> bool>,
}

impl Wait<'_> {
    /// What is left of it after some of it.
    pub(super) fn after(self, waited: Duration) -> Self {
        Self {
            limit: self.limit.map(|limit| limit.saturating_sub(waited)),
            ..self
        }
    }
}

/// A lock, for whoever waits for it.
pub(crate) struct Awaited<'a> {
    /// What people call it.
    pub(crate) name: &'a str,
    /// Where it is, for errors of the system.
    pub(crate) path: Utf8PathBuf,
    pub(crate) mode: Mode,
    /// Who holds it, for people.
    pub(crate) holder: &'a dyn Fn() -> String,
}

impl Awaited<'_> {
    fn failed(&self, errno: Errno) -> LockError {
        DiskError::new("lock", self.path.as_str(), errno).into()
    }

    fn timeout(&self, waited: Duration) -> LockError {
        LockError::Timeout {
            lock: self.name.to_owned(),
            waited,
            holder: (self.holder)(),
        }
    }
}

/// Locks `file` once it has passed through the turnstiles, each held until then; says how long that took.
pub(crate) fn in_line<F: AsFd + Send + 'static>(
    awaited: &Awaited<'_>,
    turnstiles: Vec<F>,
    file: F,
    wait: Wait<'_>,
) -> Result<(F, Duration), LockError> {
    let begun = Instant::now();
    // Who does not wait stands in no line: those who pass through a turnstile are not in its way.
    let waits = wait.limit != Some(Duration::ZERO);
    let failed = |errno| awaited.failed(errno);
    let mut free = true;
    for turnstile in turnstiles.iter().filter(|_| waits) {
        free = free && try_flock(turnstile, Mode::Exclusive).map_err(failed)?;
    }
    if free && try_flock(&file, awaited.mode).map_err(failed)? {
        give_back(&turnstiles);
        return Ok((file, Duration::ZERO));
    }
    if !waits {
        return Err(awaited.timeout(begun.elapsed()));
    }
    let mode = awaited.mode;
    let block = move || {
        let mut line = turnstiles.iter();
        line.try_for_each(|turnstile| flock_blocking(turnstile, Mode::Exclusive))?;
        flock_blocking(&file, mode)?;
        give_back(&turnstiles);
        Ok(file)
    };
    wait_for(awaited, block, (begun, wait))
}

/// Gives turnstiles back explicitly: a process that is just being started keeps them otherwise, until it is another
/// program.
fn give_back<F: AsFd>(turnstiles: &[F]) {
    for turnstile in turnstiles {
        if let Err(errno) = unlock(turnstile) {
            tracing::debug!(%errno, "a turnstile is given back by closing it only");
        }
    }
}

/// Blocks in a thread of its own, so that the caller can speak up and give up; what it gets after that
/// is released at once.
pub(super) fn wait_for<T: Send + 'static>(
    awaited: &Awaited<'_>,
    block: impl FnOnce() -> Result<T, Errno> + Send + 'static,
    (begun, wait): (Instant, Wait<'_>),
) -> Result<(T, Duration), LockError> {
    let Awaited { name, mode, .. } = *awaited;
    let span = tracing::debug_span!("lock_wait", lock = name, ?mode);
    let _in_span = span.enter();
    let (sender, receiver) = sync_channel(1);
    // If nobody is listening any more, what was locked is closed, and with it the lock goes.
    std::thread::Builder::new()
        .name("tljournal-lock".to_owned())
        .spawn(move || drop(sender.send(block())))
        .map_err(|source| DiskError::new("wait for the lock", awaited.path.as_str(), source))?;
    let mut told = false;
    loop {
        let waited = begun.elapsed();
        let until_notice = (!told).then(|| NOTICE_AFTER.saturating_sub(waited));
        let until_limit = wait.limit.map(|limit| limit.saturating_sub(waited));
        let until_asked = wait.gives_up.map(|_| ASK_EVERY);
        let pauses = [until_notice, until_limit, until_asked];
        let got = match pauses.into_iter().flatten().min() {
            Some(pause) => receiver.recv_timeout(pause),
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let waited = begun.elapsed();
        match got {
            Ok(Ok(locked)) => {
                tracing::debug!(waited_ms = waited.as_millis() as u64, "got the lock");
                return Ok((locked, waited));
            }
            Ok(Err(errno)) => return Err(awaited.failed(errno)),
            Err(RecvTimeoutError::Disconnected) => return Err(awaited.failed(Errno::CANCELED)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        // A long wait is announced, also by who comes to it only when it is over.
        if !told && waited >= NOTICE_AFTER {
            let holder = (awaited.holder)();
            tracing::warn!("waiting for the lock `{name}`, held by {holder}");
            if let Some(tell) = wait.tell {
                tell(&holder);
            }
            told = true;
        }
        let is_over = wait.limit.is_some_and(|limit| limit <= waited);
        if is_over || wait.gives_up.is_some_and(|gives_up| gives_up()) {
            return Err(awaited.timeout(waited));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn awaited() -> Awaited<'static> {
        Awaited {
            name: "a",
            path: Utf8PathBuf::from("a"),
            mode: Mode::Exclusive,
            holder: &|| "somebody".to_owned(),
        }
    }

    /// The right to wait is used up by what was waited.
    #[test]
    fn what_was_waited_is_taken_off_the_limit() {
        let seconds = |limit: Option<u64>| Wait {
            limit: limit.map(Duration::from_secs),
            ..Wait::default()
        };
        let after = |limit, waited| seconds(limit).after(Duration::from_secs(waited)).limit;
        assert_eq!(after(Some(5), 2), Some(Duration::from_secs(3)));
        assert_eq!(after(Some(5), 9), Some(Duration::ZERO));
        assert_eq!(after(None, 9), None);
    }

    /// Waits for what never comes.
    fn wait_in_vain(wait: Wait<'_>) -> Duration {
        let (sender, never) = sync_channel::<()>(0);
        let block = move || {
            let _ = never.recv();
            Ok(())
        };
        let said = wait_for(&awaited(), block, (Instant::now(), wait));
        drop(sender);
        match said {
            Err(LockError::Timeout { waited, .. }) => waited,
            said => panic!("{said:?}"),
        }
    }

    #[test]
    fn g10_a_wait_ends_with_its_limit_or_when_it_is_given_up() {
        let limit = Duration::from_millis(20);
        let waited = wait_in_vain(Wait {
            limit: Some(limit),
            ..Wait::default()
        });
        assert!(waited >= limit);
        let _waited = wait_in_vain(Wait {
            gives_up: Some(&|| true),
            ..Wait::default()
        });
    }

    #[test]
    fn g10_a_long_wait_is_told_of_once() {
        let (told, asked) = (AtomicU32::new(0), AtomicU32::new(0));
        let tell = |holder: &str| {
            assert_eq!(holder, "somebody");
            told.fetch_add(1, Ordering::Relaxed);
        };
        // It is given up some time after it was told.
        let gives_up =
            || told.load(Ordering::Relaxed) > 0 && asked.fetch_add(1, Ordering::Relaxed) > 2;
        let waited = wait_in_vain(Wait {
            tell: Some(&tell),
            gives_up: Some(&gives_up),
            limit: None,
        });
        assert!(waited >= NOTICE_AFTER);
        assert_eq!(told.into_inner(), 1);
    }
}
