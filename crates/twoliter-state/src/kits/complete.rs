use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::Utf8Path;
use tljournal::{Digest, workers};

use super::error::LayoutError;
use super::layout::{Blob, Layout};

/// The largest number of blobs of an image layout.
const BLOBS_MAX: usize = 100_000;

/// Checks that a directory is an image layout with the image `wanted`, and that every referenced blob exists and has
/// the digest in its name. Hashes on all cores.
pub(super) fn check_complete(path: &Utf8Path, wanted: Digest) -> Result<(), LayoutError> {
    let layout = Layout::open(path)?;
    let contents = layout.contents()?;
    if !contents.documents.contains(&wanted) {
        let there = contents.documents.iter().take(8).map(Digest::to_string);
        let there: Vec<_> = there.collect();
        return Err(LayoutError::NoImage {
            wanted: wanted.to_string(),
            there: match there.is_empty() {
                true => "none".to_owned(),
                false => there.join(", "),
            },
        });
    }
    if let Some(error @ LayoutError::Missing { .. }) = contents.unusable {
        return Err(error);
    }
    let mut blobs = BTreeMap::new();
    for image in contents.images {
        let manifest = image.manifest?;
        for descriptor in std::iter::once(manifest.config()).chain(manifest.layers()) {
            let blob = Blob::of(descriptor)?;
            blobs.insert(blob, ());
            if blobs.len() > BLOBS_MAX {
                let what = "it has more than 100000 blobs";
                return Err(LayoutError::TooMuch { what });
            }
        }
    }
    // Large blobs first, so that no core is left with one at the end.
    let mut blobs: Vec<_> = blobs.into_keys().collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    check_all(&layout, &blobs)
}

fn check_all(layout: &Layout, blobs: &[Blob]) -> Result<(), LayoutError> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = layout.check(*blob) {
                next.store(blobs.len(), Ordering::Relaxed);
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    workers::together(cores.min(blobs.len()), work);
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)
}
