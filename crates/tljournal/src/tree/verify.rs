use std::cmp::Reverse;

use super::draft::unsigned;
use super::look::{Found, Look};
use super::read::Reader;
use super::spread::spread;
use super::{Difference, Tick, TreeError};
use crate::disk::Dir;
use crate::model::{Entry, EntryKind, EntrySignature, Manifest, Signature};

/// The largest number of differences that are collected.
pub(super) const DIFFERENCES_MAX: usize = 10_000;
/// The number of entries that a thread takes at a time.
const GRAIN: usize = 128;

/// How thoroughly a tree is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Reads only files whose signature does not prove that they are unchanged.
    Signature,
    /// Reads every file.
    Full,
}

/// The result of comparing a tree with its manifest.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// In the order of the manifest, extra entries at the directory they are in; at most 10,000.
    pub(crate) differences: Vec<Difference>,
    /// The signature to record if there is no difference and the old signature did not cover every entry.
    pub(crate) refreshed: Option<Signature>,
    pub(crate) hashed_bytes: u64,
}

/// The result of comparing a tree without reading content.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// As in [`Verdict`], each with the index of its entry.
    pub(crate) differences: Vec<(usize, Difference)>,
    /// The indexes of the files whose content must still be compared, in order.
    pub(crate) unread: Vec<usize>,
    refreshed: Vec<(usize, EntrySignature)>,
}

/// Compares the tree at `root` with its manifest, one `statx` for each entry, on all cores, and then the content that
/// must be read.
///
/// A directory whose signature is unchanged is not listed, because its names cannot have changed. The root is always
/// listed, because a rename changes its ctime.
pub(crate) fn verify(
    root: &Dir,
    manifest: &Manifest,
    signature: Option<&Signature>,
    depth: Depth,
    tick: Tick<'_>,
) -> Result<Verdict, TreeError> {
    let Survey {
        mut differences,
        unread,
        refreshed,
    } = survey(root, manifest, signature, depth)?;
    let entries = manifest.entries();
    let order = largest_first(entries, unread);
    let workers = spread(order.len(), 1, |worker: &mut Reader, number| {
        let index = order[number];
        let what = worker.compare(root, &entries[index], tick)?;
        let difference = |what| (index, Difference::new(&entries[index].path, what));
        worker.found.extend(what.map(difference));
        Ok::<_, TreeError>(())
    })?;
    let hashed_bytes = workers.iter().map(|worker| worker.hashed_bytes).sum();
    differences.extend(workers.into_iter().flat_map(|worker| worker.found));
    differences.sort_by_key(|(index, _)| *index);
    differences.truncate(DIFFERENCES_MAX);
    let is_equal = differences.is_empty();
    let refreshed = (is_equal && !refreshed.is_empty()).then(|| {
        let known = known(signature, entries.len());
        let mut signature = known.map_or_else(|| vec![unsigned(); entries.len()], <[_]>::to_vec);
        for (index, entry) in refreshed {
            signature[index] = entry;
        }
        Signature::new(signature)
    });
    Ok(Verdict {
        differences: differences.into_iter().map(|(_, what)| what).collect(),
        refreshed,
        hashed_bytes,
    })
}

/// The same without reading content.
pub(crate) fn survey(
    root: &Dir,
    manifest: &Manifest,
    signature: Option<&Signature>,
    depth: Depth,
) -> Result<Survey, TreeError> {
    let entries = manifest.entries();
    let look = Look {
        root,
        entries,
        known: known(signature, entries.len()),
        depth,
    };
    let workers = spread(entries.len(), GRAIN, |found: &mut Found, index| {
        look.at(index, found)
    })?;
    let mut all = Found::default();
    for found in workers {
        all.differences.extend(found.differences);
        all.refreshed.extend(found.refreshed);
        all.linked.extend(found.linked);
        all.owners.extend(found.owners);
        all.unread.extend(found.unread);
    }
    look.compare_hard_links(&mut all);
    look.compare_owners(&mut all);
    all.differences.sort_by_key(|(index, _)| *index);
    all.unread.sort_unstable();
    Ok(Survey {
        differences: all.differences,
        unread: all.unread,
        refreshed: all.refreshed,
    })
}

fn known(signature: Option<&Signature>, entries: usize) -> Option<&[EntrySignature]> {
    signature
        .map(Signature::entries)
        .filter(|known| known.len() == entries)
}

/// Sorts large files first, so that no core is left with one at the end; small files keep their order by directory.
fn largest_first(entries: &[Entry], mut files: Vec<usize>) -> Vec<usize> {
    files.sort_by_key(|index| match entries[*index].kind {
        EntryKind::File { size, .. } => Reverse(size >> 20),
        _ => Reverse(0),
    });
    files
}
