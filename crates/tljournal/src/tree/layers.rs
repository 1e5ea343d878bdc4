//! Layers of a container image: archives that are applied on top of each other.

use camino::{Utf8Path, Utf8PathBuf};

use super::ahead::{Pieces, read_ahead};
use super::tar_reader::TarReader;
use super::unpack::Unpacker;
use super::{TreeError, archive};
use crate::disk::Disk;
use crate::model::{Digest, Kind};

/// A tar archive, plain or compressed with gzip, zlib, zstd or xz, that is one layer of a tree.
#[derive(Debug, Clone)]
pub struct Layer {
    pub(super) path: Utf8PathBuf,
    pub(super) digest: Option<Digest>,
}

impl Layer {
    /// The archive at a path.
    pub fn new(path: impl Into<Utf8PathBuf>) -> Self {
        let (path, digest) = (path.into(), None);
        Self { path, digest }
    }

    /// Requires that the file, as it is on disk, has this digest.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Opens its file.
    pub(super) fn open(&self, disk: &Disk) -> Result<std::fs::File, TreeError> {
        open(disk, &self.path)
    }

    /// Its name in messages.
    pub(super) fn shown(&self) -> String {
        format!("`{}`", self.path.as_str().escape_debug())
    }

    /// Refuses a digest other than the expected one.
    pub(super) fn refuse_other(&self, found: Digest) -> Result<(), TreeError> {
        match self.digest {
            Some(expected) if expected != found => Err(TreeError::Mismatch {
                path: self.path.as_str().escape_debug().to_string(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    /// The error to report for a layer: a digest mismatch explains more than an error that it caused.
    fn explain(&self, disk: &Disk, error: TreeError) -> TreeError {
        if self.digest.is_none() || matches!(error, TreeError::Mismatch { .. }) {
            return error;
        }
        let found = self
            .open(disk)
            .and_then(|file| Ok(disk.hash(&file, &self.path)?));
        match found.and_then(|found| self.refuse_other(found)) {
            Err(mismatch @ TreeError::Mismatch { .. }) => mismatch,
            _ => error,
        }
    }
}

/// Opens the file of a layer. Anything but a regular file is refused, because reading it could block or never end.
fn open(disk: &Disk, path: &Utf8Path) -> Result<std::fs::File, TreeError> {
    let failed = |source: std::io::Error| TreeError::Read {
        path: path.as_str().escape_debug().to_string(),
        source,
    };
    let file = disk.open_source_at_once(path)?;
    match disk.stat_open(&file, path.as_str())?.kind {
        Kind::File => Ok(file),
        _ => Err(failed(std::io::ErrorKind::InvalidInput.into())),
    }
}

/// Unpacks the layers in order; the following layers are decompressed meanwhile.
pub(super) fn feed(
    layers: Vec<Layer>,
    disk: &Disk,
    unpacker: &mut Unpacker<'_>,
) -> Result<(), TreeError> {
    read_ahead(&layers, disk, |layer, pieces: &mut Pieces| {
        unpacker.begin_layer();
        let mut reader = TarReader::new(&mut *pieces);
        reader.is_known = layer.digest.is_some();
        let fed = archive::feed_plain(reader, &layer.shown(), unpacker);
        let done = match pieces.failure() {
            Some(failure) => Err(failure),
            None => fed,
        };
        done.map_err(|error| layer.explain(disk, error))
    })?;
    // Further entries are on top of all layers.
    unpacker.begin_layer();
    Ok(())
}
