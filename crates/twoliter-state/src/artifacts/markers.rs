use std::collections::BTreeSet;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::Error;

/// The suffix of a marker's name after the name of its output.
pub const MARKER_EXTENSION: &str = ".buildsys_marker";

/// The kind of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A package: RPMs.
    Package,
    /// A kit: a repository of RPMs.
    Kit,
    /// A variant: images.
    Variant,
}

impl Kind {
    /// The directory of its markers, below the one of the architecture.
    #[must_use]
    pub fn dir(self) -> &'static str {
        match self {
            Self::Package => "packages",
            Self::Kit => "kits",
            Self::Variant => "variants",
        }
    }
}

/// The largest depth of directories of markers.
const LEVELS_MAX: u32 = 64;

/// The outputs that the markers in a directory name, relative to the directory of outputs; empty if the directory
/// does not exist.
pub(super) fn named_in(dir: &Utf8Path) -> Result<BTreeSet<Utf8PathBuf>, Error> {
    let mut names = files_in(dir)?;
    names.retain(|name| name.as_str().ends_with(MARKER_EXTENSION));
    let output = |name: &Utf8PathBuf| name.as_str().strip_suffix(MARKER_EXTENSION).map(Into::into);
    Ok(names.iter().filter_map(output).collect())
}

/// The files and links below a directory that are not markers, relative to it.
pub(super) fn outputs_in(dir: &Utf8Path) -> Result<BTreeSet<Utf8PathBuf>, Error> {
    let mut names = files_in(dir)?;
    names.retain(|name| !name.as_str().ends_with(MARKER_EXTENSION));
    Ok(names)
}

/// The subdirectories of a directory.
pub(super) fn dirs_in(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>, Error> {
    let mut dirs = Vec::new();
    for (path, is_dir) in list(dir)? {
        if is_dir {
            dirs.push(path);
        }
    }
    Ok(dirs)
}

fn files_in(dir: &Utf8Path) -> Result<BTreeSet<Utf8PathBuf>, Error> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![(dir.to_owned(), LEVELS_MAX)]);
    while let Some((at, levels)) = waiting.pop() {
        for (path, is_dir) in list(&at)? {
            match (is_dir, levels.checked_sub(1)) {
                (true, Some(levels)) => waiting.push((path, levels)),
                (true, None) => {
                    return Err(unreadable(&path, io::ErrorKind::InvalidFilename.into()));
                }
                (false, _) => found.extend(path.strip_prefix(dir).map(Utf8Path::to_owned)),
            }
        }
    }
    Ok(found)
}

/// The entries of a directory, and whether each is a directory; links are not followed.
fn list(dir: &Utf8Path) -> Result<Vec<(Utf8PathBuf, bool)>, Error> {
    let failed = |source| unreadable(dir, source);
    let entries = match dir.read_dir_utf8() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let entry = |entry: io::Result<camino::Utf8DirEntry>| {
        let entry = entry?;
        Ok((entry.path().to_owned(), entry.file_type()?.is_dir()))
    };
    entries
        .map(entry)
        .collect::<io::Result<_>>()
        .map_err(failed)
}

fn unreadable(dir: &Utf8Path, source: io::Error) -> Error {
    Error::Outputs {
        path: dir.to_owned(),
        source,
    }
}
