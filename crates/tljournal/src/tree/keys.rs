use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use rustix::io::Errno;

use super::TreeError;
use super::look::unless_gone;
use super::near::Near;
use super::spread::spread;
use crate::disk::{Dir, DiskError};
use crate::model::{Kind, Stat, holds_private_key};

/// The size up to which a file is examined as a whole.
const WHOLE_BYTES_MAX: u64 = 256 << 10;
/// How much of the start and the end of a larger file is examined.
const PART_BYTES: u64 = 64 << 10;
/// The number of files that a thread takes at a time.
const GRAIN: usize = 32;

/// The files of a tree that may be private keys, by their content.
#[derive(Debug, Default)]
pub(crate) struct Keys<'a> {
    /// The paths of files that hold private keys.
    pub(crate) found: Vec<&'a str>,
    /// Whether this user may not read one: it may be a key.
    pub(crate) closed: bool,
}

/// Searches the files of a [list](super::list) for private keys.
///
/// # Errors
/// [`TreeError`] when a directory on the way cannot be opened, or a file that this user may read cannot be read.
pub(crate) fn keys_among<'a>(
    root: &Dir,
    list: &'a [(String, Stat)],
) -> Result<Keys<'a>, TreeError> {
    #[derive(Default)]
    struct Worker<'a> {
        near: Near,
        keys: Keys<'a>,
    }
    let is_file = |(_, stat): &&(String, Stat)| stat.kind == Kind::File && stat.size > 0;
    let files: Vec<_> = list.iter().filter(is_file).collect();
    let workers = spread(files.len(), GRAIN, |worker: &mut Worker<'_>, n| {
        let (path, _) = files[n];
        if let Some((dir, name)) = worker.near.of(root, path)? {
            match unless_gone(is_key(dir, name)) {
                Ok(Some(true)) => worker.keys.found.push(path),
                Ok(_) => {}
                Err(TreeError::Disk(error)) if error.is(Errno::ACCESS) => worker.keys.closed = true,
                Err(error) => return Err(error),
            }
        }
        Ok::<_, TreeError>(())
    })?;
    let mut all = Keys::default();
    for worker in workers {
        all.found.extend(worker.keys.found);
        all.closed |= worker.keys.closed;
    }
    Ok(all)
}

/// Whether a file holds a private key. Anything but a regular file does not.
///
/// # Errors
/// [`DiskError`] when it cannot be read.
pub(crate) fn is_key(dir: &Dir, name: impl AsRef<OsStr>) -> Result<bool, DiskError> {
    let name = name.as_ref();
    let mut file = dir.open_child_file(name)?;
    let stat = dir.stat_open(&file)?;
    if stat.kind != Kind::File {
        return Ok(false);
    }
    let content = ends(&mut file, stat.size);
    let content =
        content.map_err(|error| DiskError::new("read", dir.shown(name).as_str(), error))?;
    Ok(holds_private_key(&content))
}

/// The content of a small file; the start and the end of a large one.
fn ends(file: &mut File, size: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if size <= WHOLE_BYTES_MAX {
        file.take(WHOLE_BYTES_MAX).read_to_end(&mut content)?;
        return Ok(content);
    }
    file.take(PART_BYTES).read_to_end(&mut content)?;
    content.push(b'\n');
    file.seek(SeekFrom::Start(size - PART_BYTES))?;
    file.take(PART_BYTES).read_to_end(&mut content)?;
    Ok(content)
}
