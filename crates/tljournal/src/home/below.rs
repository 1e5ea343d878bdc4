//! Maps a path of the caller to one below the root. A relative path is relative to the root; an absolute path is
//! resolved by finding the root among its ancestors, whichever path leads to it.

use camino::Utf8Path;

use super::Home;
use crate::disk::{Dir, Disk, DiskError};
use crate::error::{Error, UsageError};
use crate::model::{NamedPath, PathError, Place, RelPath, Stat};

/// The path below a project's root that a caller names.
///
/// # Errors
/// [`Error::Usage`] when it is malformed, or is not below the root; [`Error::Disk`] when the root cannot be opened.
pub fn below_root(root: &Utf8Path, path: &NamedPath) -> Result<RelPath, Error> {
    match path {
        NamedPath::Below(path) => Ok(path.clone()),
        NamedPath::Absolute(path) => {
            let root = crate::disk::absolute(root)?;
            inside(&Dir::open(&root, Disk::default())?, path)
        }
    }
}

/// The same for an open root.
pub(crate) fn named_below(
    root: &Dir,
    path: impl TryInto<NamedPath, Error = PathError>,
) -> Result<RelPath, Error> {
    match path.try_into()? {
        NamedPath::Below(path) => Ok(path),
        NamedPath::Absolute(path) => inside(root, &path),
    }
}

impl Home {
    /// The path below the root that a caller names.
    pub(crate) fn below_root(
        &self,
        path: impl TryInto<NamedPath, Error = PathError>,
    ) -> Result<RelPath, Error> {
        named_below(&self.root, path)
    }

    /// The place of a path of the caller.
    pub(crate) fn place_named(&self, path: &str) -> Result<Place, Error> {
        self.place(&self.below_root(path)?)
    }
}

/// The rest of an absolute path below the root.
fn inside(root: &Dir, path: &Utf8Path) -> Result<RelPath, Error> {
    let parts: Vec<_> = path
        .as_str()
        .split('/')
        .filter(|part| !["", "."].contains(part))
        .collect();
    let (own, disk) = (root.own_stat()?, root.disk());
    let prefix = |count: usize| format!("/{}", parts[..count].join("/"));
    // An ancestor that cannot be read is skipped; another one may still be the root.
    let look = |count: usize| disk.stat_at(prefix(count).as_str().into()).ok().flatten();
    let is_root = |stat: Stat| (stat.dev, stat.identity) == (own.dev, own.identity);
    // The last match counts, because `..` may lead out of the root and back. The path itself is never followed.
    let behind = (0..parts.len())
        .rev()
        .find(|count| look(*count).is_some_and(is_root));
    if let Some(count) = behind {
        return Ok(RelPath::new(&parts[count..].join("/"))?);
    }
    if look(parts.len()).is_some_and(is_root) {
        return Ok(RelPath::new(".")?);
    }
    // A link from outside may lead into the middle of the project.
    let there = (0..parts.len()).rev().find(|count| look(*count).is_some());
    let real = |count: usize| -> Result<_, DiskError> {
        let real = disk.real_path_of(prefix(count).as_str().into())?;
        Ok((real, root.real_path()?))
    };
    if let Some(count) = there
        && let Ok((real, top)) = real(count)
        && let Ok(below) = real.strip_prefix(&top)
    {
        let rest = below.join(parts[count..].join("/"));
        return Ok(RelPath::new(rest.as_str())?);
    }
    Err(UsageError::Outside {
        path: path.as_str().escape_debug().to_string(),
        root: root.path().as_str().escape_debug().to_string(),
    }
    .into())
}
