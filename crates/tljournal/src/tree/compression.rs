use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::copy::read_some;
use super::tar_reader::is_header;

const BUFFER_BYTES: usize = 256 * 1024;
/// The most memory that an xz stream may ask for; `xz -9` needs 65 MiB.
const XZ_MEMORY_MAX: u64 = 160 << 20;

/// The largest window that a zstd stream may ask for, as a power of two; `zstd -19` needs 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// The tar archive in `reader`, which its first bytes tell to be compressed with gzip, zlib, zstd or xz,
/// or not at all.
///
/// # Errors
/// What the reader says of its first bytes, and what the decompressor says of them.
pub fn decoded<'a>(reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Encoded::recognise(reader)?.decoded()
}

/// A stream of which is known how it is compressed, before anything is set up to decompress it.
pub(super) struct Encoded<'a> {
    compression: Compression,
    whole: BufReader<Box<dyn Read + 'a>>,
}

impl<'a> Encoded<'a> {
    /// Looks at the first bytes.
    pub(super) fn recognise(mut reader: impl Read + 'a) -> io::Result<Self> {
        let mut first = [0; 512];
        let mut count = 0;
        while count < first.len() {
            match read_some(&mut reader, &mut first[count..])? {
                0 => break,
                more => count += more,
            }
        }
        let compression = Compression::of(&first);
        let whole = Cursor::new(first).take(count as u64).chain(reader);
        let whole = BufReader::with_capacity(BUFFER_BYTES, Box::new(whole) as _);
        Ok(Self { compression, whole })
    }

    /// How much memory the decompressor may come to need, if that is worth counting.
    pub(super) fn memory_bytes_max(&self) -> u64 {
        match self.compression {
            Compression::None | Compression::Gzip | Compression::Zlib => 0,
            Compression::Zstd => 1 << ZSTD_WINDOW_LOG_MAX,
            Compression::Xz => XZ_MEMORY_MAX,
        }
    }

    /// What it was before it was compressed.
    pub(super) fn decoded(self) -> io::Result<Box<dyn Read + 'a>> {
        let whole = self.whole;
        Ok(match self.compression {
            Compression::None => Box::new(whole),
            Compression::Gzip => Box::new(buffered(MultiGzDecoder::new(whole))),
            Compression::Zlib => Box::new(buffered(ZlibDecoder::new(whole))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(buffered(decoder))
            }
            Compression::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_MAX, CONCATENATED)?;
                Box::new(buffered(XzDecoder::new_stream(whole, stream)))
            }
        })
    }
}

fn buffered<R: Read>(reader: R) -> BufReader<R> {
    BufReader::with_capacity(BUFFER_BYTES, reader)
}

enum Compression {
    None,
    Gzip,
    Zlib,
    Zstd,
    Xz,
}

impl Compression {
    fn of(first: &[u8; 512]) -> Self {
        match first {
            // A name may begin with what looks like a zlib header; nothing looks like a tar header.
            _ if is_header(first) => Self::None,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A frame that zstd skips may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [method, flags, ..]
                if method & 0x8f == 0x08
                    && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) =>
            {
                Self::Zlib
            }
            _ => Self::None,
        }
    }
}
