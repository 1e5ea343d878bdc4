use std::fmt;

use crate::model::{Kind, Timestamp};

use super::names;

/// One difference between a tree on disk and its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path of the entry below the tree's root, escaped for display; `.` for the root.
    pub path: String,
    /// The kind of difference.
    pub what: DifferenceKind,
}

impl Difference {
    /// The whole tree is missing.
    pub(crate) fn missing() -> Self {
        Self::of_root(DifferenceKind::Missing)
    }

    /// A difference at the root.
    pub(crate) fn of_root(what: DifferenceKind) -> Self {
        let path = ".".to_owned();
        Self { path, what }
    }

    /// Whether it is at the root.
    pub(crate) fn is_root(&self) -> bool {
        self.path == "."
    }
}

/// The kind of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// The entry is missing.
    Missing,
    /// The entry is not in the manifest. Its content is not examined.
    Extra,
    /// The entry is of another kind.
    Kind {
        /// The kind in the manifest.
        expected: Kind,
        /// The kind on disk.
        found: Kind,
    },
    /// The size is right, the content is not.
    Content,
    /// The size in bytes differs.
    Size {
        /// The size in the manifest.
        expected: u64,
        /// The size on disk.
        found: u64,
    },
    /// The permission bits differ.
    Mode {
        /// The bits in the manifest.
        expected: u32,
        /// The bits on disk.
        found: u32,
    },
    /// The mtime differs.
    Mtime {
        /// The mtime in the manifest.
        expected: Timestamp,
        /// The mtime on disk.
        found: Timestamp,
    },
    /// The target of the link differs.
    Target {
        /// The target in the manifest.
        expected: String,
        /// The target on disk, escaped.
        found: String,
    },
    /// The owner or group differs from when it was installed.
    Owner {
        /// The ids of user and group when it was installed.
        expected: (u32, u32),
        /// The ids now.
        found: (u32, u32),
    },
    /// The extended attributes, ACL or capabilities differ from when it was installed.
    Attributes {
        /// The current attributes, for display; empty if there are none.
        found: String,
    },
    /// It shares its inode with other entries than the manifest says.
    HardLinks,
}

impl Difference {
    pub(super) fn new(path: impl AsRef<[u8]>, what: DifferenceKind) -> Self {
        Self {
            path: names::shown(path),
            what,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.what)
    }
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Extra => f.write_str("does not belong there"),
            Self::Kind { expected, found } => {
                write!(
                    f,
                    "is a {} instead of a {}",
                    found.as_str(),
                    expected.as_str()
                )
            }
            Self::Content => f.write_str("has other content"),
            Self::Size { expected, found } => {
                write!(f, "has {found} bytes instead of {expected}")
            }
            Self::Mode { expected, found } => {
                write!(f, "has mode {found:04o} instead of {expected:04o}")
            }
            Self::Mtime { expected, found } => {
                write!(f, "has mtime {found} instead of {expected}")
            }
            Self::Target { expected, found } => {
                write!(
                    f,
                    "points to `{found}` instead of `{}`",
                    names::shown(expected)
                )
            }
            Self::Owner { expected, found } => {
                let ((uid, gid), (was_uid, was_gid)) = (found, expected);
                write!(f, "belongs to {uid}:{gid} instead of {was_uid}:{was_gid}")
            }
            Self::Attributes { found } if found.is_empty() => {
                f.write_str("has lost its attributes, ACL or capabilities")
            }
            Self::Attributes { found } => {
                write!(
                    f,
                    "has other attributes, ACL or capabilities; now there are {found}"
                )
            }
            Self::HardLinks => f.write_str("is not a hard link of the files that it should be"),
        }
    }
}
