use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::flock::Mode;
use super::wait::{Ask, when_free};
use crate::ambient::Maker;
use crate::disk::{Dir, DiskError};
use crate::model::RunId;

/// Marks a run as running: its byte of `lock/runs`, locked through a description of its own.
#[derive(Debug)]
pub(crate) struct RunByte {
    file: File,
    maker: Maker,
    at: i64,
}

impl RunByte {
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for RunByte {
    /// Unlocks explicitly: a process that inherited the description would otherwise keep the run marked as running.
    fn drop(&mut self) {
        if !self.maker.is_here() {
            return;
        }
        let unlock = byte(self.at, libc::F_UNLCK);
        if let Err(errno) = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&unlock)) {
            tracing::debug!(%errno, "failed to unlock the byte of a run; closing the file releases it");
        }
    }
}

/// Queries which runs are running, through a description that holds no lock itself: a query through the holder's own
/// description always reports "free".
#[derive(Debug)]
pub(crate) struct Runs {
    dir: Dir,
    asking: File,
}

const FILE: &str = "runs";

impl Runs {
    pub(crate) fn open(dir: &Dir) -> Result<Self, DiskError> {
        Ok(Self {
            dir: dir.clone(),
            asking: dir.open_lock_file(FILE)?,
        })
    }

    /// The same for inspection, without creating or writing anything.
    pub(crate) fn open_to_look(dir: Dir) -> Result<Self, DiskError> {
        let asking = dir.open_file(FILE)?;
        Ok(Self { dir, asking })
    }

    /// Marks a run as running. `None` if its byte is locked already, which only a colliding id can cause.
    pub(crate) fn enter(&self, run: RunId) -> Result<Option<RunByte>, DiskError> {
        let file = self.dir.open_lock_file(FILE)?;
        let at = run.lock_byte();
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&byte(at, libc::F_WRLCK))) {
            Ok(_) => {
                let maker = Maker::here();
                Ok(Some(RunByte { file, maker, at }))
            }
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(errno) => Err(self.error(errno)),
        }
    }

    /// Whether a run is running. Processes that wait for its end hold the byte shared and do not count.
    pub(crate) fn is_alive(&self, run: RunId) -> Result<bool, DiskError> {
        let mut lock = byte(run.lock_byte(), libc::F_RDLCK);
        fcntl(&self.asking, FcntlArg::F_OFD_GETLK(&mut lock)).map_err(|errno| self.error(errno))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    /// Calls `told`, from a thread of its own, when a run has ended.
    pub(crate) fn when_ended(
        &self,
        run: RunId,
        tell: impl FnOnce() + Send + 'static,
    ) -> Result<(), DiskError> {
        let file = self.dir.open_lock_file(FILE)?;
        let ask = Ask::Byte(byte(run.lock_byte(), libc::F_RDLCK));
        let path = self.dir.path().join(FILE);
        when_free(file, ask, tell)
            .map_err(|source| DiskError::new("wait for a run in", path.as_str(), source))
    }

    fn error(&self, errno: Errno) -> DiskError {
        DiskError::new("lock", self.dir.path().join(FILE).as_str(), errno)
    }
}

/// Whether a byte lock excludes between two open file descriptions in a directory, and can be queried.
///
/// # Errors
/// [`DiskError`] when the file cannot be opened or the lock call itself fails.
pub(crate) fn bytes_exclude(dir: &Dir, name: &str) -> Result<bool, DiskError> {
    let failed = |errno: Errno| {
        let errno = rustix::io::Errno::from_raw_os_error(errno as i32);
        DiskError::new("try a lock on", dir.path().join(name).as_str(), errno)
    };
    if dir.disk().lacks().byte_locks {
        return Err(failed(Errno::ENOSYS));
    }
    let (one, two) = (dir.open_lock_file(name)?, dir.open_lock_file(name)?);
    let wanted = byte(0, libc::F_WRLCK);
    match fcntl(&one, FcntlArg::F_OFD_SETLK(&wanted)) {
        // Another process tries the same: the lock excludes it, so it works.
        Err(Errno::EAGAIN | Errno::EACCES) => return Ok(true),
        locked => locked.map_err(failed)?,
    };
    let mut asked = wanted;
    fcntl(&two, FcntlArg::F_OFD_GETLK(&mut asked)).map_err(failed)?;
    let is_refused = fcntl(&two, FcntlArg::F_OFD_SETLK(&wanted)).is_err();
    Ok(is_refused && i32::from(asked.l_type) != libc::F_UNLCK)
}

/// Locks a byte of a file that another program locks too; returns whether that was possible at once. A second call
/// with another mode converts the lock.
pub(crate) fn hold_byte(file: &File, at: i64, mode: Mode) -> Result<bool, rustix::io::Errno> {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    };
    Ask::Byte(byte(at, kind)).once(file)
}

pub(super) fn byte(at: i64, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: at,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient;
    use crate::disk::Disk;

    #[test]
    fn a_waiter_for_the_end_of_a_run_does_not_count_as_the_run() {
        let temp = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
        let runs = Runs::open(&Dir::open(&path, Disk::default()).unwrap()).unwrap();
        let run = ambient::fresh_run_id();
        let held = runs.enter(run).unwrap().unwrap();
        let (sender, ended) = std::sync::mpsc::channel();
        runs.when_ended(run, move || sender.send(()).unwrap())
            .unwrap();
        let waiter = runs.dir.open_lock_file(FILE).unwrap();
        drop(held);
        ended.recv().unwrap();
        let shared = byte(run.lock_byte(), libc::F_RDLCK);
        fcntl(&waiter, FcntlArg::F_OFD_SETLK(&shared)).unwrap();
        assert!(!runs.is_alive(run).unwrap());
    }

    #[test]
    fn g6_a_run_is_running_exactly_while_its_byte_is_locked() {
        let temp = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
        let runs = Runs::open(&Dir::open(&path, Disk::default()).unwrap()).unwrap();
        let (one, two) = (ambient::fresh_run_id(), ambient::fresh_run_id());
        let held = runs.enter(one).unwrap().unwrap();
        assert!(runs.is_alive(one).unwrap());
        assert!(!runs.is_alive(two).unwrap());
        assert!(runs.enter(one).unwrap().is_none());
        drop(held);
        assert!(!runs.is_alive(one).unwrap());
    }

    /// A child process that inherited the description may run for a long time.
    #[test]
    fn g6_an_ended_run_is_not_running_even_if_a_child_inherited_its_byte() {
        let temp = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
        let runs = Runs::open(&Dir::open(&path, Disk::default()).unwrap()).unwrap();
        let run = ambient::fresh_run_id();
        let held = runs.enter(run).unwrap().unwrap();
        let inherited = held.file().try_clone().unwrap();
        drop(held);
        assert!(!runs.is_alive(run).unwrap());
        drop(inherited);
    }
}
