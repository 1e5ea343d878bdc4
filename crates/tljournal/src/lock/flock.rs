use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::holder;
use super::wait::{self, Awaited, Wait};
use crate::ambient::{self, Maker};
use crate::disk::{Dir, DiskError};

/// The mode of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Other processes may hold it shared at the same time.
    Shared,
    /// No other process holds it.
    Exclusive,
}

/// A lock was not acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It was held by other processes for as long as the caller was willing to wait.
    #[error("the lock `{lock}` was not free within {:.1} s: it is held by {holder}", waited.as_secs_f64())]
    Timeout {
        /// The lock's file below `.state/lock`.
        lock: String,
        /// How long the caller waited.
        waited: Duration,
        /// The holder, for display.
        holder: String,
    },
    /// The lock file could not be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl LockError {
    /// Whether it is about the queue of database writers, not about a lock that the caller asked for.
    #[must_use]
    pub fn is_about_database(&self) -> bool {
        matches!(self, Self::Timeout { lock, .. } if lock == super::DB || lock == crate::home::DATABASE)
    }
}

/// A lock that is held until this is dropped or the process ends.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub(crate) struct Held {
    file: File,
    maker: Maker,
    /// How long the caller waited for it.
    pub(crate) waited: Duration,
}

impl Held {
    pub(super) fn new(file: File, waited: Duration) -> Self {
        let maker = Maker::here();
        Self {
            file,
            maker,
            waited,
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Held {
    /// Unlocks explicitly: a process that inherited the description would otherwise keep the lock.
    fn drop(&mut self) {
        if self.maker.is_here()
            && let Err(errno) = unlock(&self.file)
        {
            tracing::debug!(%errno, "failed to unlock; closing the file releases the lock");
        }
    }
}

/// The suffix of a lock's turnstile.
pub(crate) const TURNSTILE: &str = ".turnstile";

const NAME_CHARS_MAX: usize = 100;

/// Whether a text is a valid name of a lock.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let taken = text.ends_with(TURNSTILE);
    begins && !taken && text.len() <= NAME_CHARS_MAX && text.chars().all(plain)
}

/// Acquires the lock `name`, a file of `dir`, through a new open file description. If the name leads to another file
/// once the lock is acquired, that file is locked instead, because later processes lock it.
///
/// `purpose` is shown to waiting processes while the lock is held exclusively.
pub(crate) fn acquire(
    dir: &Dir,
    name: &str,
    mode: Mode,
    purpose: &str,
    wait: Wait<'_>,
) -> Result<Held, LockError> {
    let awaited = Awaited {
        name,
        path: dir.path().join(name),
        mode,
        holder: &|| holder::describe(dir, name),
    };
    let mut waited = Duration::ZERO;
    let held = loop {
        let turnstile = open(dir, &format!("{name}{TURNSTILE}"))?;
        let file = open(dir, name)?;
        let left = wait.after(waited);
        let (file, more) = wait::in_line(&awaited, vec![turnstile], file, left)?;
        waited += more;
        let held = Held::new(file, waited);
        let named = dir.stat(name)?.map(|stat| stat.identity);
        if named == Some(dir.stat_open(held.file())?.identity) {
            break held;
        }
    };
    if mode == Mode::Exclusive
        && let Err(error) = holder::sign(dir, name, &held.file, purpose)
    {
        // The text is informational only: a full disk is no reason to fail.
        tracing::debug!(%error, "failed to write the holder of a lock");
    }
    Ok(held)
}

/// Opens a lock file. An entry with its name that cannot be locked, such as a directory, is renamed.
fn open(dir: &Dir, name: &str) -> Result<File, DiskError> {
    match dir.open_lock_file(name) {
        Err(error) if error.is_about_kind() && !error.is(Errno::MLINK) => {
            let away = format!("{name}.{}", ambient::fresh_txn_id());
            tracing::warn!(%error, away, "something was in the place of a lock file");
            match dir.rename_new(name, dir, &away) {
                Err(error) if !error.is(Errno::NOENT) => return Err(error),
                _ => {}
            }
            dir.open_lock_file(name)
        }
        opened => opened,
    }
}

/// Locks a directory through its open file description.
pub(crate) fn lock_dir(dir: &Dir, mode: Mode, wait: Wait<'_>) -> Result<(), LockError> {
    let ino = dir.own_stat()?.identity.ino;
    let awaited = Awaited {
        name: dir.path().as_str(),
        path: dir.path().to_owned(),
        mode,
        holder: &|| holder::of_inode(ino),
    };
    wait::in_line(&awaited, Vec::new(), dir.clone(), wait).map(drop)
}

/// Locks a directory or file exclusively if it is not locked.
pub(crate) fn try_exclusive(what: impl AsFd) -> Result<bool, Errno> {
    try_flock(what, Mode::Exclusive)
}

/// Locks a directory or file shared if it is not locked exclusively.
pub(crate) fn try_shared(what: impl AsFd) -> Result<bool, Errno> {
    try_flock(what, Mode::Shared)
}

/// Releases the lock of this open file description.
pub(crate) fn unlock(what: impl AsFd) -> Result<(), Errno> {
    rustix::fs::flock(what, FlockOperation::Unlock)
}

pub(super) fn try_flock(file: impl AsFd, mode: Mode) -> Result<bool, Errno> {
    let operation = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::super::within::{is_locked_inside, is_locked_within};
    use super::*;
    use crate::disk::Disk;

    fn scratch() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
        let dir = Dir::open(&path, Disk::default()).unwrap();
        (temp, dir)
    }

    fn limit(ms: u64) -> Wait<'static> {
        Wait {
            limit: Some(Duration::from_millis(ms)),
            ..Wait::default()
        }
    }

    #[test]
    fn g10_a_timeout_names_the_holder_and_its_purpose() {
        let (_temp, dir) = scratch();
        let held = acquire(&dir, "a", Mode::Exclusive, "publish", Wait::default()).unwrap();
        let error = acquire(&dir, "a", Mode::Shared, "", limit(5))
            .unwrap_err()
            .to_string();
        assert!(error.contains("publish"), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(held);
        drop(acquire(&dir, "a", Mode::Shared, "", limit(5000)).unwrap());
    }

    #[test]
    fn readers_share_and_a_waiting_writer_is_not_overtaken() {
        let (_temp, dir) = scratch();
        let first = acquire(&dir, "a", Mode::Shared, "", Wait::default()).unwrap();
        let second = acquire(&dir, "a", Mode::Shared, "", Wait::default()).unwrap();
        // A writer in the queue holds the turnstile while it waits.
        let turnstile = dir.open_lock_file("a.turnstile").unwrap();
        assert!(try_exclusive(&turnstile).unwrap());
        assert!(acquire(&dir, "a", Mode::Shared, "", limit(5)).is_err());
        drop(turnstile);
        drop((first, second));
        drop(acquire(&dir, "a", Mode::Exclusive, "", limit(5000)).unwrap());
    }

    /// A process that holds a lock shared does not write into the file; the text is from an earlier holder.
    #[test]
    fn g10_a_shared_holder_is_not_shown_with_the_purpose_of_an_earlier_holder() {
        let (_temp, dir) = scratch();
        drop(acquire(&dir, "a", Mode::Exclusive, "publish", Wait::default()).unwrap());
        let held = acquire(&dir, "a", Mode::Shared, "", Wait::default()).unwrap();
        let error = acquire(&dir, "a", Mode::Exclusive, "", limit(0)).unwrap_err();
        let error = error.to_string();
        assert!(!error.contains("publish"), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(held);
    }

    /// A program such as flock(1), which writes no description, may hold the lock.
    #[test]
    fn g10_a_holder_is_not_shown_with_the_description_of_another_process() {
        let (_temp, dir) = scratch();
        let file = dir.open_lock_file("a").unwrap();
        assert!(try_exclusive(&file).unwrap());
        let text = format!("1\t{}\tpublish\n", crate::ambient::now());
        dir.overwrite(&file, "a", &text).unwrap();
        let error = acquire(&dir, "a", Mode::Exclusive, "", limit(0)).unwrap_err();
        let error = error.to_string();
        assert!(!error.contains("publish"), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
    }

    /// The waiter's own turnstile is not the reason for the wait.
    #[test]
    fn g10_a_waiter_is_not_told_that_it_waits_for_itself() {
        let (_temp, dir) = scratch();
        let turnstile = dir.open_lock_file("a.turnstile").unwrap();
        assert!(try_exclusive(&turnstile).unwrap());
        let holder = holder::describe(&dir, "a");
        assert!(!holder.contains("first in line"), "{holder}");
    }

    #[test]
    fn a_request_that_does_not_wait_does_not_queue() {
        let (_temp, dir) = scratch();
        let turnstile = dir.open_lock_file("a.turnstile").unwrap();
        assert!(try_exclusive(&turnstile).unwrap());
        drop(acquire(&dir, "a", Mode::Exclusive, "", limit(0)).unwrap());
    }

    /// A child process that inherited the description may run for a long time.
    #[test]
    fn g6_a_released_lock_is_free_even_if_a_child_inherited_it() {
        let (_temp, dir) = scratch();
        let held = acquire(&dir, "a", Mode::Exclusive, "", Wait::default()).unwrap();
        let inherited = held.file().try_clone().unwrap();
        drop(held);
        drop(acquire(&dir, "a", Mode::Exclusive, "", limit(0)).unwrap());
        drop(inherited);
    }

    #[test]
    fn g7_a_lock_deep_inside_a_directory_is_found() {
        let (_temp, dir) = scratch();
        dir.make_dir("a", 0o755).unwrap();
        dir.make_dir("a/b", 0o755).unwrap();
        dir.make_dir("a/b/c", 0o755).unwrap();
        assert!(!is_locked_within(&dir, "a").unwrap());
        let deep = dir.open_dir("a/b/c").unwrap();
        assert!(try_shared(&deep).unwrap());
        assert!(is_locked_within(&dir, "a").unwrap());
        assert!(is_locked_inside(&dir).unwrap());
        unlock(&deep).unwrap();
        assert!(!is_locked_within(&dir, "a").unwrap());
    }
}
