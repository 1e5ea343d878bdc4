//! A private copy of a database, so that reading does not change the original.

use std::fs::File;
use std::io::Read;

use camino::Utf8PathBuf;

use crate::catalog::{Catalog, CatalogError};
use crate::disk::{Dir, DiskError, data_in};
use crate::error::Error;
use crate::home::{DATABASE, FOREIGN_JOURNAL, WAL, is_in_rollback_mode};
use crate::lock::{self, Awaited, Wait};
use crate::model::Kind;

/// The database with its log, and with its rollback journal if that belongs to it.
#[derive(Debug)]
pub(super) struct PrivateCopy {
    _dir: tempfile::TempDir,
    path: Utf8PathBuf,
    /// The copy of the database, if there was one.
    database: Option<File>,
}

/// The part of the header that is repaired before rows are salvaged.
const HEADER_BYTES: usize = 60;

/// The bytes of the header that SQLite checks when it opens a database: where, which values it knows, and the usual
/// one. Versions of the format to write and to read, three fractions, the format of the schema, the encoding of texts.
const HEADER: [(usize, std::ops::RangeInclusive<u8>, u8); 13] = [
    (18, 1..=2, 2),
    (19, 1..=2, 2),
    (21, 64..=64, 64),
    (22, 32..=32, 32),
    (23, 32..=32, 32),
    (44, 0..=0, 0),
    (45, 0..=0, 0),
    (46, 0..=0, 0),
    (47, 1..=4, 4),
    (56, 0..=0, 0),
    (57, 0..=0, 0),
    (58, 0..=0, 0),
    (59, 1..=3, 1),
];

impl PrivateCopy {
    /// Copies them while no process of this program writes them. The cost depends on the data and not on the size of
    /// sparse files.
    pub(super) fn of(dir: &Dir, wait: Wait<'_>) -> Result<Self, Error> {
        let failed = |source| DiskError::new("make a copy of", dir.path().as_str(), source);
        let copy = tempfile::Builder::new()
            .prefix("tljournal-")
            .tempdir()
            .map_err(failed)?;
        let path = Utf8PathBuf::from_path_buf(copy.path().to_owned())
            .map_err(|_| failed(std::io::ErrorKind::InvalidFilename.into()))?;
        let to = Dir::open(&path, dir.disk().clone())?;
        let _lock = share_database(dir, wait)?;
        let database = copy_file(dir, DATABASE, &to, None)?;
        let mut header = Vec::new();
        let mut copied = to.open_file(DATABASE)?;
        let read = copied.by_ref().take(20).read_to_end(&mut header);
        read.map_err(failed)?;
        if is_in_rollback_mode(&header) {
            copy_file(dir, FOREIGN_JOURNAL, &to, None)?;
        }
        if let Some(log) = regular(dir, WAL)? {
            let whole = log_bytes(&log).map_err(failed)?;
            copy_file(dir, WAL, &to, Some(whole))?;
        }
        Ok(Self {
            _dir: copy,
            path: path.join(DATABASE),
            database,
        })
    }

    /// Opens it for reading. Repairs of the schema are made in the copy.
    pub(super) fn open(&self) -> Result<Catalog, CatalogError> {
        Catalog::open_copy(&self.path)
    }

    /// Opens it to salvage rows. Header fields that SQLite refuses are replaced by those of every database.
    pub(super) fn open_to_salvage(&self) -> Result<Catalog, CatalogError> {
        if let Err(error) = self.mend_header() {
            tracing::debug!(%error, "the header of the copy cannot be repaired");
        }
        Catalog::open_to_salvage(&self.path)
    }

    fn mend_header(&self) -> std::io::Result<()> {
        use std::os::unix::fs::FileExt;
        let Some(file) = &self.database else {
            return Ok(());
        };
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        for (at, known, usual) in HEADER {
            if !known.contains(&header[at]) {
                header[at] = usual;
            }
        }
        file.write_all_at(&header, 0)
    }
}

/// Blocks writers of the database. A copy of a project may have no lock file, and no writers.
pub(super) fn share_database(dir: &Dir, wait: Wait<'_>) -> Result<Option<File>, Error> {
    let Ok(lock) = dir.open_file(".state/lock/db") else {
        return Ok(None);
    };
    let ino = dir.stat_open(&lock)?.identity.ino;
    let awaited = Awaited {
        name: lock::DB,
        path: dir.path().join(".state/lock/db"),
        mode: lock::Mode::Shared,
        holder: &|| lock::of_inode(ino),
    };
    // A writer is quick; the message for a longer wait names the holder, which may be stopped.
    let (lock, _) = lock::in_line(&awaited, Vec::new(), lock, wait)?;
    Ok(Some(lock))
}

/// The size of the used part of SQLite's log; the file may be larger.
pub(super) fn log_bytes_in(dir: &Dir) -> Result<u64, Error> {
    let failed = |source| DiskError::new("read", dir.path().join(WAL).as_str(), source);
    match regular(dir, WAL)? {
        Some(log) => Ok(log_bytes(&log).map_err(failed)?),
        None => Ok(0),
    }
}

fn regular(dir: &Dir, name: &str) -> Result<Option<File>, Error> {
    match dir.stat(name)? {
        Some(stat) if stat.kind == Kind::File && stat.size > 0 => Ok(Some(dir.open_file(name)?)),
        _ => Ok(None),
    }
}

/// The size of the part of a log whose frames have the salt of the header.
fn log_bytes(log: &File) -> std::io::Result<u64> {
    use std::os::unix::fs::FileExt;
    const HEADER: u64 = 32;
    const FRAME_HEADER: usize = 24;
    let mut header = [0; HEADER as usize];
    if log.read_exact_at(&mut header, 0).is_err() {
        return Ok(0);
    }
    let number = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (magic, page) = (number(0), number(8));
    if magic & !1 != 0x377f_0682 || !page.is_power_of_two() || !(512..=65536).contains(&page) {
        return Ok(0);
    }
    let mut at = HEADER;
    loop {
        let mut frame = [0; FRAME_HEADER];
        let next = at + FRAME_HEADER as u64 + u64::from(page);
        // Reading the last byte proves that the page is complete.
        let mut last = [0];
        let is_whole = log.read_exact_at(&mut frame, at).is_ok()
            && log.read_exact_at(&mut last, next - 1).is_ok();
        if !is_whole || frame[8..16] != header[16..24] {
            return Ok(at);
        }
        at = next;
    }
}

/// Copies the data of a file, up to a length; holes stay holes. A missing file is skipped.
fn copy_file(from: &Dir, name: &str, to: &Dir, most: Option<u64>) -> Result<Option<File>, Error> {
    let Some(file) = regular(from, name)? else {
        return Ok(None);
    };
    let failed = |source| DiskError::new("copy", from.path().join(name).as_str(), source);
    let size = from.stat_open(&file)?.size;
    let size = most.map_or(size, |most| most.min(size));
    let data = data_in(&file, size).map_err(failed)?;
    let bytes = data.iter().map(|range| range.end - range.start).sum();
    to.refuse_larger_than_free(name, bytes)?;
    let copy = to.create_file(name, 0o600)?.into_file();
    copy.set_len(size).map_err(failed)?;
    for range in data {
        copy_range(&file, &copy, range).map_err(failed)?;
    }
    Ok(Some(copy))
}

fn copy_range(from: &File, to: &File, range: std::ops::Range<u64>) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut chunk = vec![0; 128 << 10];
    let mut at = range.start;
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        let room = left.min(chunk.len());
        match from.read_at(&mut chunk[..room], at)? {
            0 => break,
            count => {
                to.write_all_at(&chunk[..count], at)?;
                at += count as u64;
            }
        }
    }
    Ok(())
}
