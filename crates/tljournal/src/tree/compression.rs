use std::io::{self, Read};

use super::formats::Format;
use super::header::BLOCK_BYTES;
use super::members::{Ahead, Members, ZSTD_HEADER_BYTES, is_skippable, window_bytes};

/// The largest amount of memory that an xz stream may require; `xz -9` needs 65 MiB.
pub(super) const XZ_MEMORY_MAX: u64 = 160 << 20;

/// The largest window that a zstd stream may require, as a power of two: that of `zstd --long`, the limit of the zstd
/// program without options.
pub(super) const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The tar archive in `reader`, whose first bytes show whether it is compressed with gzip, zlib, zstd or xz, or not
/// at all. Bytes after the compressed archive that are not another member are ignored.
///
/// # Errors
/// The errors of the reader and of the decompressor for the first bytes; [`io::ErrorKind::Unsupported`] for another
/// compression, which is named.
pub fn decoded<'a>(reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Encoded::recognise(reader)?.decoded()
}

/// The unsupported format or feature.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unsupported(pub(super) String);

impl From<Unsupported> for io::Error {
    fn from(unsupported: Unsupported) -> Self {
        Self::new(io::ErrorKind::Unsupported, unsupported)
    }
}

/// A stream whose compression is known, before a decompressor is created.
pub(super) struct Encoded<'a> {
    format: Format,
    whole: Ahead<'a>,
    window_log_max: u32,
}

impl<'a> Encoded<'a> {
    /// Determines the format from the first bytes.
    pub(super) fn recognise(reader: impl Read + 'a) -> io::Result<Self> {
        let mut whole = Ahead::new(Box::new(reader));
        let mut first = [0; BLOCK_BYTES];
        let there = whole.at_least(first.len())?;
        let count = there.len().min(first.len());
        first[..count].copy_from_slice(&there[..count]);
        let format = Format::of(&first);
        Ok(Self {
            format,
            whole,
            window_log_max: ZSTD_WINDOW_LOG_MAX,
        })
    }

    /// Limits the memory of the decompressor, and returns the limit if it is worth counting. If the first zstd frame
    /// needs at most half of the largest window, so must the others.
    pub(super) fn limit_memory(&mut self) -> io::Result<u64> {
        let half = ZSTD_WINDOW_LOG_MAX - 1;
        let header = self.whole.at_least(ZSTD_HEADER_BYTES)?;
        if !is_skippable(header) && window_bytes(header) <= 1 << half {
            self.window_log_max = half;
        }
        Ok(match self.format {
            Format::Plain | Format::Gzip | Format::Zlib | Format::Other(..) => 0,
            Format::Zstd => 1 << self.window_log_max,
            Format::Xz => XZ_MEMORY_MAX,
        })
    }

    /// The decompressed content.
    pub(super) fn decoded(self) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self.format {
            Format::Plain => Box::new(self.whole),
            Format::Other(what, program) => {
                let hint = format!("it is {what}, which is not supported; convert it: `{program}`");
                return Err(Unsupported(hint).into());
            }
            format => {
                let members = Members::new(format, self.whole, self.window_log_max)?;
                Box::new(Ahead::new(Box::new(members)))
            }
        })
    }
}
