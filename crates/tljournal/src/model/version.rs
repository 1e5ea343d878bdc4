use super::{Digest, Entry, EntryKind, Image, Kind, Timestamp};

/// The state of a path at one time, as far as a reader can tell it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// Its kind.
    pub kind: Kind,
    /// Bytes; 0 for everything except files.
    pub size: u64,
    /// The permission bits; 0 for links.
    pub mode: u32,
    /// When the content last changed.
    pub mtime: Timestamp,
    /// Digest of a file's content or of a tree's manifest; `None` if it was not recorded.
    pub digest: Option<Digest>,
    /// The target of a symbolic link.
    pub target: Option<String>,
}

impl Version {
    /// The version that an image shows, with its known content.
    pub(crate) fn of(image: &Image, digest: Option<Digest>, target: Option<String>) -> Self {
        let is_link = image.kind == Kind::Link;
        Self {
            kind: image.kind,
            size: if image.kind == Kind::File {
                image.size
            } else {
                0
            },
            mode: if is_link { 0 } else { image.mode },
            mtime: image.mtime,
            digest,
            target,
        }
    }

    /// Whether the two are equal, ignoring the mtime of a directory, which every change in it moves.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let dirs = self.kind == Kind::Dir && other.kind == Kind::Dir;
        self == other || (dirs && self.mode == other.mode && self.digest == other.digest)
    }
}

impl From<&Entry> for Version {
    fn from(entry: &Entry) -> Self {
        let (kind, size, digest, target) = match &entry.kind {
            EntryKind::Dir => (Kind::Dir, 0, None, None),
            EntryKind::File { size, digest, .. } => (Kind::File, *size, Some(*digest), None),
            EntryKind::Link { target } => (Kind::Link, 0, None, Some(target.clone())),
        };
        Self {
            kind,
            size,
            mode: entry.mode,
            mtime: entry.mtime,
            digest,
            target,
        }
    }
}
