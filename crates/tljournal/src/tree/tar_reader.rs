use std::io::{self, Read};

use tar::{EntryType, Header};

use super::copy::read_some;
use super::pax::{Pax, damaged};
use super::sparse::Map;
use crate::model::Timestamp;

const BLOCK_BYTES: usize = 512;
/// Longest extended header; names are at most 4095 bytes, so this is room for a lot that is not ours.
const EXTENDED_BYTES_MAX: u64 = 1 << 20;

/// Reads a tar archive from front to back, once.
///
/// The crate `tar` reads the headers, the framing is done here: extended headers are bounded, values in
/// them may contain line breaks, and an archive that is cut short between two members is noticed.
/// Reading yields the content of the current member.
pub(super) struct TarReader<R> {
    inner: R,
    /// Content of the current member that was not read yet.
    left: u64,
    /// What fills up its last block.
    padding: usize,
    /// Whether the content is known to be all there: some who make layers leave out the end marker, and what
    /// fills up the last block.
    pub(super) is_known: bool,
}

/// One member of an archive.
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) mtime: Timestamp,
    /// Where the pieces of a sparse file lie.
    pub(super) map: Option<Map>,
    pub(super) is_old_sparse: bool,
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
            is_known: false,
        }
    }

    /// The next member; `None` at the end marker.
    pub(super) fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            check_sum(&header)?;
            self.begin(header.entry_size()?);
            match header.entry_type() {
                EntryType::GNULongName => extended.path = Some(self.text()?),
                EntryType::GNULongLink => extended.link = Some(self.text()?),
                EntryType::XHeader => extended.pax = Pax::parse(&self.bytes()?)?,
                // Defaults for all members; what trees need is never in them.
                EntryType::XGlobalHeader => drop(self.bytes()?),
                _ => return self.member(&header, extended).map(Some),
            }
        }
    }

    /// How long the content of the current member is, as far as it was not read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Reads what follows the end marker, so that a decompressor gets to its checksum and a writer into a
    /// pipe to its end.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        const BYTES_MAX: u64 = 64 << 20;
        let mut rest = (&mut self.inner).take(BYTES_MAX);
        if io::copy(&mut rest, &mut io::sink())? == BYTES_MAX {
            return Err(damaged("what follows the end, 64 MiB and more,"));
        }
        Ok(())
    }

    fn member(&mut self, header: &Header, extended: Extended) -> io::Result<Member> {
        let Extended { path, link, pax } = extended;
        if let Some(size) = pax.size {
            self.begin(size);
        }
        let own_path = || header.path_bytes().into_owned();
        let own_link = || header.link_name_bytes().unwrap_or_default().into_owned();
        let path = pax.path.or(path).unwrap_or_else(own_path);
        let link = pax.link.or(link).unwrap_or_else(own_link);
        // Base-256 numbers are in two's complement, so the cast gives times before 1970 back.
        let mtime = || io::Result::Ok(Timestamp::new(header.mtime()?.cast_signed(), 0));
        let mut kind = header.entry_type();
        let map = if kind == EntryType::GNUSparse {
            Some(Map::from_header(header, self)?)
        } else if pax.is_sparse {
            Some(Map::from_content(self, pax.real_size)?)
        } else {
            None
        };
        // The oldest archives know directories by their last byte only.
        if kind == EntryType::Regular && path.ends_with(b"/") {
            kind = EntryType::Directory;
        }
        Ok(Member {
            path,
            link,
            kind,
            mode: header.mode()? & 0o7777,
            mtime: pax.mtime.map_or_else(mtime, Ok)?,
            map,
            is_old_sparse: pax.is_old_sparse && !pax.is_sparse,
        })
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        let over = (size % BLOCK_BYTES as u64) as usize;
        self.padding = (BLOCK_BYTES - over) % BLOCK_BYTES;
    }

    /// Skips what is left of the current member.
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

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        match self.read_full(header.as_mut_bytes())? {
            BLOCK_BYTES => Ok(Some(header)),
            0 if self.is_known => Ok(None),
            _ => Err(cut_short(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Reads as much as there is; how much that was.
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
    pub(super) fn block_before_content(&mut self, block: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(block).map_err(cut_short)
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

    /// The same, without the NUL that ends it.
    fn text(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = self.bytes()?;
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
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

fn cut_short(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return io::Error::new(error.kind(), "it is cut short");
    }
    error
}

fn check_sum(header: &Header) -> io::Result<()> {
    if is_header(header.as_bytes()) {
        return Ok(());
    }
    Err(damaged("a header, by its checksum,"))
}

/// Whether the block is a header, by its checksum.
pub(super) fn is_header(block: &[u8; BLOCK_BYTES]) -> bool {
    let header = Header::from_byte_slice(block);
    let sum: u32 = (block.iter().enumerate())
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            }
        })
        .map(u32::from)
        .sum();
    header.cksum().is_ok_and(|told| told == sum)
}
