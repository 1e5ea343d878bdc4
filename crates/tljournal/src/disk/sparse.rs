//! Sparse content: holes are neither read from the medium nor written to it.

use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::model::{Hasher, Stat};

/// The longest hole that is returned at once, so that progress is reported and a wait can be cancelled.
pub(crate) const HOLE_BYTES_MAX: u64 = 16 << 20;

/// Content with holes.
///
/// `read` yields the bytes up to the next hole and then returns 0. [`Sparse::skip_hole`] continues after the hole.
pub trait Sparse: Read {
    /// Skips a hole and returns its length in bytes: 0 at the end of the content. A long hole takes several calls.
    ///
    /// # Errors
    /// The error of the source.
    fn skip_hole(&mut self) -> io::Result<u64>;
}

/// The next piece of some content.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A hole of this length, which reads as zeros.
    Hole(u64),
}

impl Piece<'_> {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Hole(length) => *length,
        }
    }

    /// Adds the piece to a digest.
    pub fn add_to(&self, hasher: &mut Hasher) {
        match self {
            Self::Bytes(bytes) => hasher.update(bytes),
            Self::Hole(length) => hasher.update_zeros(*length),
        }
    }
}

/// Reads content to its end and passes it on piece by piece; `failed` converts a read error.
///
/// # Errors
/// Read errors, and the first error of `take`.
pub fn each_piece<E>(
    from: &mut dyn Sparse,
    buffer: &mut [u8],
    failed: impl Fn(io::Error) -> E,
    mut take: impl FnMut(Piece<'_>) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        let count = loop {
            match from.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(&failed)?,
            }
        };
        if count > 0 {
            take(Piece::Bytes(&buffer[..count]))?;
            continue;
        }
        match from.skip_hole().map_err(&failed)? {
            0 => return Ok(()),
            length => take(Piece::Hole(length))?,
        }
    }
}

/// Content without known holes.
#[derive(Debug)]
pub struct Dense<R>(pub R);

impl<R: Read> Read for Dense<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Sparse for Dense<R> {
    fn skip_hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }
}

/// A regular file, read from its beginning whatever its position. Holes are searched only if the file occupies less
/// than its length.
#[derive(Debug)]
pub struct SparseFile<F> {
    file: F,
    at: u64,
    /// The end of the range of data that is being read; `None` if there are no holes.
    stretch_end: Option<u64>,
    has_ended: bool,
    /// The limit of what is read from a file that grows meanwhile, because it may grow faster than it is read.
    bytes_max: u64,
}

impl<F: AsFd> SparseFile<F> {
    /// The content of an open file with this `stat`.
    ///
    /// # Errors
    /// The filesystem's error.
    pub fn new(file: F, stat: &Stat) -> io::Result<Self> {
        let mut content = Self {
            file,
            at: 0,
            stretch_end: None,
            has_ended: false,
            bytes_max: match stat.size {
                0 => u64::MAX,
                size => size.saturating_add(1),
            },
        };
        if stat.held < stat.size {
            content.stretch_end = match content.seek(SeekFrom::Data(0)) {
                Ok(0) => Some(content.next_hole()?),
                Ok(_) | Err(Errno::NXIO) => Some(0),
                // The filesystem does not report holes.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => None,
                Err(errno) => return Err(errno.into()),
            };
        }
        Ok(content)
    }

    fn seek(&self, to: SeekFrom) -> rustix::io::Result<u64> {
        rustix::fs::seek(&self.file, to)
    }

    fn next_hole(&self) -> io::Result<u64> {
        match self.seek(SeekFrom::Hole(self.at)) {
            Err(Errno::NXIO) => Ok(self.at),
            found => Ok(found?),
        }
    }
}

impl<F: AsFd> Read for SparseFile<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = match self.stretch_end {
            Some(end) => end.saturating_sub(self.at),
            None if self.has_ended => 0,
            None => self.bytes_max.saturating_sub(self.at),
        };
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..wanted];
        let count =
            rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut *buffer, self.at))?;
        self.at += count as u64;
        // A short read means the end of a file; another call would cost one more for each small file.
        self.has_ended = count < buffer.len();
        if self.has_ended && self.stretch_end.is_some() {
            self.stretch_end = Some(self.at);
        }
        Ok(count)
    }
}

impl<F: AsFd> Sparse for SparseFile<F> {
    fn skip_hole(&mut self) -> io::Result<u64> {
        if self.stretch_end.is_none() || self.has_ended {
            return Ok(0);
        }
        let (hole_end, is_last) = match self.seek(SeekFrom::Data(self.at)) {
            Err(Errno::NXIO) => (self.seek(SeekFrom::End(0))?, true),
            found => (found?, false),
        };
        let hole = hole_end.saturating_sub(self.at);
        let skipped = hole.min(HOLE_BYTES_MAX);
        self.at += skipped;
        self.stretch_end = Some(match skipped == hole && !is_last {
            true => self.next_hole()?,
            false => self.at,
        });
        Ok(skipped)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::disk::{Dir, Disk};
    use crate::model::Digest;

    /// All pieces of content: bytes of data and lengths of holes.
    fn pieces(dir: &Dir, name: &str) -> Vec<(usize, u64)> {
        let file = dir.open_file(name).unwrap();
        let stat = dir.stat_open(&file).unwrap();
        let (mut found, mut buffer) = (vec![(0, 0)], vec![0; 1 << 16]);
        let mut content = SparseFile::new(&file, &stat).unwrap();
        each_piece(
            &mut content,
            &mut buffer,
            |error| error,
            |piece| {
                let last = found.last_mut().unwrap();
                match piece {
                    Piece::Bytes(bytes) if last.1 == 0 => last.0 += bytes.len(),
                    Piece::Bytes(bytes) => found.push((bytes.len(), 0)),
                    Piece::Hole(length) => last.1 += length,
                }
                Ok(())
            },
        )
        .unwrap();
        found
    }

    /// Every hole of a source was written: a sparse gigabyte took a gigabyte and half a minute.
    #[test]
    fn a_copy_has_the_holes_and_the_digest_of_the_original() {
        let scratch = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(scratch.path()).unwrap();
        let dir = Dir::open(path, Disk::default()).unwrap();
        let mebi = |count: u64| count << 20;
        for (name, length, written) in [
            ("nothing", 0, &[][..]),
            ("hole", mebi(40), &[]),
            ("begins", mebi(33), &[0]),
            ("ends", mebi(20) + 5, &[mebi(20)]),
            ("both", mebi(50), &[mebi(1), mebi(2), mebi(48)]),
            ("odd", mebi(3) + 1, &[0, mebi(3) - 3]),
        ] {
            let file = dir.create_file(name, 0o600).unwrap().into_file();
            for at in written {
                file.write_all_at(b"12345"[..].get(..4).unwrap(), *at)
                    .unwrap();
            }
            file.set_len(length).unwrap();
            let mut copy = dir.create_file(&format!("{name}.copy"), 0o600).unwrap();
            let (copied, digest) = copy.copy_from(&file, path).unwrap();
            let whole = dir.read_small(name, u64::MAX).unwrap().unwrap();
            assert_eq!((copied, digest), (length, Digest::of(&whole)), "{name}");
            let other = dir.read_small(&format!("{name}.copy"), u64::MAX).unwrap();
            assert!(other.unwrap() == whole, "{name}");
            assert_eq!(dir.hash(&file, name).unwrap(), digest, "{name}");
            assert_eq!(pieces(&dir, &format!("{name}.copy")), pieces(&dir, name));
            assert!(copy.stat().unwrap().held < 1 << 20, "{name}");
        }
    }
}
