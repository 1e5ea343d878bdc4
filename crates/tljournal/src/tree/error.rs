use std::io;

use crate::disk::DiskError;
use crate::model::{Digest, ManifestError};

use super::names;

/// A tree could not be staged, read or verified. Paths of entries are relative to the tree's root, and escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// An entry is outside the tree.
    #[error("failed to stage `{entry}`: it leaves the tree: {why}")]
    Leaves {
        /// The entry.
        entry: String,
        /// The reason.
        why: &'static str,
    },
    /// The name of an entry is not allowed in a tree.
    #[error("failed to stage `{entry}`: {why}")]
    Name {
        /// The entry.
        entry: String,
        /// The reason.
        why: &'static str,
    },
    /// An entry is not a file, directory or link.
    #[error("failed to stage `{entry}`: it is {what}")]
    Special {
        /// The entry.
        entry: String,
        /// What it is.
        what: &'static str,
    },
    /// An entry conflicts with another entry of another kind.
    #[error("failed to stage `{entry}`: {why}")]
    Clash {
        /// The entry.
        entry: String,
        /// What it conflicts with.
        why: &'static str,
    },
    /// The list of all entries is too large for the catalog.
    #[error("failed to stage `{entry}`: the list of all entries is longer than 128 MiB with it")]
    TooMany {
        /// The first entry beyond the limit.
        entry: String,
    },
    /// The sparse files of an archive have more holes than can be hashed in reasonable time.
    #[error(
        "failed to stage `{entry}`: the holes of the sparse files are more than 64 GiB with it"
    )]
    Holes {
        /// The first entry beyond the limit.
        entry: String,
    },
    /// A hard link names something that is not an earlier file of the tree.
    #[error(
        "failed to stage the hard link `{entry}`: `{target}` is not an earlier file of the tree"
    )]
    HardLink {
        /// The entry.
        entry: String,
        /// The path that it names.
        target: String,
    },
    /// A file or directory changed while it was read.
    #[error("failed to read `{entry}`: it changed in the meantime")]
    Changed {
        /// The file or directory.
        entry: String,
    },
    /// An archive cannot be parsed, or is truncated.
    #[error("failed to read the archive {archive}, which is damaged at or after {place}")]
    Damaged {
        /// The name of the archive.
        archive: String,
        /// The last entry that could be read.
        place: String,
        /// The cause.
        source: io::Error,
    },
    /// An archive has an unsupported format or feature.
    #[error("failed to read the archive {archive}: {what}")]
    Unsupported {
        /// The name of the archive.
        archive: String,
        /// The format or feature.
        what: String,
    },
    /// The source contains the journal itself.
    #[error("failed to stage {origin}: it contains the journal at `{entry}`")]
    ContainsJournal {
        /// The source.
        origin: String,
        /// The path of the journal in it.
        entry: String,
    },
    /// The digest of a layer's file is not the expected one.
    #[error("failed to read `{path}`: its digest is {found}, but {expected} was expected")]
    Mismatch {
        /// The layer.
        path: String,
        /// The expected digest.
        expected: Digest,
        /// The digest of the file.
        found: Digest,
    },
    /// The caller's function that fills the tree failed.
    #[error("failed to fill the tree")]
    Fill {
        /// Its error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The directory that the caller was to fill is missing or not a directory of the same filesystem.
    #[error(
        "failed to take over what fills the tree: `{path}` is {found}, where the directory to fill was; fill that directory, or put another one of the same filesystem in its place"
    )]
    Stage {
        /// The directory, escaped.
        path: String,
        /// What is at its path.
        found: &'static str,
    },
    /// A source that can be read only once was read before.
    #[error("failed to read {origin}: it can be read only once and was read already")]
    AlreadyRead {
        /// The source.
        origin: String,
    },
    /// The source could not be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The path.
        path: String,
        /// The error of the source.
        source: io::Error,
    },
    /// The entries do not form a valid manifest.
    #[error("failed to describe the tree")]
    Manifest(#[from] ManifestError),
    /// A system call failed.
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
