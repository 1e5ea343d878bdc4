use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::model::Stat;

/// The operation of a mutating call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Creates a new, empty file.
    CreateFile,
    /// Writes into a file.
    Write,
    /// Sets the length of a file.
    Truncate,
    /// Sets permission bits.
    SetMode,
    /// Sets the mtime.
    SetTimes,
    /// Sets owner and group.
    SetOwner,
    /// Sets or removes an extended attribute or an ACL.
    SetAttribute,
    /// Creates a directory.
    MakeDir,
    /// Creates a symbolic link.
    MakeLink,
    /// Creates a hard link.
    HardLink,
    /// Renames to a name that does not exist.
    RenameNew,
    /// Exchanges two entries.
    Exchange,
    /// Renames over an existing entry.
    RenameOver,
    /// Removes a file or link.
    RemoveFile,
    /// Removes an empty directory.
    RemoveDir,
    /// Makes a file durable.
    SyncFile,
    /// Makes a directory's entries durable.
    SyncDir,
    /// Makes a whole filesystem durable.
    SyncFilesystem,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 18] = [
        Self::CreateFile,
        Self::Write,
        Self::Truncate,
        Self::SetMode,
        Self::SetTimes,
        Self::SetOwner,
        Self::SetAttribute,
        Self::MakeDir,
        Self::MakeLink,
        Self::HardLink,
        Self::RenameNew,
        Self::Exchange,
        Self::RenameOver,
        Self::RemoveFile,
        Self::RemoveDir,
        Self::SyncFile,
        Self::SyncDir,
        Self::SyncFilesystem,
    ];

    /// The verb in an error: "failed to {phrase} `path`".
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::CreateFile => "create",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::SetMode => "set the mode of",
            Self::SetTimes => "set the mtime of",
            Self::SetOwner => "set the owner of",
            Self::SetAttribute => "set the attributes of",
            Self::MakeDir => "make the directory",
            Self::MakeLink => "make the symbolic link",
            Self::HardLink => "make the hard link",
            Self::RenameNew | Self::RenameOver => "rename",
            Self::Exchange => "exchange",
            Self::RemoveFile => "remove",
            Self::RemoveDir => "remove the directory",
            Self::SyncFile => "sync",
            Self::SyncDir => "sync the directory",
            Self::SyncFilesystem => "sync the filesystem of",
        }
    }
}

/// One mutating call, as a [`Witness`] sees it.
#[derive(Debug)]
pub struct Call<'a> {
    /// The operation.
    pub verb: Verb,
    /// The path, below the path that the journal was opened with.
    pub path: &'a Utf8Path,
    /// The second path of renames, exchanges and links.
    pub other: Option<Utf8PathBuf>,
    /// The offset of a write; the length of a truncation; the bits of a mode.
    pub offset: u64,
    /// The bytes written; the target of a symbolic link.
    pub data: &'a [u8],
}

/// Features of the kernel or the filesystem that a test can switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lacks {
    /// The kernel does not know `openat2`, or a sandbox forbids it.
    pub openat2: bool,
    /// Inodes have no birth time.
    pub birth_times: bool,
    /// `syncfs` succeeds and makes nothing durable, as on FUSE.
    pub syncfs: bool,
    /// `flock` is not supported.
    pub flock: bool,
    /// Byte locks are not supported.
    pub byte_locks: bool,
}

/// Observes the calls between the engine and the filesystem.
///
/// It receives every mutating call of the engine, in order, from the thread that makes it. SQLite's own calls are not
/// included: the test support adds them through a layer around SQLite's VFS.
pub trait Witness: Send + Sync {
    /// Called before the call is made.
    ///
    /// # Errors
    /// An error is returned instead of making the call.
    fn before(&self, call: &Call<'_>) -> io::Result<()>;

    /// Receives the result of a `stat` and may change it: after a simulated power cut new inodes stand for those that
    /// the catalog records.
    fn found(&self, stat: &mut Stat) {
        let _ = stat;
    }

    /// The features to treat as missing.
    fn lacks(&self) -> Lacks {
        Lacks::default()
    }

    /// The largest size of one write; the rest is left to the next one, as the kernel may do.
    fn write_bytes_max(&self) -> Option<usize> {
        None
    }

    /// Called after the call was made.
    fn after(&self, call: &Call<'_>, made: Result<(), &io::Error>) {
        let _ = (call, made);
    }
}
