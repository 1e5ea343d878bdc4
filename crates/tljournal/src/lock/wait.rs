use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::LockError;
use crate::disk::DiskError;

/// How to wait for a lock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wait {
    /// Give up after this long; never, if `None`.
    pub(crate) limit: Option<Duration>,
}

/// After how long a waiter is told who it waits for.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// Blocks in a thread of its own, so that the caller can speak up and give up; what it gets after that
/// is released at once.
pub(super) fn wait_for<T: Send + 'static>(
    name: &str,
    (begun, wait): (Instant, Wait),
    block: impl FnOnce() -> Result<T, Errno> + Send + 'static,
    failed: impl Fn(Errno) -> DiskError,
    holder: impl Fn() -> String,
) -> Result<(T, Duration), LockError> {
    let span = tracing::debug_span!("lock_wait", lock = name);
    let _in_span = span.enter();
    let (sender, receiver) = sync_channel(1);
    let thread = std::thread::Builder::new().name("tljournal-lock".to_owned());
    // If nobody is listening any more, what was locked is closed, and with it the lock goes.
    let spawned = thread.spawn(move || drop(sender.send(block())));
    spawned.map_err(|_| failed(Errno::AGAIN))?;
    let mut told = false;
    loop {
        let waited = begun.elapsed();
        let until_notice = (!told).then(|| NOTICE_AFTER.saturating_sub(waited));
        let until_limit = wait.limit.map(|limit| limit.saturating_sub(waited));
        let got = match [until_notice, until_limit].into_iter().flatten().min() {
            Some(pause) => receiver.recv_timeout(pause),
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let waited = begun.elapsed();
        match got {
            Ok(Ok(locked)) => {
                tracing::debug!(waited_ms = waited.as_millis() as u64, "got the lock");
                return Ok((locked, waited));
            }
            Ok(Err(errno)) => return Err(failed(errno).into()),
            Err(RecvTimeoutError::Disconnected) => return Err(failed(Errno::CANCELED).into()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let holder = holder();
        if wait.limit.is_some_and(|limit| limit <= waited) {
            return Err(LockError::Timeout {
                lock: name.to_owned(),
                waited,
                holder,
            });
        }
        tracing::warn!("waiting for the lock `{name}`, held by {holder}");
        told = true;
    }
}
