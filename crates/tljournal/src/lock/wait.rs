//! Every wait for a kernel lock. What blocks is here and nowhere else, so that each wait can be announced, limited
//! and given up.

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

/// After how long a waiter reports whom it waits for.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// How often a waiter asks whether it is to give up.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The pauses between two tries of a wait that cannot block: the first, and the longest.
const POLL_FIRST: Duration = Duration::from_millis(1);
const POLL_LONGEST: Duration = Duration::from_millis(25);

/// How to wait for a lock.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wait<'a> {
    /// Give up after this long; never, if `None`.
    pub(crate) limit: Option<Duration>,
    /// Receives who holds it, once, when a wait has become long.
    pub(crate) tell: Option<&'a dyn Fn(&str)>,
    /// Asked again and again whether to give up before the limit.
    pub(crate) gives_up: Option<&'a dyn Fn() -> bool>,
}

/// Asked by every wait of a handle whether to give up.
#[derive(Clone, Default)]
pub(crate) struct GivesUp(pub(crate) Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl GivesUp {
    /// A wait with this limit that ends before it if that is asked for.
    pub(crate) fn within(&self, limit: Option<Duration>) -> Wait<'_> {
        Wait {
            limit,
            tell: None,
            gives_up: self.0.as_deref().map(|asked| asked as &dyn Fn() -> bool),
        }
    }

    /// Whether to give up now.
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

    /// What is left of it after some of it.
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

/// A lock, for the process that waits for it.
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

/// What is asked of the kernel for an open file.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    Flock(Mode),
    Byte(libc::flock),
}

impl Ask {
    /// Takes the lock if that needs no waiting.
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

    /// Takes the lock as soon as it is free. Only for a thread that nothing else depends on.
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

/// Locks `file` once it has passed through the turnstiles, each held until then; returns how long that took.
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

/// Gives a turnstile back explicitly: a process that is just being started keeps it otherwise, until it is another
/// program.
fn give_back(turnstile: impl AsFd) {
    if let Err(errno) = unlock(turnstile) {
        tracing::debug!(%errno, "a turnstile is given back by closing it only");
    }
}

/// Takes what is asked for of each file, in this order, and returns the last one, locked.
///
/// Blocks in a thread of its own, so that the caller can speak up and give up; what that thread gets later is
/// released at once. Where no thread can be had the calling one tries again and again.
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
        // If the caller has given up, what was locked is closed, and with it the lock goes.
        drop(sender.send(got.map(|()| line)));
    };
    let mut line = match workers::detached("tljournal-lock", line, block) {
        Ok(_) => patience.receive(&receiver)?,
        Err(NoThread { given, source }) => {
            tracing::debug!(%source, "no thread to wait in");
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

/// Tries until `attempt` returns something: for what the kernel has no queue for.
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
/// As the system says when no thread can be had.
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

/// A wait that is under way.
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

    /// How long until there is something to do; `None` if only the lock ends the wait.
    fn pause(&self) -> Option<Duration> {
        let waited = self.begun.elapsed();
        let until_notice = (!self.announced).then(|| NOTICE_AFTER.saturating_sub(waited));
        let until_limit = self.wait.limit.map(|limit| limit.saturating_sub(waited));
        let until_asked = self.wait.gives_up.map(|_| ASK_EVERY);
        let pauses = [until_notice, until_limit, until_asked];
        pauses.into_iter().flatten().min()
    }

    /// Announces a long wait, and ends one that is over.
    fn look_up(&mut self) -> Result<(), LockError> {
        let waited = self.begun.elapsed();
        // A long wait is announced, also by who comes to it only when it is over.
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
        // Nothing is ever sent: this only passes time.
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

    #[test]
    fn g10_a_wait_that_cannot_block_is_limited_announced_and_given_up() {
        let told = Cell::new(0);
        let limited = Wait::within(Some(Duration::from_millis(1200)));
        let tell = |who: &str| told.set(told.get() + who.len());
        let wait = Wait {
            tell: Some(&tell),
            ..limited
        };
        let nothing = || Ok::<Option<()>, LockError>(None);
        let error = poll(&awaited(), wait, nothing).unwrap_err();
        assert!(error.to_string().contains("somebody"), "{error}");
        assert_eq!(told.get(), "somebody".len(), "announced once");
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
