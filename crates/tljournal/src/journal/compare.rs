use crate::catalog::EntryRow;
use crate::disk::Dir;
use crate::error::Error;
use crate::model::Manifest;
use crate::tree::{self, Depth, Difference};

/// Compares the tree below `root` with the manifest that was installed there.
pub(super) fn compare(
    root: &Dir,
    entry: &EntryRow,
    manifest: &Manifest,
    full: bool,
) -> Result<Vec<Difference>, Error> {
    let known = !entry.racy && root.own_stat()?.identity == entry.image.identity;
    let signature = entry.signature.as_ref().filter(|_| known);
    let depth = if full { Depth::Full } else { Depth::Signature };
    Ok(tree::verify(root, manifest, signature, depth, &|_| {})?.differences)
}
