use std::fmt;
use std::str::FromStr;

use camino::Utf8PathBuf;

use super::path::{PATH_BYTES_MAX, TOO_LONG};
use super::{PathError, RelPath};

/// A path as a caller gives it: relative to the root, or absolute. The journal maps an absolute path to a path below
/// the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedPath {
    /// Relative to the root.
    Below(RelPath),
    /// From the top of the filesystem.
    Absolute(Utf8PathBuf),
}

impl NamedPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`PathError`] when it is relative and not a [`RelPath`], or longer than 4095 bytes.
    pub fn new(path: &str) -> Result<Self, PathError> {
        match path.starts_with('/') {
            true if path.len() > PATH_BYTES_MAX => Err(PathError::new(path, TOO_LONG)),
            true => Ok(Self::Absolute(path.into())),
            false => RelPath::new(path).map(Self::Below),
        }
    }
}

impl fmt::Display for NamedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(path) => path.fmt(f),
            Self::Absolute(path) => path.fmt(f),
        }
    }
}

impl FromStr for NamedPath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl TryFrom<&str> for NamedPath {
    type Error = PathError;
    fn try_from(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl TryFrom<String> for NamedPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::new(&text)
    }
}

impl TryFrom<RelPath> for NamedPath {
    type Error = PathError;
    fn try_from(path: RelPath) -> Result<Self, PathError> {
        Ok(Self::Below(path))
    }
}

impl TryFrom<&RelPath> for NamedPath {
    type Error = PathError;
    fn try_from(path: &RelPath) -> Result<Self, PathError> {
        Ok(Self::Below(path.clone()))
    }
}
