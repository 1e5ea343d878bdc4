use std::io;

use crate::disk::DiskError;
use crate::model::{Digest, ManifestError};

use super::names;

/// A tree could not be staged, read or verified. Entries are named escaped, below the tree's root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// An entry would land outside the tree.
    #[error("failed to stage `{entry}`: it leaves the tree: {why}")]
    Leaves {
        /// The entry.
        entry: String,
        /// How it leaves.
        why: &'static str,
    },
    /// An entry has a name that a tree cannot have.
    #[error("failed to stage `{entry}`: {why}")]
    Name {
        /// The entry.
        entry: String,
        /// What is wrong with the name.
        why: &'static str,
    },
    /// An entry is neither file, directory nor link.
    #[error("failed to stage `{entry}`: it is {what}")]
    Special {
        /// The entry.
        entry: String,
        /// What it is.
        what: &'static str,
    },
    /// An entry stands where another one of another kind stands.
    #[error("failed to stage `{entry}`: {why}")]
    Clash {
        /// The entry.
        entry: String,
        /// What it clashes with.
        why: &'static str,
    },
    /// There are so many entries, or names so long, that the list of them would not fit into the catalog.
    #[error("failed to stage `{entry}`: the list of all entries is longer than 128 MiB with it")]
    TooMany {
        /// The first entry beyond the limit.
        entry: String,
    },
    /// The sparse files of an archive have so many holes that hashing them would take for ever.
    #[error(
        "failed to stage `{entry}`: the holes of the sparse files are more than 64 GiB with it"
    )]
    Holes {
        /// The first entry beyond the limit.
        entry: String,
    },
    /// A hard link names something that is no earlier file of the tree.
    #[error(
        "failed to stage the hard link `{entry}`: `{target}` is not an earlier file of the tree"
    )]
    HardLink {
        /// The entry.
        entry: String,
        /// What it names.
        target: String,
    },
    /// Something was changed by somebody while it was read.
    #[error("failed to read `{entry}`: it changed in the meantime")]
    Changed {
        /// The file or directory.
        entry: String,
    },
    /// An archive cannot be understood, or is cut short.
    #[error("failed to read the archive {archive}, which is damaged at or after {place}")]
    Damaged {
        /// Where the archive comes from.
        archive: String,
        /// The last entry that began well.
        place: String,
        /// What was found.
        source: io::Error,
    },
    /// An archive is in a format, or needs something, that is not supported.
    #[error("failed to read the archive {archive}: {what}")]
    Unsupported {
        /// Where the archive comes from.
        archive: String,
        /// What it is, or needs.
        what: String,
    },
    /// The source contains the journal itself.
    #[error("failed to stage {origin}: it contains the journal at `{entry}`")]
    ContainsJournal {
        /// The source.
        origin: String,
        /// Where the journal lies in it.
        entry: String,
    },
    /// A layer is not the file that its digest names.
    #[error("failed to read `{path}`: its content is {found}, and was to be {expected}")]
    Mismatch {
        /// The layer.
        path: String,
        /// What its content was to be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// Whoever was to fill the tree failed.
    #[error("failed to fill the tree")]
    Fill {
        /// What was said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The directory that was to be filled is not there any more, nor another one in its place.
    #[error(
        "failed to take over what fills the tree: `{path}` is {found}, where the directory to fill was; fill that directory, or put another one of the same filesystem in its place"
    )]
    Stage {
        /// The directory, escaped.
        path: String,
        /// What is there.
        found: &'static str,
    },
    /// A source that can be read once was read before.
    #[error("failed to read {origin}: it can be read only once, and was")]
    AlreadyRead {
        /// The source.
        origin: String,
    },
    /// The source could not be read.
    #[error("failed to read `{path}`")]
    Read {
        /// What could not be read.
        path: String,
        /// What the source said.
        source: io::Error,
    },
    /// The entries do not make a tree.
    #[error("failed to describe the tree")]
    Manifest(#[from] ManifestError),
    /// The filesystem refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl TreeError {
    pub(super) fn clash(entry: &str, why: &'static str) -> Self {
        Self::Clash {
            entry: names::shown(entry),
            why,
        }
    }

    pub(super) fn changed(entry: &str) -> Self {
        Self::Changed {
            entry: names::shown(entry),
        }
    }

    pub(super) fn read(path: &str, source: io::Error) -> Self {
        Self::Read {
            path: names::shown(path),
            source,
        }
    }
}
