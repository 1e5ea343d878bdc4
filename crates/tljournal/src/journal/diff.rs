//! The changes of a transaction, including the entries of trees.

use super::history::History;
use crate::catalog::{Around, ChangeRecord};
use crate::error::Error;
use crate::model::{Anchor, Entry, Image, Kind, Op, Place, RelPath, Version};

/// The change of a transaction at one of its paths.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PathDiff {
    /// The path, as the opener knows it.
    pub path: String,
    /// The operation.
    pub op: Op,
    /// The version before.
    pub before: Option<Version>,
    /// The version after.
    pub after: Option<Version>,
    /// Whether the version before was not written by the journal: its content is unknown then.
    pub drift: bool,
    /// The differences within the tree, sorted by path, if the versions on both sides are known.
    pub entries: Option<Vec<EntryDiff>>,
}

/// An entry of a tree that was changed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EntryDiff {
    /// The path below the tree's root; empty for the root itself.
    pub path: String,
    /// The version before.
    pub before: Option<Version>,
    /// The version after.
    pub after: Option<Version>,
}

impl History<'_> {
    /// The changes of the transaction with this number.
    ///
    /// # Errors
    /// As for [`History::transactions`].
    pub fn diff(&self, number: i64) -> Result<Vec<PathDiff>, Error> {
        let changes = self.changes(number)?;
        // The entries of a tree that was changed in place are compared by its manifests.
        let whole = |change: &ChangeRecord| !matches!(change.op, Op::Part | Op::Dir);
        let changes = changes.into_iter().filter(whole);
        changes
            .map(|change| self.path_diff(number, change))
            .collect()
    }

    fn path_diff(&self, number: i64, change: ChangeRecord) -> Result<PathDiff, Error> {
        let anchor = if change.in_home {
            Anchor::Home
        } else {
            Anchor::Root
        };
        let path = RelPath::new(&change.path)?;
        let place = Place { anchor, path };
        // Drift within a tree is detected only when the old tree is cleaned up.
        let shown = self.look.shown(&place);
        let drift = change.drift || self.look.ask(|catalog| catalog.has_drift(number, &shown))?;
        let known = match change.before {
            Some(_) if !drift => self.version_at(&place, Around::Before(number))?,
            _ => None,
        };
        let before = change.before.map(|image| before(&image, known.as_ref()));
        // The image of a parent directory is unknown before it is created.
        let parent = change.op == Op::Parent;
        let after = change.after.filter(|_| !parent);
        let after = after.map(|image| Version::of(&image, change.digest, change.target.clone()));
        Ok(PathDiff {
            path: shown,
            entries: self.entries(before.as_ref(), after.as_ref())?,
            op: change.op,
            before,
            after,
            drift,
        })
    }

    /// Compares two trees by their manifests; `None` if neither is a tree, or a manifest is unknown.
    fn entries(
        &self,
        before: Option<&Version>,
        after: Option<&Version>,
    ) -> Result<Option<Vec<EntryDiff>>, Error> {
        let is_tree = |version: &Version| version.kind == Kind::Dir;
        if ![before, after].into_iter().flatten().any(is_tree) {
            return Ok(None);
        }
        let (before, after) = (self.entries_of(before)?, self.entries_of(after)?);
        Ok(before.zip(after).map(|(old, new)| differing(&old, &new)))
    }

    /// The entries of a tree, none for other kinds; `None` if its manifest is unknown.
    fn entries_of(&self, version: Option<&Version>) -> Result<Option<Vec<Entry>>, Error> {
        let Some(tree) = version.filter(|version| version.kind == Kind::Dir) else {
            return Ok(Some(Vec::new()));
        };
        let Some(digest) = tree.digest else {
            return Ok(None);
        };
        let manifest = self.look.manifest(&digest)?;
        Ok(manifest.map(|manifest| manifest.entries().to_vec()))
    }
}

/// The version before: its image, with the digest that an earlier transaction recorded.
fn before(image: &Image, known: Option<&Version>) -> Version {
    let own = Version::of(image, None, None);
    let same = known.filter(|known| {
        known.kind == own.kind
            && (own.kind == Kind::Dir || (known.size, known.mtime) == (own.size, own.mtime))
    });
    let digest = same.and_then(|known| known.digest);
    Version::of(image, digest, same.and_then(|known| known.target.clone()))
}

/// The differences between two sorted lists.
fn differing(before: &[Entry], after: &[Entry]) -> Vec<EntryDiff> {
    let mut found = Vec::new();
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => old.path.cmp(&new.path),
        };
        let one = old.next_if(|_| order.is_le());
        let other = new.next_if(|_| order.is_ge());
        let Some(path) = one.or(other).map(|entry| entry.path.clone()) else {
            return found;
        };
        let (before, after) = (one.map(Version::from), other.map(Version::from));
        if before != after {
            found.push(EntryDiff {
                path,
                before,
                after,
            });
        }
    }
}
