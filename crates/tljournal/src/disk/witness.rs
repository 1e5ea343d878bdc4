use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::model::Stat;

/// What a mutating call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Creates an empty file that was not there.
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
    /// Sets or takes away an extended attribute or an ACL.
    SetAttribute,
    /// Makes a directory.
    MakeDir,
    /// Makes a symbolic link.
    MakeLink,
    /// Gives a file a second name.
    HardLink,
    /// Renames to a name that was free.
    RenameNew,
    /// Swaps two entries.
    Exchange,
    /// Renames over whatever has the name.
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
    /// All of them.
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
    /// What is done.
    pub verb: Verb,
    /// To what: the path as the journal was opened.
    pub path: &'a Utf8Path,
    /// The second path of renames, exchanges and links.
    pub other: Option<Utf8PathBuf>,
    /// Where a write begins; the length of a truncation; the bits of a mode.
    pub offset: u64,
    /// What is written; the target of a symbolic link.
    pub data: &'a [u8],
}

/// What a kernel or a filesystem may be without, besides whole kinds of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lacks {
    /// The kernel does not know `openat2`, or a sandbox forbids it.
    pub openat2: bool,
    /// Inodes do not know when they were made.
    pub birth_times: bool,
    /// `syncfs` succeeds and makes nothing durable, as on FUSE.
    pub syncfs: bool,
    /// Files cannot be locked as a whole.
    pub flock: bool,
    /// Nor can bytes of a file.
    pub byte_locks: bool,
}

/// Stands between the engine and the filesystem.
///
/// Told of every mutating call of the engine, in order, from the thread that makes it. What SQLite does by
/// itself is not among them: the test support brings it here, by a layer around SQLite's VFS.
pub trait Witness: Send + Sync {
    /// Called before the call is made.
    ///
    /// # Errors
    /// An error is returned in place of the call, which is then not made.
    fn before(&self, call: &Call<'_>) -> io::Result<()>;

    /// Told what something was found to be, and may change it: what a simulated power cut has left is made
    /// of new inodes, and stands for those that the catalog knows.
    fn found(&self, stat: &mut Stat) {
        let _ = stat;
    }

    /// What is to be missing.
    fn lacks(&self) -> Lacks {
        Lacks::default()
    }

    /// How much of a write is made: the rest is left to the next one, as the kernel may do.
    fn write_bytes_max(&self) -> Option<usize> {
        None
    }

    /// Called after the call was made.
    fn after(&self, call: &Call<'_>, made: Result<(), &io::Error>) {
        let _ = (call, made);
    }
}
