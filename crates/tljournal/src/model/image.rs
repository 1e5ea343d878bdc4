use super::Timestamp;

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A device, socket or fifo.
    Other,
}

impl Kind {
    /// The word for people and for the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "directory",
            Self::Link => "link",
            Self::Other => "special file",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::File, Self::Dir, Self::Link, Self::Other]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// Which inode something is: number and birth time.
///
/// The number alone would not do: ext4 and btrfs hand a freed one to the next `mkdir`. Where a
/// filesystem keeps no birth times it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The inode number.
    pub ino: u64,
    /// When the inode was made.
    pub born: Timestamp,
}

/// What one `statx` told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Which inode it is.
    pub identity: Identity,
    /// The device of its filesystem.
    pub dev: u64,
    /// The mount it was reached through, 0 where the kernel does not tell.
    pub mount: u64,
    /// Bytes.
    pub size: u64,
    /// The permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// When the content changed last.
    pub mtime: Timestamp,
    /// When the inode changed last.
    pub ctime: Timestamp,
    /// How many names it has.
    pub links: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Content at one moment, as far as it takes to know it again: the pre-image or the new content of a
/// change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// What it is.
    pub kind: Kind,
    /// Which inode it is.
    pub identity: Identity,
    /// Bytes; 0 for directories, whose sizes mean nothing.
    pub size: u64,
    /// The permission bits.
    pub mode: u32,
    /// When the content changed last.
    pub mtime: Timestamp,
}

impl Image {
    /// The image of what was looked at.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self {
            kind: stat.kind,
            identity: stat.identity,
            size: if stat.kind == Kind::Dir { 0 } else { stat.size },
            mode: stat.mode,
            mtime: stat.mtime,
        }
    }

    /// Whether this is still what was there: identity, size and mtime together, because an in-place
    /// save keeps the identity, and a rename changes only the ctime. Of a directory only the identity
    /// counts: XFS moves its mtime when it is exchanged, and what is in it does not show there anyway.
    #[must_use]
    pub fn is_untouched(&self, stat: &Stat) -> bool {
        let now = Self::of(stat);
        let same_content = self.size == now.size && self.mtime == now.mtime;
        self.is_same_inode(stat) && (self.kind == Kind::Dir || same_content)
    }

    /// Whether this is the same inode, edited since or not. Without birth times size and mtime have to
    /// vouch for it.
    #[must_use]
    pub fn is_same_inode(&self, stat: &Stat) -> bool {
        let now = Self::of(stat);
        self.identity == now.identity
            && self.kind == now.kind
            && (self.identity.born != Timestamp::default()
                || self.kind == Kind::Dir
                || (self.size == now.size && self.mtime == now.mtime))
    }
}
