//! The only room that touches the filesystem.
//!
//! Everything is done on directory handles ([`Dir`]): a path is resolved beneath a handle and through
//! no symbolic link. Every call that changes something goes past a [`Witness`], which may record it,
//! refuse it, or end the process in front of it or behind it: that is how crashes are tested.
//!
//! # What is assumed of a filesystem
//!
//! 1. `rename`, with or without `RENAME_NOREPLACE` or `RENAME_EXCHANGE`, is atomic towards other
//!    processes, and after a power cut either has happened or has not.
//! 2. `fsync` of a file makes its content and inode durable, `fsync` of a directory the entries made in
//!    it before; `syncfs` does both for everything, and reports write-back errors that happened since
//!    its handle was opened (on FUSE it does nothing). A symbolic link, which cannot be opened, becomes durable with
//!    its directory. Nothing is assumed durable without them, and no order either.
//! 3. A failed `fsync` of content is final: the pages are marked clean. It is never tried again; the staged
//!    content is given up. One of a directory is final until the filesystem is mounted anew: names are in its
//!    own journal, and it stops when that cannot be written (on ext2, which has none, a name could get lost).
//! 4. `flock` excludes between any two processes that see the directory.
//! 5. An inode number with its birth time is never handed out twice.

mod acting;
mod attributes;
mod change;
mod copy;
mod data;
mod dir;
mod file;
mod make;
mod obstacle;
mod own;
mod pipe;
mod resolve;
mod source;
mod sparse;
mod survey;
mod system;
mod watch;
mod witness;

pub(crate) use acting::{Acting, Owner, is_root, mode_of};
pub(crate) use attributes::is_own_of_root;
pub(crate) use data::data_in;
pub use dir::Dir;
pub use file::{NewFile, Synced, Unsynced};
pub(crate) use obstacle::removal;
pub use pipe::Pipe;
pub use source::Source;
pub(crate) use sparse::HOLE_BYTES_MAX;
pub use sparse::{Dense, Piece, Sparse, SparseFile, each_piece};
pub(crate) use system::may_enter;
pub use system::{Features, FilesystemKind};
pub use witness::{Call, Lacks, Verb, Witness};

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::model::{Digest, Hasher, Identity, Stat};

/// How deep directories are gone into: each level keeps a handle, and a piece of the stack.
pub(crate) const LEVELS_MAX: u32 = 512;

/// How much of a file is read and hashed at a time.
const HASH_CHUNK_BYTES: usize = 128 << 10;

/// The way to the filesystem: directly, or past a [`Witness`].
#[derive(Clone, Default)]
pub struct Disk {
    witness: Option<Arc<dyn Witness>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("witnessed", &self.witness.is_some())
            .finish()
    }
}

impl Disk {
    /// A disk whose mutating calls all go past `witness`.
    #[must_use]
    pub fn witnessed(witness: Arc<dyn Witness>) -> Self {
        Self {
            witness: Some(witness),
        }
    }

    /// Removes a file that the caller names, if it still is this inode.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn remove_source(&self, path: &Utf8Path, identity: Identity) -> Result<(), DiskError> {
        let dir = path.parent().filter(|dir| !dir.as_str().is_empty());
        let dir = Dir::open(dir.unwrap_or(Utf8Path::new(".")), self.clone())?;
        let name = path.file_name().unwrap_or_default();
        match dir.stat(name)? {
            Some(stat) if stat.identity == identity => dir.remove_file(name),
            _ => Ok(()),
        }
    }

    /// Hashes a whole file, whatever its reading position. Of one that grows meanwhile not much more is read than
    /// it had in the beginning.
    ///
    /// # Errors
    /// [`DiskError`] when it cannot be read.
    pub fn hash(&self, file: &File, path: &Utf8Path) -> Result<Digest, DiskError> {
        let (mut hasher, failed) = (Hasher::default(), read_error(path));
        let stat = self.stat_open(file, path.as_str())?;
        // One byte more than a small file has, so that its end is seen at once.
        let small = usize::try_from(stat.size.saturating_add(1)).unwrap_or(HASH_CHUNK_BYTES);
        let mut chunk = vec![0; small.min(HASH_CHUNK_BYTES)];
        let mut content = SparseFile::new(file, &stat).map_err(&failed)?;
        each_piece(&mut content, &mut chunk, failed, |piece| {
            piece.add_to(&mut hasher);
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    /// What a `statx` told, as the witness wants it seen.
    fn seen(&self, mut stat: Stat) -> Stat {
        if let Some(witness) = &self.witness {
            witness.found(&mut stat);
        }
        stat
    }

    /// Whether calls have to be made in an order that can be repeated, by one thread.
    pub(crate) fn is_witnessed(&self) -> bool {
        self.witness.is_some()
    }

    /// What is missing.
    pub(crate) fn lacks(&self) -> Lacks {
        let witness = self.witness.as_ref();
        witness.map(|witness| witness.lacks()).unwrap_or_default()
    }

    /// What an open file or directory is.
    fn stat_fd(&self, fd: impl AsFd) -> rustix::io::Result<Stat> {
        dir::statx(fd, b"", AtFlags::EMPTY_PATH, self.lacks()).map(|stat| self.seen(stat))
    }

    /// How much of a write is made at once.
    fn write_bytes_max(&self) -> usize {
        let witness = self.witness.as_ref();
        let cut = witness.and_then(|witness| witness.write_bytes_max());
        cut.unwrap_or(usize::MAX)
    }

    /// Makes one mutating call.
    fn call<T>(
        &self,
        verb: Verb,
        path: impl Fn() -> Utf8PathBuf,
        detail: Detail<'_>,
        make: impl FnOnce() -> rustix::io::Result<T>,
    ) -> Result<T, DiskError> {
        let made = match &self.witness {
            None => make().map_err(io::Error::from),
            Some(witness) => {
                let path = path();
                let call = Call {
                    verb,
                    path: &path,
                    other: detail.other.map(|other| other()),
                    offset: detail.offset,
                    data: detail.data,
                };
                witness.before(&call).and_then(|()| {
                    let made = make().map_err(io::Error::from);
                    witness.after(&call, made.as_ref().map(|_| ()));
                    made
                })
            }
        };
        made.map_err(|source| DiskError::new(verb.phrase(), path().as_str(), source))
    }
}

/// What could not be read, as an error.
fn read_error(path: &Utf8Path) -> impl Fn(io::Error) -> DiskError {
    move |source| DiskError::new("read", path.as_str(), source)
}

/// What a witness is told of a call besides its path.
#[derive(Default, Clone, Copy)]
struct Detail<'a> {
    other: Option<&'a dyn Fn() -> Utf8PathBuf>,
    offset: u64,
    data: &'a [u8],
}

/// A call to the filesystem failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {verb} `{path}`")]
pub struct DiskError {
    verb: &'static str,
    path: String,
    source: io::Error,
}

impl DiskError {
    pub(crate) fn new(verb: &'static str, path: &str, source: impl Into<io::Error>) -> Self {
        Self {
            verb,
            path: path.escape_debug().to_string(),
            source: source.into(),
        }
    }

    /// Whether something of another kind is where a file belongs.
    pub(crate) fn is_about_kind(&self) -> bool {
        use rustix::io::Errno;
        let kinds = [
            Errno::LOOP,
            Errno::ISDIR,
            Errno::NXIO,
            Errno::MLINK,
            Errno::NOTDIR,
            Errno::INVAL,
        ];
        kinds.iter().any(|errno| self.is(*errno))
    }

    /// What the filesystem said.
    #[must_use]
    pub fn io(&self) -> &io::Error {
        &self.source
    }

    /// The path it said it about, escaped.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn is(&self, errno: rustix::io::Errno) -> bool {
        self.source.raw_os_error() == Some(errno.raw_os_error())
    }

    /// The error behind one that came out of a [`NewFile`]'s `Write`.
    pub(crate) fn of_write(path: &str, error: io::Error) -> Self {
        error
            .downcast()
            .unwrap_or_else(|error| Self::new("write", path, error))
    }

    /// Whether the filesystem, or the kernel, does not know what it was asked to do.
    #[must_use]
    pub fn is_missing_feature(&self) -> bool {
        use rustix::io::Errno;
        [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
            .iter()
            .any(|errno| self.is(*errno))
    }

    /// Whether the filesystem, or the kernel, has no locks of the kind that was asked for.
    #[must_use]
    pub fn is_missing_lock(&self) -> bool {
        self.is_missing_feature() || self.is(rustix::io::Errno::NOLCK)
    }

    /// Whether space, inodes or quota ran out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use rustix::io::Errno;
        self.is(Errno::NOSPC) || self.is(Errno::DQUOT)
    }
}

/// A path made absolute by the current directory, with no link resolved: the same project may be reached
/// by two paths, and each keeps its own.
pub(crate) fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf, DiskError> {
    camino::absolute_utf8(path).map_err(|source| DiskError::new("find", path.as_str(), source))
}

#[cfg(test)]
mod tests;

/// `None` for what is not there, or is no directory, or behind a link.
pub(crate) fn unless_gone<T>(told: Result<T, DiskError>) -> Result<Option<T>, DiskError> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(error)
            if [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
                .iter()
                .any(|errno| error.is(*errno)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
