use crate::catalog::EntryRow;
use crate::disk::Dir;
use crate::error::Error;
use crate::look::Look;
use crate::model::{Kind, Manifest, Place, Stat, Version};
use crate::tree::{self, Depth, Difference, DifferenceKind};

/// Knowledge of the catalog that avoids reading content.
#[derive(Debug, Clone, Copy, Default)]
struct Known<'a> {
    /// The recorded entry, if it is of this disk.
    entry: Option<&'a EntryRow>,
    /// The expected content of a tree.
    manifest: Option<&'a Manifest>,
}

impl Look<'_> {
    /// The differences between the disk and a version; none if both are absent. Times of links and directories are
    /// ignored, and of a directory with unknown content only the mode is compared.
    pub(crate) fn differences(
        &self,
        place: &Place,
        version: Option<&Version>,
    ) -> Result<Vec<Difference>, Error> {
        let parent = self.parent(place)?;
        let entry = self.entry(place)?;
        let digest = version
            .filter(|it| it.kind == Kind::Dir)
            .and_then(|it| it.digest);
        let manifest = match digest {
            Some(digest) => self.manifest(&digest)?,
            None => None,
        };
        let known = Known {
            entry: entry.as_ref().filter(|_| self.at_home),
            manifest: manifest.as_ref(),
        };
        differences_at(parent.as_ref(), place.path.name(), version, known)
    }
}

/// Compares the tree below `root` with the manifest that was installed there.
pub(super) fn compare(
    root: &Dir,
    entry: &EntryRow,
    manifest: &Manifest,
    full: bool,
) -> Result<Vec<Difference>, Error> {
    let own = root.own_stat()?.identity == entry.image.identity;
    let signature = entry.signature_if(!entry.racy).filter(|_| own);
    let signature = signature.as_deref();
    let depth = if full { Depth::Full } else { Depth::Signature };
    Ok(tree::verify(root, manifest, signature, depth, &|_| {})?.differences)
}

fn differences_at(
    parent: Option<&Dir>,
    name: &str,
    version: Option<&Version>,
    known: Known<'_>,
) -> Result<Vec<Difference>, Error> {
    let stat = match parent {
        Some(parent) => parent.stat(name)?,
        None => None,
    };
    let (Some(parent), Some(stat), Some(version)) = (parent, stat, version) else {
        return Ok(match (stat, version) {
            (None, None) => Vec::new(),
            (Some(_), _) => vec![Difference::of_root(DifferenceKind::Extra)],
            (None, Some(_)) => vec![Difference::missing()],
        });
    };
    let one = |what| Ok(vec![Difference::of_root(what)]);
    match (stat.kind, &version.digest) {
        (found, _) if found != version.kind => {
            let expected = version.kind;
            return one(DifferenceKind::Kind { expected, found });
        }
        (Kind::Dir, Some(digest)) => {
            let Some(manifest) = known.manifest else {
                return one(DifferenceKind::Content);
            };
            let root = parent.open_dir(name)?;
            let own = |entry: &&EntryRow| {
                let same = entry.image.identity == stat.identity;
                entry.digest == Some(*digest) && same
            };
            let entry = known.entry.filter(own);
            let signature = entry.and_then(|entry| entry.signature_if(!entry.racy));
            let signature = signature.as_deref();
            let depth = Depth::Signature;
            return Ok(tree::verify(&root, manifest, signature, depth, &|_| {})?.differences);
        }
        (Kind::Link, _) => {
            let found = parent.read_link(name)?;
            return match &version.target {
                Some(expected) if *expected != found => {
                    let (expected, found) = (expected.clone(), found.escape_debug().to_string());
                    one(DifferenceKind::Target { expected, found })
                }
                _ => Ok(Vec::new()),
            };
        }
        _ => {}
    }
    let mut found = of_stat(&stat, version);
    let read = stat.kind == Kind::File && stat.size == version.size;
    let vouched = known.entry.is_some_and(|entry| {
        !entry.racy && entry.vouches_for(&stat) && entry.digest == version.digest
    });
    if let Some(digest) = version.digest.filter(|_| read && !vouched)
        && parent.hash(&parent.open_file(name)?, name)? != digest
    {
        found.push(DifferenceKind::Content);
    }
    Ok(found.into_iter().map(Difference::of_root).collect())
}

/// The differences of a file or directory that `stat` shows.
fn of_stat(stat: &Stat, version: &Version) -> Vec<DifferenceKind> {
    let mut found = Vec::new();
    let is_file = stat.kind == Kind::File;
    if is_file && stat.size != version.size {
        let (expected, found_size) = (version.size, stat.size);
        found.push(DifferenceKind::Size {
            expected,
            found: found_size,
        });
    }
    if stat.mode != version.mode {
        let (expected, found_mode) = (version.mode, stat.mode);
        found.push(DifferenceKind::Mode {
            expected,
            found: found_mode,
        });
    }
    if is_file && !stat.holds_mtime(version.mtime) {
        let (expected, found_mtime) = (version.mtime, stat.mtime);
        found.push(DifferenceKind::Mtime {
            expected,
            found: found_mtime,
        });
    }
    found
}
