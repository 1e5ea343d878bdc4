use super::{Digest, Entry, EntryKind, Image, Kind, Timestamp};

/// What stood at a path at one time, as far as it makes a difference to whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// What it was.
    pub kind: Kind,
    /// Bytes; 0 for everything but files.
    pub size: u64,
    /// The permission bits; 0 for links.
    pub mode: u32,
    /// When the content had changed last.
    pub mtime: Timestamp,
    /// Digest of a file's content, or of a tree's manifest; `None` if it was never recorded.
    pub digest: Option<Digest>,
    /// Where a symbolic link pointed.
    pub target: Option<String>,
}

impl Version {
    /// What an image shows, with what is known of its content.
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

    /// Whether the two differ in nothing but the time of a directory, which is moved by every change in
    /// it.
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
