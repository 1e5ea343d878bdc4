use std::cell::Cell;
use std::fs::File;
use std::marker::PhantomData;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::runs::byte;
use super::wait::{Ask, Awaited, Wait, wait_for};
use super::{LockError, Mode};
use crate::ambient::Maker;
use crate::disk::{Dir, DiskError};
use crate::model::Digest;

const FILE: &str = "keys";

thread_local! {
    /// The number of keys that this thread holds.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// The right to populate the tree of a key: its byte of `lock/keys`, locked through a description of its own. It
/// belongs to the thread that acquired it.
#[derive(Debug)]
#[must_use = "the key is released when this is dropped"]
pub(crate) struct KeyByte {
    file: File,
    maker: Maker,
    _of_thread: PhantomData<*const ()>,
}

impl KeyByte {
    /// Acquires the key if it is free.
    pub(crate) fn try_take(dir: &Dir, key: Digest) -> Result<Option<Self>, DiskError> {
        let file = dir.open_lock_file(FILE)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&byte_of(key))) {
            Ok(_) if is_named(dir, &file)? => Ok(Some(Self::new(file))),
            // The file was removed meanwhile: create it again.
            Ok(_) => Self::try_take(dir, key),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(errno) => Err(cannot_lock(dir, errno)),
        }
    }

    /// Waits for the key and acquires it; `what` is populated under it, `holder` describes the current holder.
    pub(crate) fn take(
        dir: &Dir,
        key: Digest,
        what: &str,
        wait: Wait<'_>,
        holder: impl Fn() -> String,
    ) -> Result<Self, LockError> {
        let begun = Instant::now();
        let awaited = Awaited {
            name: what,
            path: dir.path().join(FILE),
            mode: Mode::Exclusive,
            holder: &holder,
        };
        loop {
            let file = dir.open_lock_file(FILE)?;
            let line = vec![(file, Ask::Byte(byte_of(key)))];
            let (file, _) = wait_for(&awaited, line, (begun, wait))?;
            if is_named(dir, &file)? {
                return Ok(Self::new(file));
            }
        }
    }

    /// Whether this thread already holds a key that other processes may wait for.
    pub(crate) fn is_held_here() -> bool {
        HELD.get() > 0
    }

    fn new(file: File) -> Self {
        HELD.set(HELD.get() + 1);
        Self {
            file,
            maker: Maker::here(),
            _of_thread: PhantomData,
        }
    }
}

impl Drop for KeyByte {
    /// Unlocks explicitly: a child process that has forked but not yet executed its program still has the
    /// description.
    fn drop(&mut self) {
        if !self.maker.is_here() {
            return;
        }
        HELD.set(HELD.get() - 1);
        let mut all = byte(0, libc::F_UNLCK);
        all.l_len = 0;
        if let Err(errno) = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&all)) {
            tracing::debug!(%errno, "failed to unlock a key; closing the file releases it");
        }
    }
}

/// Whether the name still leads to this file, which other processes open.
fn is_named(dir: &Dir, file: &File) -> Result<bool, DiskError> {
    let named = dir.stat(FILE)?.map(|stat| stat.identity);
    Ok(named == Some(dir.stat_open(file)?.identity))
}

/// Two keys that share a byte wait for each other, which only costs time.
fn byte_of(key: Digest) -> libc::flock {
    let mut first = [0; 8];
    first.copy_from_slice(&key.as_bytes()[..8]);
    byte(
        (u64::from_le_bytes(first) >> 2).cast_signed(),
        libc::F_WRLCK,
    )
}

fn cannot_lock(dir: &Dir, errno: Errno) -> DiskError {
    DiskError::new("lock", dir.path().join(FILE).as_str(), errno)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::disk::Disk;

    #[test]
    fn g6_a_key_is_held_by_one_and_another_key_is_free() {
        let temp = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
        let dir = Dir::open(&path, Disk::default()).unwrap();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let held = KeyByte::try_take(&dir, one).unwrap().unwrap();
        assert!(KeyByte::is_held_here());
        assert!(KeyByte::try_take(&dir, one).unwrap().is_none());
        drop(KeyByte::try_take(&dir, two).unwrap().unwrap());
        let wait = |limit| Wait {
            limit: Some(limit),
            ..Wait::default()
        };
        let soon = wait(Duration::from_millis(5));
        let error = KeyByte::take(&dir, one, "populate x", soon, || "a holder".to_owned());
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("populate x") && error.contains("a holder"),
            "{error}"
        );
        drop(held);
        assert!(!KeyByte::is_held_here());
        let patient = wait(Duration::from_secs(30));
        drop(KeyByte::take(&dir, one, "x", patient, String::new).unwrap());
    }

    /// Removes the file of keys, as another program might, as soon as it is opened.
    struct Remover(std::path::PathBuf);

    impl crate::disk::Witness for Remover {
        fn before(&self, _: &crate::disk::Call<'_>) -> std::io::Result<()> {
            Ok(())
        }

        #[allow(clippy::disallowed_methods, reason = "plays another program")]
        fn found(&self, _: &mut crate::model::Stat) {
            if std::fs::read(&self.0).is_ok_and(|text| text == b"earlier") {
                std::fs::remove_file(&self.0).unwrap();
            }
        }
    }

    /// A lock on a file without a name excludes no other process.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "plays another program")]
    fn g6_a_key_is_locked_in_the_file_that_others_open() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join(FILE);
        let path = camino::Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
        let disk = Disk::witnessed(std::sync::Arc::new(Remover(file.clone())));
        let dir = Dir::open(&path, disk).unwrap();
        let others = Dir::open(&path, Disk::default()).unwrap();
        let (key, patient) = (Digest::of(b"one"), Wait::default());
        std::fs::write(&file, "earlier").unwrap();
        let held = KeyByte::try_take(&dir, key).unwrap().unwrap();
        assert!(KeyByte::try_take(&others, key).unwrap().is_none());
        drop(held);
        std::fs::write(&file, "earlier").unwrap();
        let held = KeyByte::take(&dir, key, "x", patient, String::new).unwrap();
        assert!(KeyByte::try_take(&others, key).unwrap().is_none());
        drop(held);
    }
}
