use super::{Stat, Timestamp};

/// The cheap fingerprint of one inode: the fields of `stat` that every change of content changes.
///
/// Size, mode and mtime are in the manifest already; the signature adds the inode number and its ctime. The idea is
/// git's index, with the ctime because the journal sets the mtime itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntrySignature {
    /// The inode number.
    pub ino: u64,
    /// When the inode last changed.
    pub ctime: Timestamp,
    /// Its owner, group and attributes; `None` if an older version recorded it.
    pub facts: Option<Facts>,
}

/// Metadata other than content, mode and time: a property of the installed entry, not of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The [mark](super::Attributes::mark) of its attributes.
    pub attributes: u64,
}

impl Facts {
    /// The facts of an entry without attributes.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self {
            uid: stat.uid,
            gid: stat.gid,
            attributes: 0,
        }
    }
}

impl EntrySignature {
    /// The signature of an entry without attributes.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self {
            ino: stat.identity.ino,
            ctime: stat.ctime,
            facts: Some(Facts::of(stat)),
        }
    }

    /// The same with attributes.
    #[must_use]
    pub fn with_attributes(mut self, mark: u64) -> Self {
        if let Some(facts) = &mut self.facts {
            facts.attributes = mark;
        }
        self
    }

    /// Whether the inode is unchanged: then nothing of it can have changed. The owner that a container with user
    /// mapping shows may differ.
    #[must_use]
    pub fn is_untouched(&self, stat: &Stat) -> bool {
        (self.ino, self.ctime) == (stat.identity.ino, stat.ctime)
    }
}

/// The signatures of a whole tree, in the order of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature(Vec<EntrySignature>);

/// The size of one encoded entry in bytes.
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

    /// The newest ctime of all entries except the root, whose ctime a rename changes.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        self.0.iter().skip(1).map(|entry| entry.ctime).max()
    }

    /// The encoding that the catalog stores.
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

    /// The same signature with the facts only: it does not prove that content is unchanged.
    #[must_use]
    pub fn facts_only(&self) -> Self {
        let blind = |entry: &EntrySignature| EntrySignature {
            ino: 0,
            ctime: Timestamp::default(),
            facts: entry.facts,
        };
        Self(self.0.iter().map(blind).collect())
    }

    /// Whether the entries of both have the same attributes, as far as they are known.
    #[must_use]
    pub fn has_attributes_of(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&other.0);
        pairs.all(|(one, other)| match (one.facts, other.facts) {
            (Some(one), Some(other)) => one.attributes == other.attributes,
            _ => true,
        })
    }

    /// The facts, as the catalog stores them.
    #[must_use]
    pub fn encode_facts(&self) -> Option<Vec<u8>> {
        encode_facts(self.0.iter().map(|entry| entry.facts))
    }

    /// Adds the facts that [`Self::encode_facts`] wrote; other bytes leave them unknown.
    #[must_use]
    pub fn with_facts(mut self, bytes: &[u8]) -> Self {
        let facts = decode_facts(bytes).unwrap_or_default();
        for (entry, facts) in self.0.iter_mut().zip(facts) {
            entry.facts = facts;
        }
        self
    }

    /// Reads what [`Self::encode`] wrote; `None` for other bytes. The facts are not included.
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
                facts: None,
            })
        };
        chunks.iter().map(entry).collect::<Option<_>>().map(Self)
    }
}

/// The size of one encoded run of equal facts: count, whether they are known, and the facts.
const RUN_BYTES: usize = 21;
/// More entries than any tree has: a damaged row must not allocate unbounded memory.
const FACTS_MAX: usize = 50_000_000;

/// Facts in order, run-length encoded, because most trees need one run. `None` if nothing is known.
pub(crate) fn encode_facts(all: impl Iterator<Item = Option<Facts>>) -> Option<Vec<u8>> {
    let mut runs: Vec<(u32, Option<Facts>)> = Vec::new();
    for facts in all {
        match runs.last_mut() {
            Some((count, last)) if *last == facts => *count += 1,
            _ => runs.push((1, facts)),
        }
    }
    runs.iter().any(|(_, facts)| facts.is_some()).then(|| {
        let mut out = Vec::with_capacity(runs.len() * RUN_BYTES);
        for (count, facts) in runs {
            let known = u8::from(facts.is_some());
            let facts = facts.unwrap_or(Facts {
                uid: 0,
                gid: 0,
                attributes: 0,
            });
            out.extend(count.to_le_bytes());
            out.push(known);
            out.extend(facts.uid.to_le_bytes());
            out.extend(facts.gid.to_le_bytes());
            out.extend(facts.attributes.to_le_bytes());
        }
        out
    })
}

/// Reads what [`encode_facts`] wrote; `None` for other bytes.
pub(crate) fn decode_facts(bytes: &[u8]) -> Option<Vec<Option<Facts>>> {
    let (runs, rest) = bytes.as_chunks::<RUN_BYTES>();
    if !rest.is_empty() {
        return None;
    }
    let mut all = Vec::new();
    for run in runs {
        let number = |from: usize| Some(u32::from_le_bytes(run[from..from + 4].try_into().ok()?));
        let count = number(0)? as usize;
        if all.len() + count > FACTS_MAX {
            return None;
        }
        let facts = Facts {
            uid: number(5)?,
            gid: number(9)?,
            attributes: u64::from_le_bytes(run[13..].try_into().ok()?),
        };
        all.resize(all.len() + count, (run[4] == 1).then_some(facts));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_encoded_as_runs_and_read_back() {
        let facts = |uid, attributes| {
            let gid = 7;
            Some(Facts {
                uid,
                gid,
                attributes,
            })
        };
        let all = [facts(0, 0), facts(0, 0), None, facts(0, 9), facts(5, 0)];
        let bytes = encode_facts(all.into_iter()).unwrap();
        assert_eq!(bytes.len(), 4 * RUN_BYTES);
        assert_eq!(decode_facts(&bytes).unwrap(), all);
        assert_eq!(encode_facts([None, None].into_iter()), None);
        assert_eq!(decode_facts(&bytes[1..]), None);
        let huge = [&u32::MAX.to_le_bytes()[..], &[0; 17]].concat();
        assert_eq!(decode_facts(&huge), None);
    }
}
