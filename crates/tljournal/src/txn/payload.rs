use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use camino::Utf8PathBuf;

use crate::disk::{Dense, Disk, DiskError, Sparse, SparseFile};
use crate::model::{Attributes, Stat, Timestamp};

/// The content of a file, with its mode and mtime.
#[derive(Debug)]
#[must_use = "a payload does nothing until it is put"]
pub struct Payload {
    pub(super) content: Content,
    pub(super) mode: Option<u32>,
    pub(super) mtime: Option<Timestamp>,
    /// The `stat` and attributes to inherit, if it existed before.
    pub(super) like: Option<(Stat, Attributes)>,
}

pub(super) enum Content {
    Bytes(Arc<[u8]>),
    /// Read when it is staged, and again if needed.
    File(Utf8PathBuf),
    /// Read to its end once.
    Stream(Box<dyn Sparse + Send>),
    /// Gets a hard link in the staging directory; the old name is removed when the transaction is applied.
    Move(Utf8PathBuf),
}

/// Streams up to this length are held in memory, so that nothing is written if the content is unchanged.
const HELD_BYTES_MAX: u64 = 1 << 20;

impl Payload {
    fn new(content: Content) -> Self {
        Self {
            content,
            mode: None,
            mtime: None,
            like: None,
        }
    }

    /// These bytes. Mode: that of the replaced file, or 0644. Mtime: the time of staging, unless the same content is
    /// in place already.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::new(Content::Bytes(bytes.into()))
    }

    /// A copy of this file, with its mode and mtime. A link is followed.
    pub fn file(path: impl Into<Utf8PathBuf>) -> Self {
        Self::new(Content::File(path.into()))
    }

    /// This file itself, with its mode and mtime. Its old name is removed when the transaction is applied, and stays
    /// otherwise. Copied if it is on another filesystem.
    pub fn moved(path: impl Into<Utf8PathBuf>) -> Self {
        Self::new(Content::Move(path.into()))
    }

    /// Everything that this reader yields; mode and mtime as for [`Payload::bytes`].
    ///
    /// # Errors
    /// The reader's error for the first mebibyte, which is read at once.
    pub fn reader(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let mut head = Vec::new();
        let count = reader
            .by_ref()
            .take(HELD_BYTES_MAX)
            .read_to_end(&mut head)?;
        Ok(Self::new(if (count as u64) < HELD_BYTES_MAX {
            Content::Bytes(head.into())
        } else {
            Content::Stream(Box::new(Dense(io::Cursor::new(head).chain(reader))))
        }))
    }

    /// Inherits the attributes of an earlier version instead of those of the replaced file.
    pub(crate) fn like(mut self, stat: Stat, attributes: Attributes) -> Self {
        self.like = Some((stat, attributes));
        self
    }

    /// The content of an open file, with its holes, with this mode and mtime.
    pub(crate) fn opened(file: File, mode: u32, mtime: Timestamp) -> Result<Self, DiskError> {
        let failed = |source| DiskError::new("read", "kept content", source);
        let stat = Disk::default().stat_open(&file, "kept content")?;
        let payload = match stat.size < HELD_BYTES_MAX {
            true => Self::reader(file).map_err(failed)?,
            false => {
                let content = SparseFile::new(file, &stat).map_err(failed)?;
                Self::new(Content::Stream(Box::new(content)))
            }
        };
        Ok(payload.mode(mode).mtime(mtime))
    }

    /// Sets the permission bits (the lowest twelve).
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o7777);
        self
    }

    /// Sets the mtime.
    pub fn mtime(mut self, mtime: Timestamp) -> Self {
        self.mtime = Some(mtime);
        self
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::bytes(text.as_bytes())
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::bytes(bytes)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::bytes(text.into_bytes())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File(path) => write!(f, "File({path})"),
            Self::Stream(..) => f.write_str("Stream"),
            Self::Move(path) => write!(f, "Move({path})"),
        }
    }
}
