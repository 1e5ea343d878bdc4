use std::fmt;

use crate::model::{Kind, Timestamp};

use super::names;

/// One way in which a tree on disk is not what its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The entry below the tree's root, escaped for people; `.` for the root itself.
    pub path: String,
    /// What is different.
    pub what: DifferenceKind,
}

impl Difference {
    /// The whole tree is not there.
    pub(crate) fn missing() -> Self {
        Self::of_root(DifferenceKind::Missing)
    }

    /// Something about the root itself.
    pub(crate) fn of_root(what: DifferenceKind) -> Self {
        let path = ".".to_owned();
        Self { path, what }
    }

    /// Whether it is about the root itself.
    pub(crate) fn is_root(&self) -> bool {
        self.path == "."
    }
}

/// What is different about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// It is not there.
    Missing,
    /// It is there and should not be. What lies below is not looked at.
    Extra,
    /// It is another kind of thing.
    Kind {
        /// What it should be.
        expected: Kind,
        /// What it is.
        found: Kind,
    },
    /// It has the right size and other content.
    Content,
    /// It has another size, in bytes.
    Size {
        /// What it should be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// It has other permission bits.
    Mode {
        /// What they should be.
        expected: u32,
        /// What they are.
        found: u32,
    },
    /// It has another mtime.
    Mtime {
        /// What it should be.
        expected: Timestamp,
        /// What it is.
        found: Timestamp,
    },
    /// It is a link to somewhere else.
    Target {
        /// Where it should point.
        expected: String,
        /// Where it points, escaped.
        found: String,
    },
    /// It belongs to another user or group than when it was put there.
    Owner {
        /// The numbers of the user and the group that it belonged to.
        expected: (u32, u32),
        /// Those that it belongs to.
        found: (u32, u32),
    },
    /// It has other extended attributes, ACL or capabilities than when it was put there.
    Attributes {
        /// What is set on it, for people; empty if nothing is.
        found: String,
    },
    /// It shares its inode with other entries than it should.
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
