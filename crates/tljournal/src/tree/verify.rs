use super::draft::unsigned;
use super::look::{Found, Look};
use super::spread::{cores, spread};
use super::{Difference, Tick, TreeError};
use crate::disk::Dir;
use crate::model::{Manifest, Signature};

/// How many differences are collected; a tree with more is simply another one.
pub(super) const DIFFERENCES_MAX: usize = 10_000;
/// How many entries a thread takes at a time.
const GRAIN: usize = 128;

/// How closely a tree is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only what the signature cannot vouch for is read.
    Signature,
    /// Everything is read.
    Full,
}

/// What a look at a tree found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// In the order of the manifest, extra entries at the directory they are in; at most 10,000.
    pub(crate) differences: Vec<Difference>,
    /// The signature to record when nothing is different and the old one could not vouch for everything.
    pub(crate) refreshed: Option<Signature>,
    pub(crate) hashed_bytes: u64,
}

/// Compares the tree at `root` with its manifest, one `statx` for each entry, on all cores.
///
/// A directory that the signature vouches for is not listed: its names cannot have changed. The root is
/// always listed, because its own ctime is no part of what counts (a rename moves it).
pub(crate) fn verify(
    root: &Dir,
    manifest: &Manifest,
    signature: Option<&Signature>,
    depth: Depth,
    tick: Tick<'_>,
) -> Result<Verdict, TreeError> {
    let entries = manifest.entries();
    let known = signature
        .map(Signature::entries)
        .filter(|known| known.len() == entries.len());
    let look = Look {
        root,
        entries,
        known,
        depth,
        tick,
    };
    let workers = spread(cores(), entries.len(), GRAIN, |found: &mut Found, index| {
        look.at(index, found)
    })?;
    let mut all = Found::default();
    for found in workers {
        all.differences.extend(found.differences);
        all.refreshed.extend(found.refreshed);
        all.linked.extend(found.linked);
        all.hashed_bytes += found.hashed_bytes;
    }
    look.compare_hard_links(&mut all);
    all.differences.sort_by_key(|(index, _)| *index);
    all.differences.truncate(DIFFERENCES_MAX);
    let is_equal = all.differences.is_empty();
    let refreshed = (is_equal && !all.refreshed.is_empty()).then(|| {
        let unknown = vec![unsigned(); entries.len()];
        let mut signature = known.map_or(unknown, <[_]>::to_vec);
        for (index, entry) in all.refreshed {
            signature[index] = entry;
        }
        Signature::new(signature)
    });
    Ok(Verdict {
        differences: all.differences.into_iter().map(|(_, what)| what).collect(),
        refreshed,
        hashed_bytes: all.hashed_bytes,
    })
}
