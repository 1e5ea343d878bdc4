use std::io::{self, Read};

use super::copy::read_some;
use super::header::{BLOCK_BYTES, Header, Letter};
use super::pax::{Pax, damaged};
use super::sparse::Map;
use crate::disk::Sparse;
use crate::model::Timestamp;

/// The longest extended header; names are at most 4095 bytes, which leaves room for other records.
const EXTENDED_BYTES_MAX: u64 = 1 << 20;

/// Reads a tar archive sequentially, once.
///
/// It agrees with GNU tar on which block is a header: the size field of a member without content is ignored. Extended
/// headers have a size limit, and an archive that was truncated between two members is detected. Reading yields the
/// content of the current member.
pub(super) struct TarReader<R> {
    inner: R,
    /// The bytes of the current member that were not read yet.
    left: u64,
    /// The padding after them.
    padding: usize,
    /// The mtime of a global header, for members without their own.
    mtime: Option<Timestamp>,
    /// Whether the content is known to be complete: some layers have no end marker and no padding of the last block.
    pub(super) is_known: bool,
}

/// One member of an archive.
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) letter: Letter,
    pub(super) mode: u32,
    pub(super) mtime: Timestamp,
    /// The pieces of a sparse file.
    pub(super) map: Option<Map>,
}

#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Pax,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            left: 0,
            padding: 0,
            mtime: None,
            is_known: false,
        }
    }

    /// The next member; `None` at the end marker.
    pub(super) fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(block) = self.header()? else {
                return Ok(None);
            };
            let header = Header(&block);
            if header.is_end() {
                return Ok(None);
            }
            if !header.has_right_sum() {
                return Err(damaged("a header, by its checksum,"));
            }
            let letter = header.letter();
            self.begin(match letter {
                Letter::HardLink | Letter::Link | Letter::Dir => 0,
                Letter::Char | Letter::Block | Letter::Fifo => 0,
                _ => header.size()?,
            });
            match letter {
                Letter::LongName => extended.path = Some(self.text()?),
                Letter::LongLink => extended.link = Some(self.text()?),
                Letter::Extended => extended.pax = Pax::parse(&self.bytes()?)?,
                // Of a global header only the time is meaningful for a tree.
                Letter::Global => self.mtime = Pax::parse(&self.bytes()?)?.mtime.or(self.mtime),
                Letter::Label => {}
                _ => return self.member(&header, extended).map(Some),
            }
        }
    }

    /// How much of the current member's content has not been read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Reads what follows the end marker, so that a decompressor checks its checksum and a pipe's writer can finish.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        const BYTES_MAX: u64 = 64 << 20;
        let mut rest = (&mut self.inner).take(BYTES_MAX);
        if io::copy(&mut rest, &mut io::sink())? == BYTES_MAX {
            return Err(damaged("the data after the end, 64 MiB and more,"));
        }
        Ok(())
    }

    fn member(&mut self, header: &Header<'_>, extended: Extended) -> io::Result<Member> {
        let Extended { path, link, pax } = extended;
        let mut letter = header.letter();
        let path = pax.path.or(path).unwrap_or_else(|| header.path());
        let link = pax.link.or(link).unwrap_or_else(|| header.link());
        // The oldest archives mark directories by a trailing slash only.
        if letter == Letter::File && path.ends_with(b"/") {
            letter = Letter::Dir;
            self.begin(0);
        }
        let is_file = matches!(letter, Letter::File | Letter::Sparse | Letter::Unknown(_));
        if let Some(size) = pax.size.filter(|_| is_file) {
            self.begin(size);
        }
        let map = match (letter, pax.sparse) {
            (Letter::Sparse, _) => Some(Map::from_header(header, self)?),
            (Letter::File, Some(sparse)) => Some(sparse.map(self)?),
            _ => None,
        };
        Ok(Member {
            path,
            link,
            letter,
            mode: header.mode()?,
            mtime: match pax.mtime.or(self.mtime) {
                Some(mtime) => mtime,
                None => header.mtime()?,
            },
            map,
        })
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        let over = (size % BLOCK_BYTES as u64) as usize;
        self.padding = (BLOCK_BYTES - over) % BLOCK_BYTES;
    }

    /// Skips the rest of the current member.
    fn skip(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink())?;
        let mut padding = [0; BLOCK_BYTES];
        let padding = &mut padding[..self.padding];
        if self.read_full(padding)? < padding.len() && !self.is_known {
            return Err(cut_short(io::ErrorKind::UnexpectedEof.into()));
        }
        self.padding = 0;
        Ok(())
    }

    fn header(&mut self) -> io::Result<Option<[u8; BLOCK_BYTES]>> {
        let mut block = [0; BLOCK_BYTES];
        match self.read_full(&mut block)? {
            BLOCK_BYTES => Ok(Some(block)),
            0 if self.is_known => Ok(None),
            _ => Err(cut_short(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Reads until the buffer is full or the input ends; returns the number of bytes.
    fn read_full(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match read_some(&mut self.inner, &mut buffer[read..])? {
                0 => break,
                more => read += more,
            }
        }
        Ok(read)
    }

    /// A block between a sparse header and its content.
    pub(super) fn block_before_content(&mut self) -> io::Result<[u8; BLOCK_BYTES]> {
        let mut block = [0; BLOCK_BYTES];
        self.inner.read_exact(&mut block).map_err(cut_short)?;
        Ok(block)
    }

    /// The whole content of an extended header.
    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        if self.left > EXTENDED_BYTES_MAX {
            return Err(damaged("an extended header of more than 1 MiB"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The same, up to the terminating NUL.
    fn text(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = self.bytes()?;
        let end = bytes.iter().position(|byte| *byte == 0);
        bytes.truncate(end.unwrap_or(bytes.len()));
        Ok(bytes)
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let count = read_some(&mut self.inner, &mut buffer[..wanted])?;
        if count == 0 {
            return Err(cut_short(io::ErrorKind::UnexpectedEof.into()));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

impl<R: Read> Sparse for TarReader<R> {
    fn skip_hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }
}

fn cut_short(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return io::Error::new(error.kind(), "it is cut short");
    }
    error
}
