//! Every wait for a kernel lock. Blocking calls are only in this file, so that each wait can be announced, limited
//! and cancelled.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::flock::{LockError, Mode, try_flock, unlock};
use crate::disk::DiskError;
use crate::workers::{self, NoThread};

/// How long a waiter waits before it reports the holder.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// How often a waiter checks whether it is cancelled.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The first and the longest pause between two tries of a wait that cannot block.
const POLL_FIRST: Duration = Duration::from_millis(1);
const POLL_LONGEST: Duration = Duration::from_millis(25);

/// How to wait for a lock.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wait<'a> {
    /// The limit of the wait; `None` for no limit.
    pub(crate) limit: Option<Duration>,
    /// Called once with the holder when a wait has become long.
    pub(crate) tell: Option<&'a dyn Fn(&str)>,
    /// Called repeatedly; true cancels the wait before its limit.
    pub(crate) gives_up: Option<&'a dyn Fn() -> bool>,
}

/// The cancellation check of every wait of a handle.
#[derive(Clone, Default)]
pub(crate) struct GivesUp(pub(crate) Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl GivesUp {
    /// A wait with this limit that can also be cancelled.
    pub(crate) fn within(&self, limit: Option<Duration>) -> Wait<'_> {
        Wait {
            limit,
            tell: None,
            gives_up: self.0.as_deref().map(|asked| asked as &dyn Fn() -> bool),
        }
    }

    /// Whether the wait is cancelled now.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.as_ref().is_some_and(|asked| asked())
    }
}

impl std::fmt::Debug for GivesUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GivesUp").field(&self.0.is_some()).finish()
    }
}

impl Wait<'_> {
    /// A wait with a limit, or with none.
    pub(crate) fn within(limit: Option<Duration>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// The wait that is left after part of it.
    pub(super) fn after(self, waited: Duration) -> Self {
        Self {
            limit: self.limit.map(|limit| limit.saturating_sub(waited)),
            ..self
        }
    }

    fn is_over(&self, waited: Duration) -> bool {
        self.limit.is_some_and(|limit| limit <= waited)
            || self.gives_up.is_some_and(|gives_up| gives_up())
    }
}

/// A lock, as its waiter describes it.
pub(crate) struct Awaited<'a> {
    /// Its display name.
    pub(crate) name: &'a str,
    /// Its path, for system errors.
    pub(crate) path: Utf8PathBuf,
    pub(crate) mode: Mode,
    /// The holder, for display.
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

/// A lock request for an open file.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    Flock(Mode),
    Byte(libc::flock),
}

impl Ask {
    /// Acquires the lock if it is free.
    pub(super) fn once(self, file: impl AsFd) -> Result<bool, Errno> {
        match self {
            Self::Flock(mode) => try_flock(file, mode),
            Self::Byte(lock) => match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
                Ok(_) => Ok(true),
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
                Err(errno) => Err(Errno::from_raw_os_error(errno as i32)),
            },
        }
    }

    /// Waits for the lock. Only for a thread that no other work depends on.
    fn blocking(self, file: impl AsFd) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| match self {
            Self::Flock(Mode::Shared) => rustix::fs::flock(&file, FlockOperation::LockShared),
            Self::Flock(Mode::Exclusive) => rustix::fs::flock(&file, FlockOperation::LockExclusive),
            Self::Byte(lock) => match fcntl(&file, FcntlArg::F_OFD_SETLKW(&lock)) {
                Ok(_) => Ok(()),
                Err(errno) => Err(Errno::from_raw_os_error(errno as i32)),
            },
        })
    }
}

/// Acquires the turnstiles one after the other and then locks `file`; returns how long that took.
pub(crate) fn in_line<F: AsFd + Send + 'static>(
    awaited: &Awaited<'_>,
    turnstiles: Vec<F>,
    file: F,
    wait: Wait<'_>,
) -> Result<(F, Duration), LockError> {
    let begun = Instant::now();
    // A request that does not wait skips the turnstiles.
    let waits = wait.limit != Some(Duration::ZERO);
    let failed = |errno| awaited.failed(errno);
    let mut free = true;
    for turnstile in turnstiles.iter().filter(|_| waits) {
        free = free && try_flock(turnstile, Mode::Exclusive).map_err(failed)?;
    }
    if free && try_flock(&file, awaited.mode).map_err(failed)? {
        turnstiles.iter().for_each(give_back);
        return Ok((file, Duration::ZERO));
    }
    if !waits {
        return Err(awaited.timeout(begun.elapsed()));
    }
    let pass = |turnstile| (turnstile, Ask::Flock(Mode::Exclusive));
    let mut line: Vec<_> = turnstiles.into_iter().map(pass).collect();
    line.push((file, Ask::Flock(awaited.mode)));
    wait_for(awaited, line, (begun, wait))
}

/// Unlocks a turnstile explicitly: a child process that has forked but not yet executed its program still has the
/// description.
fn give_back(turnstile: impl AsFd) {
    if let Err(errno) = unlock(turnstile) {
        tracing::debug!(%errno, "failed to unlock a turnstile; closing the file releases it");
    }
}

/// Makes each request in order and returns the last file, locked.
///
/// Blocks in a thread of its own, so that the caller can announce and cancel the wait; a lock that the thread
/// acquires afterwards is released at once. Where no thread can be started the calling thread polls.
pub(super) fn wait_for<F: AsFd + Send + 'static>(
    awaited: &Awaited<'_>,
    line: Vec<(F, Ask)>,
    (begun, wait): (Instant, Wait<'_>),
) -> Result<(F, Duration), LockError> {
    let Awaited { name, mode, .. } = *awaited;
    let span = tracing::debug_span!("lock_wait", lock = name, ?mode);
    let _in_span = span.enter();
    let mut patience = Patience::begin(awaited, begun, wait);
    let (sender, receiver) = sync_channel(1);
    let block = move |line: Vec<(F, Ask)>| {
        let got = line.iter().try_for_each(|(file, ask)| ask.blocking(file));
        // If the caller has given up, closing the file releases the lock.
        drop(sender.send(got.map(|()| line)));
    };
    let mut line = match workers::detached("tljournal-lock", line, block) {
        Ok(_) => patience.receive(&receiver)?,
        Err(NoThread { given, source }) => {
            tracing::debug!(%source, "failed to start a thread to wait in");
            let mut ahead = given.iter().peekable();
            patience.poll(&mut || {
                while let Some((file, ask)) = ahead.peek() {
                    if !ask.once(file).map_err(|errno| awaited.failed(errno))? {
                        return Ok::<_, LockError>(None);
                    }
                    ahead.next();
                }
                Ok(Some(()))
            })?;
            given
        }
    };
    let waited = begun.elapsed();
    tracing::debug!(waited_ms = waited.as_millis() as u64, "got the lock");
    match line.pop() {
        Some((file, _)) => {
            line.iter().for_each(|(turnstile, _)| give_back(turnstile));
            Ok((file, waited))
        }
        None => Err(awaited.failed(Errno::CANCELED)),
    }
}

/// Tries until `attempt` returns something, for waits without a kernel queue.
pub(crate) fn poll<T, E: From<LockError>>(
    awaited: &Awaited<'_>,
    wait: Wait<'_>,
    mut attempt: impl FnMut() -> Result<Option<T>, E>,
) -> Result<T, E> {
    if let Some(got) = attempt()? {
        return Ok(got);
    }
    Patience::begin(awaited, Instant::now(), wait).poll(&mut attempt)
}

/// Calls `ended`, from a thread of its own, when the lock is free.
///
/// # Errors
/// The system's error when no thread can be started.
pub(super) fn when_free<F: AsFd + Send + 'static>(
    file: F,
    ask: Ask,
    ended: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let block = move |file: F| {
        let _ = ask.blocking(&file);
        drop(file);
        ended();
    };
    let thread = workers::detached("tljournal-run", file, block);
    thread.map(drop).map_err(|refused| refused.source)
}

/// A wait in progress.
struct Patience<'a> {
    awaited: &'a Awaited<'a>,
    begun: Instant,
    wait: Wait<'a>,
    announced: bool,
}

impl<'a> Patience<'a> {
    fn begin(awaited: &'a Awaited<'a>, begun: Instant, wait: Wait<'a>) -> Self {
        Self {
            awaited,
            begun,
            wait,
            announced: false,
        }
    }

    /// How long until the next check; `None` if only the lock ends the wait.
    fn pause(&self) -> Option<Duration> {
        let waited = self.begun.elapsed();
        let until_notice = (!self.announced).then(|| NOTICE_AFTER.saturating_sub(waited));
        let until_limit = self.wait.limit.map(|limit| limit.saturating_sub(waited));
        let until_asked = self.wait.gives_up.map(|_| ASK_EVERY);
        let pauses = [until_notice, until_limit, until_asked];
        pauses.into_iter().flatten().min()
    }

    /// Announces a long wait and ends one whose limit is over or that is cancelled.
    fn look_up(&mut self) -> Result<(), LockError> {
        let waited = self.begun.elapsed();
        // A long wait is announced even if this is first called after it has ended.
        if !self.announced && waited >= NOTICE_AFTER {
            self.announce();
        }
        match self.wait.is_over(waited) {
            true => Err(self.awaited.timeout(waited)),
            false => Ok(()),
        }
    }

    fn announce(&mut self) {
        self.announced = true;
        let holder = (self.awaited.holder)();
        tracing::warn!(
            "waiting for the lock `{}`, held by {holder}",
            self.awaited.name
        );
        if let Some(tell) = self.wait.tell {
            tell(&holder);
        }
    }

    fn receive<T>(&mut self, receiver: &Receiver<Result<T, Errno>>) -> Result<T, LockError> {
        loop {
            let got = match self.pause() {
                Some(pause) => receiver.recv_timeout(pause),
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match got {
                Ok(locked) => return locked.map_err(|errno| self.awaited.failed(errno)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.awaited.failed(Errno::CANCELED));
                }
                Err(RecvTimeoutError::Timeout) => self.look_up()?,
            }
        }
    }

    fn poll<T, E: From<LockError>>(
        &mut self,
        attempt: &mut dyn FnMut() -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        // Nothing is ever sent: the timeout is the pause.
        let (_sender, time) = sync_channel::<()>(1);
        let mut pause = POLL_FIRST;
        loop {
            self.look_up()?;
            let _ = time.recv_timeout(pause.min(self.pause().unwrap_or(pause)));
            pause = (pause * 2).min(POLL_LONGEST);
            if let Some(got) = attempt()? {
                return Ok(got);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn awaited() -> Awaited<'static> {
        Awaited {
            name: "a",
            path: Utf8PathBuf::from("a"),
            mode: Mode::Exclusive,
            holder: &|| "a holder".to_owned(),
        }
    }

    /// The time waited counts against the limit.
    #[test]
    fn the_time_waited_counts_against_the_limit() {
        let seconds = |limit: Option<u64>| Wait {
            limit: limit.map(Duration::from_secs),
            ..Wait::default()
        };
        let after = |limit, waited| seconds(limit).after(Duration::from_secs(waited)).limit;
        assert_eq!(after(Some(5), 2), Some(Duration::from_secs(3)));
        assert_eq!(after(Some(5), 9), Some(Duration::ZERO));
        assert_eq!(after(None, 9), None);
    }

    /// Waits for a lock that is never released.
    fn wait_in_vain(wait: Wait<'_>) -> Duration {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(try_flock(&file, Mode::Exclusive).unwrap());
        let line = vec![(file.reopen().unwrap(), Ask::Flock(Mode::Exclusive))];
        let said = wait_for(&awaited(), line, (Instant::now(), wait));
        match said {
            Err(LockError::Timeout { waited, .. }) => waited,
            said => panic!("{said:?}"),
        }
    }

    #[test]
    fn g10_a_wait_ends_at_its_limit_or_when_it_is_cancelled() {
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
    fn g10_a_long_wait_is_announced_once() {
        let (told, asked) = (AtomicU32::new(0), AtomicU32::new(0));
        let tell = |holder: &str| {
            assert_eq!(holder, "a holder");
            told.fetch_add(1, Ordering::Relaxed);
        };
        // It is cancelled some time after the announcement.
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

    #[test]
    fn g10_a_wait_that_cannot_block_is_limited_announced_and_cancelled() {
        let told = Cell::new(0);
        let limited = Wait::within(Some(Duration::from_millis(1200)));
        let tell = |who: &str| told.set(told.get() + who.len());
        let wait = Wait {
            tell: Some(&tell),
            ..limited
        };
        let nothing = || Ok::<Option<()>, LockError>(None);
        let error = poll(&awaited(), wait, nothing).unwrap_err();
        assert!(error.to_string().contains("a holder"), "{error}");
        assert_eq!(told.get(), "a holder".len(), "announced once");
        let given_up = Wait {
            gives_up: Some(&|| true),
            ..Wait::default()
        };
        assert!(poll(&awaited(), given_up, nothing).is_err());
        let mut tries = 0;
        let third = || {
            tries += 1;
            Ok::<_, LockError>((tries == 3).then_some(tries))
        };
        assert_eq!(poll(&awaited(), Wait::default(), third).unwrap(), 3);
    }
}
