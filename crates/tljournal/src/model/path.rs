use std::fmt;
use std::str::FromStr;

use camino::Utf8PathBuf;

/// A path below the root: relative, UTF-8, with plain components only.
///
/// `./a//b/` is read as `a/b`; `..`, absolute paths, empty paths, NUL bytes and components longer than 255 bytes are
/// refused. Two values are equal exactly when they name the same path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(String);

/// Why a text is not a [`RelPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path below the root: {reason}")]
pub struct PathError {
    path: String,
    reason: &'static str,
}

impl PathError {
    pub(super) fn new(path: &str, reason: &'static str) -> Self {
        Self {
            path: path.escape_debug().to_string(),
            reason,
        }
    }
}

pub(super) const TOO_LONG: &str = "it is longer than 4095 bytes";
/// Longest component that Linux filesystems accept, in bytes.
const COMPONENT_BYTES_MAX: usize = 255;
/// Longest path that one system call accepts, in bytes, without the final NUL.
pub(super) const PATH_BYTES_MAX: usize = 4095;

impl RelPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`PathError`] when the text is absolute, empty, contains `..`, or is not a valid file name.
    pub fn new(path: &str) -> Result<Self, PathError> {
        let refuse = |reason| Err(PathError::new(path, reason));
        if path.starts_with('/') {
            return refuse("it is absolute");
        }
        if path.contains('\0') {
            return refuse("it contains a NUL byte");
        }
        if path.len() > PATH_BYTES_MAX {
            return refuse(TOO_LONG);
        }
        let mut kept = String::with_capacity(path.len());
        for part in path.split('/') {
            match part {
                "" | "." => continue,
                ".." => return refuse("it climbs with `..`"),
                _ if part.len() > COMPONENT_BYTES_MAX => {
                    return refuse("a component is longer than 255 bytes");
                }
                _ => {}
            }
            if !kept.is_empty() {
                kept.push('/');
            }
            kept.push_str(part);
        }
        if kept.is_empty() {
            return refuse("it names the root itself");
        }
        Ok(Self(kept))
    }

    /// The path as text, components joined by single slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The path without its last component; `None` right below the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rfind('/').map(|at| Self(self.0[..at].to_owned()))
    }

    /// This path and its ancestors, starting with the path itself.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// Whether `self` is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.below(other).is_some() || self == other
    }

    /// The rest of `self` below `other`, if it lies strictly below.
    #[must_use]
    pub fn below(&self, other: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(other.0.as_str())?.strip_prefix('/')?;
        Some(Self(rest.to_owned()))
    }

    /// Whether one of the two paths contains the other or both are the same.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.is_within(other) || other.is_within(self)
    }

    /// The path of `name` in the directory that `self` names.
    ///
    /// # Errors
    /// [`PathError`] as for [`RelPath::new`].
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        Self::new(&format!("{}/{name}", self.0))
    }

    /// The same as an owned path.
    #[must_use]
    pub fn to_path_buf(&self) -> Utf8PathBuf {
        Utf8PathBuf::from(&self.0)
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RelPath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl TryFrom<&str> for RelPath {
    type Error = PathError;
    fn try_from(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl TryFrom<String> for RelPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::new(&text)
    }
}

impl TryFrom<&RelPath> for RelPath {
    type Error = PathError;
    fn try_from(path: &RelPath) -> Result<Self, PathError> {
        Ok(path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_normalised() {
        assert_eq!(RelPath::new("./a//b/").unwrap().as_str(), "a/b");
        assert_eq!(RelPath::new("a\nb/ c").unwrap().as_str(), "a\nb/ c");
    }

    #[test]
    fn g8_paths_that_climb_or_name_the_root_are_refused() {
        for bad in ["", ".", "/", "/etc", "..", "a/../b", "a/..", "x\0y"] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        assert!(RelPath::new(&"x".repeat(256)).is_err());
    }

    #[test]
    fn overlap_respects_component_boundaries() {
        let path = |text| RelPath::new(text).unwrap();
        assert!(path("a/b").overlaps(&path("a")));
        assert!(path("a").overlaps(&path("a/b/c")));
        assert!(!path("a/bc").overlaps(&path("a/b")));
        assert_eq!(path("a/b/c").below(&path("a")), Some(path("b/c")));
        assert_eq!(path("a").below(&path("a")), None);
    }
}
