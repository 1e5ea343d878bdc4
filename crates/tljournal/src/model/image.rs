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
    /// The word for display and for the catalog.
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

/// The identity of an inode: number and birth time.
///
/// The number alone is not enough: ext4 and btrfs reuse a freed one for the next `mkdir`. On a filesystem without
/// birth times the time is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The inode number.
    pub ino: u64,
    /// When the inode was made.
    pub born: Timestamp,
}

/// The result of one `statx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Which inode it is.
    pub identity: Identity,
    /// The device of its filesystem.
    pub dev: u64,
    /// The mount it was reached through; 0 if the kernel does not report it.
    pub mount: u64,
    /// Bytes.
    pub size: u64,
    /// The bytes it occupies on the medium: fewer than its size if it is sparse or compressed.
    pub held: u64,
    /// The permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// When the content last changed.
    pub mtime: Timestamp,
    /// When the inode last changed.
    pub ctime: Timestamp,
    /// The number of hard links.
    pub links: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Whether the filesystem refuses every change of it (`chattr +i`).
    pub immutable: bool,
    /// Whether it can only grow (`chattr +a`).
    pub append_only: bool,
}

impl Stat {
    /// Whether this inode is unchanged, within the resolution of the filesystem's clock: no write, no change of mode
    /// or owner, no new or removed link since.
    #[must_use]
    pub fn is_unchanged_since(&self, before: &Self) -> bool {
        let same_inode = self.kind == before.kind && self.identity == before.identity;
        let same_times = (self.mtime, self.ctime) == (before.mtime, before.ctime);
        same_inode && same_times && self.size == before.size
    }
}

impl Stat {
    /// The bytes of content to retain: without holes and without the filesystem's overhead.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.size.min(self.held)
    }

    /// Whether the mtime is what the filesystem stores for `wanted`, which it may not be able to represent.
    ///
    /// Every filesystem stores the seconds that fit in 32 bits, from 1901 to 2038. A time beyond its limits is stored
    /// as the limit, a whole second. Fractions of a second are truncated to the resolution of its clock, which shows
    /// in the ctime, because no program can set that.
    #[must_use]
    pub fn holds_mtime(&self, wanted: Timestamp) -> bool {
        let (found, secs) = (self.mtime, self.mtime.secs());
        let is_limit = (LATEST_SECS..=wanted.secs()).contains(&secs)
            || (wanted.secs()..=EARLIEST_SECS).contains(&secs)
            // Some filesystems store no time before 1970.
            || wanted.secs() < 0 && secs == 0;
        let cut = wanted.nanos() - wanted.nanos() % self.ctime.grain();
        found == wanted
            || found.nanos() == 0 && is_limit
            || secs == wanted.secs() && found.nanos() == cut
    }
}

/// The first and the last second that fit in 32 bits.
const EARLIEST_SECS: i64 = i32::MIN as i64;
const LATEST_SECS: i64 = i32::MAX as i64;

/// The metadata that identifies content at one time: the pre-image or the new content of a change.
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
    /// The image for this `stat`.
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

    /// Whether the content is unchanged: identity, size and mtime are compared together, because an in-place save
    /// keeps the identity and a rename changes only the ctime. For a directory only the identity counts: XFS changes
    /// its mtime when it is exchanged, and its content does not show there anyway.
    #[must_use]
    pub fn is_untouched(&self, stat: &Stat) -> bool {
        let now = Self::of(stat);
        let same_content = self.size == now.size && self.mtime == now.mtime;
        self.is_same_inode(stat) && (self.kind == Kind::Dir || same_content)
    }

    /// Whether this is the same inode, edited or not. Without birth times size and mtime are compared too.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mtime: (i64, u32), ctime_nanos: u32) -> Stat {
        Stat {
            kind: Kind::File,
            identity: Identity {
                ino: 1,
                born: Timestamp::default(),
            },
            dev: 0,
            mount: 0,
            size: 0,
            held: 0,
            mode: 0o644,
            mtime: Timestamp::new(mtime.0, mtime.1),
            ctime: Timestamp::new(1_700_000_000, ctime_nanos),
            links: 1,
            uid: 0,
            gid: 0,
            immutable: false,
            append_only: false,
        }
    }

    #[test]
    fn g5_only_a_time_that_the_filesystem_would_store_counts_as_unchanged() {
        let wanted = |secs, nanos| Timestamp::new(secs, nanos);
        let (ext4, ext4_small, xfs) = (15_032_385_535, i64::from(i32::MAX), 16_299_260_424);
        for (asked, stored, ctime_nanos) in [
            (wanted(5, 6), (5, 6), 123),
            (wanted(20_000_000_000, 5), (ext4, 0), 123),
            (wanted(20_000_000_000, 0), (xfs, 0), 123),
            (wanted(2_147_483_648, 0), (ext4_small, 0), 0),
            (wanted(2_147_483_647, 9), (ext4_small, 0), 0),
            (wanted(-3_000_000_000, 7), (i64::from(i32::MIN), 0), 123),
            (wanted(i64::MAX, 999_999_999), (ext4, 0), 123),
            (wanted(i64::MIN, 1), (i64::from(i32::MIN), 0), 0),
            (wanted(-1, 0), (0, 0), 123),
            (wanted(5, 123_456_789), (5, 0), 0),
            (wanted(5, 123_456_789), (5, 123_456_700), 987_654_300),
        ] {
            assert!(
                found(stored, ctime_nanos).holds_mtime(asked),
                "{asked} as {stored:?}"
            );
        }
        for (asked, stored, ctime_nanos) in [
            (wanted(5, 123_456_789), (5, 0), 123),
            (wanted(5, 123_456_789), (5, 123_456_000), 987_654_300),
            (wanted(5, 0), (4, 0), 0),
            (wanted(20_000_000_000, 0), (1_700_000_000, 0), 0),
            (wanted(20_000_000_000, 0), (ext4, 1), 123),
            (wanted(2_000_000_000, 0), (ext4_small, 0), 0),
            (wanted(-3_000_000_000, 0), (-5, 0), 0),
            (wanted(3_000_000_000, 0), (ext4, 0), 0),
        ] {
            assert!(
                !found(stored, ctime_nanos).holds_mtime(asked),
                "{asked} as {stored:?}"
            );
        }
    }
}
