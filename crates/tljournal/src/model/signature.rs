use super::{Stat, Timestamp};

/// The cheap fingerprint of one inode: what `stat` tells that a change of content cannot leave alone.
///
/// Size, mode and mtime stand in the manifest already; the inode and its ctime are what is added. The
/// idea is git's index, with ctime because mtime is ours to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntrySignature {
    /// The inode number.
    pub ino: u64,
    /// When the inode changed last.
    pub ctime: Timestamp,
}

impl EntrySignature {
    /// The signature of what was looked at.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self {
            ino: stat.identity.ino,
            ctime: stat.ctime,
        }
    }
}

/// The signatures of a whole tree, in the order of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature(Vec<EntrySignature>);

/// Bytes of one entry in the encoding.
const ENTRY_BYTES: usize = 20;

impl Signature {
    /// The signature with these entries.
    #[must_use]
    pub fn new(entries: Vec<EntrySignature>) -> Self {
        Self(entries)
    }

    /// The entries in manifest order.
    #[must_use]
    pub fn entries(&self) -> &[EntrySignature] {
        &self.0
    }

    /// The newest ctime of all entries but the first, the root, which a rename touches.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        self.0.iter().skip(1).map(|entry| entry.ctime).max()
    }

    /// The bytes that the catalog keeps.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() * ENTRY_BYTES);
        for entry in &self.0 {
            out.extend(entry.ino.to_le_bytes());
            out.extend(entry.ctime.secs().to_le_bytes());
            out.extend(entry.ctime.nanos().to_le_bytes());
        }
        out
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is something else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() {
            return None;
        }
        let entry = |chunk: &[u8; ENTRY_BYTES]| {
            Some(EntrySignature {
                ino: u64::from_le_bytes(chunk[..8].try_into().ok()?),
                ctime: Timestamp::new(
                    i64::from_le_bytes(chunk[8..16].try_into().ok()?),
                    u32::from_le_bytes(chunk[16..].try_into().ok()?),
                ),
            })
        };
        chunks.iter().map(entry).collect::<Option<_>>().map(Self)
    }
}
