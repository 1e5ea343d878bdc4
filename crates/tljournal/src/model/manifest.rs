use super::{Digest, Timestamp};

/// The list of all entries of a tree, sorted by path; the root comes first, with the empty path.
///
/// The SHA-256 of [`Manifest::encode`] identifies it: two trees are equal exactly when their manifests have the same
/// digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest(Vec<Entry>);

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path below the tree's root, empty for the root itself.
    pub path: String,
    /// Permission bits, with setuid, setgid and sticky where those are kept; 0 for links.
    pub mode: u32,
    /// When the content last changed.
    pub mtime: Timestamp,
    /// Its type and content.
    pub kind: EntryKind,
}

/// The type of an entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A file.
    File {
        /// Bytes.
        size: u64,
        /// SHA-256 of the content.
        digest: Digest,
        /// The first entry, in manifest order, that is the same inode, unless it is this one.
        same_as: Option<u32>,
    },
    /// A symbolic link. Its target is text and never followed.
    Link {
        /// The target.
        target: String,
    },
}

/// Bytes are not an encoded manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a manifest: {0}")]
pub struct ManifestError(&'static str);

/// The first bytes of every encoded manifest, with the version of the encoding.
const MAGIC: &[u8; 8] = b"tljmft\0\x01";

impl Manifest {
    /// The manifest of these entries, sorted by path, root first.
    ///
    /// # Errors
    /// [`ManifestError`] when the root is missing, a path occurs twice, is out of order, leaves the tree or has a
    /// parent that is not a directory, or a hard link does not name an earlier file of equal content.
    pub fn new(entries: Vec<Entry>) -> Result<Self, ManifestError> {
        match entries.first() {
            Some(root) if root.path.is_empty() && root.kind == EntryKind::Dir => {}
            _ => return Err(ManifestError("it does not begin with a root directory")),
        }
        let mut dirs = std::collections::BTreeSet::from([""]);
        // The parent of the previous entry; most often the next entry has the same one.
        let mut known = "";
        for pair in entries.windows(2) {
            let entry = &pair[1];
            if pair[0].path >= entry.path {
                return Err(ManifestError("its paths are not sorted"));
            }
            let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
            if !entry.path.split('/').all(plain) {
                return Err(ManifestError("a path leaves the tree"));
            }
            if parent != known && !dirs.contains(parent) {
                return Err(ManifestError("an entry's parent is not a directory"));
            }
            known = parent;
            match &entry.kind {
                EntryKind::Dir => {
                    dirs.insert(&entry.path);
                }
                EntryKind::File {
                    same_as: Some(first),
                    digest,
                    ..
                } => match entries
                    .get(*first as usize)
                    .map(|entry| (&entry.path, &entry.kind))
                {
                    Some((
                        path,
                        EntryKind::File {
                            same_as: None,
                            digest: same,
                            ..
                        },
                    )) if *path < entry.path && same == digest => {}
                    _ => return Err(ManifestError("a hard link names no earlier file")),
                },
                EntryKind::File { .. } | EntryKind::Link { .. } => {}
            }
        }
        Ok(Self(entries))
    }

    /// The entries, root first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The entries, by value.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        self.0
    }

    /// The bytes of all files; each group of hard links counts once.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = |entry: &Entry| match entry.kind {
            EntryKind::File {
                size,
                same_as: None,
                ..
            } => size,
            _ => 0,
        };
        self.0.iter().map(bytes).fold(0, u64::saturating_add)
    }

    /// The digest that identifies the manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// The canonical encoding: little-endian numbers, texts prefixed with their length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.0.len() * 96);
        out.extend(MAGIC);
        out.extend((self.0.len() as u64).to_le_bytes());
        for entry in &self.0 {
            put_text(&mut out, &entry.path);
            out.extend(entry.mode.to_le_bytes());
            out.extend(entry.mtime.secs().to_le_bytes());
            out.extend(entry.mtime.nanos().to_le_bytes());
            match &entry.kind {
                EntryKind::Dir => out.push(b'd'),
                EntryKind::File {
                    size,
                    digest,
                    same_as,
                } => {
                    out.push(b'f');
                    out.extend(size.to_le_bytes());
                    out.extend(digest.as_bytes());
                    out.extend(same_as.map_or(0, |first| first + 1).to_le_bytes());
                }
                EntryKind::Link { target } => {
                    out.push(b'l');
                    put_text(&mut out, target);
                }
            }
        }
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`ManifestError`] when the bytes are anything else. Hostile bytes cost no more memory than their own size.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut rest = Reader(bytes);
        if rest.take(MAGIC.len())? != MAGIC {
            return Err(ManifestError("it has no known beginning"));
        }
        let count = u64::from_le_bytes(rest.array()?);
        let mut entries = Vec::new();
        for _ in 0..count {
            let path = rest.text()?;
            let mode = u32::from_le_bytes(rest.array()?);
            let secs = i64::from_le_bytes(rest.array()?);
            let nanos = u32::from_le_bytes(rest.array()?);
            let mtime = Timestamp::new(secs, nanos);
            if mtime.nanos() != nanos {
                return Err(ManifestError("a time has too many nanoseconds"));
            }
            let kind = match rest.take(1)? {
                b"d" => EntryKind::Dir,
                b"f" => EntryKind::File {
                    size: u64::from_le_bytes(rest.array()?),
                    digest: Digest::from_bytes(rest.array()?),
                    same_as: u32::from_le_bytes(rest.array()?).checked_sub(1),
                },
                b"l" => EntryKind::Link {
                    target: rest.text()?,
                },
                _ => return Err(ManifestError("an entry is of no known kind")),
            };
            entries.push(Entry {
                path,
                mode,
                mtime,
                kind,
            });
        }
        if !rest.0.is_empty() {
            return Err(ManifestError("something follows it"));
        }
        Self::new(entries)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ManifestError> {
        let (head, tail) = self
            .0
            .split_at_checked(count)
            .ok_or(ManifestError("it is cut short"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ManifestError> {
        let bytes = self.take(N)?;
        bytes
            .try_into()
            .map_err(|_| ManifestError("it is cut short"))
    }

    fn text(&mut self) -> Result<String, ManifestError> {
        let count = u64::from_le_bytes(self.array()?);
        let count = usize::try_from(count).map_err(|_| ManifestError("it is cut short"))?;
        let bytes = self.take(count)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| ManifestError("a text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(path: &str) -> Entry {
        Entry {
            path: path.to_owned(),
            mode: 0o755,
            mtime: Timestamp::new(-7, 8),
            kind: EntryKind::Dir,
        }
    }

    fn file(path: &str, same_as: Option<u32>) -> Entry {
        let kind = EntryKind::File {
            size: 3,
            digest: Digest::of(b"abc"),
            same_as,
        };
        Entry { kind, ..dir(path) }
    }

    #[test]
    fn encoding_round_trips_and_names_the_content() {
        let link = Entry {
            kind: EntryKind::Link {
                target: "../x\n".to_owned(),
            },
            ..dir("d/l")
        };
        let entries = vec![
            dir(""),
            dir("d"),
            file("d/f", None),
            link,
            file("e", Some(2)),
        ];
        let manifest = Manifest::new(entries).unwrap();
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).as_ref(), Ok(&manifest));
        assert_eq!(manifest.bytes(), 3);
        for end in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    /// An encoding that was not canonical was accepted: the manifest had another digest than its bytes.
    #[test]
    fn a_time_with_too_many_nanoseconds_is_refused() {
        let mut bytes = Manifest::new(vec![dir("")]).unwrap().encode();
        let nanos = bytes.len() - 5;
        assert_eq!(bytes[nanos..nanos + 4], 8_u32.to_le_bytes());
        bytes[nanos..nanos + 4].copy_from_slice(&1_000_000_000_u32.to_le_bytes());
        assert!(Manifest::decode(&bytes).is_err());
    }

    /// The sizes of a hostile manifest overflowed.
    #[test]
    fn the_sum_of_huge_sizes_saturates() {
        let mut large = file("a", None);
        if let EntryKind::File { size, .. } = &mut large.kind {
            *size = u64::MAX;
        }
        let manifest = Manifest::new(vec![dir(""), large, file("b", None)]).unwrap();
        assert_eq!(manifest.bytes(), u64::MAX);
    }

    #[test]
    fn g8_manifests_that_leave_the_tree_are_refused() {
        for bad in ["..", "a/../b", "/a", "a//b", "a/."] {
            assert!(
                Manifest::new(vec![dir(""), dir("a"), file(bad, None)]).is_err(),
                "{bad}"
            );
        }
        assert!(Manifest::new(vec![dir(""), file("a", None), file("a/b", None)]).is_err());
        assert!(Manifest::new(vec![dir(""), file("b", None), file("a", None)]).is_err());
        assert!(Manifest::new(vec![dir(""), file("b", Some(1))]).is_err());
        assert!(Manifest::new(vec![]).is_err());
    }
}
