//! Recognizes the format of a file by its first bytes.

use super::header::{BLOCK_BYTES, Header};

/// The compression of an archive, or another format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Gzip,
    Zlib,
    Zstd,
    Xz,
    /// An unsupported format: its name, and a program that converts it to a tar archive.
    Other(&'static str, &'static str),
}

const CPIO: Format = Format::Other("a cpio archive", "bsdtar -cf - @FILE");
const ZIP: Format = Format::Other("a zip archive", "bsdtar -cf - @FILE");
const LZ4: Format = Format::Other("compressed with lz4", "lz4 -dc FILE");

/// Magic numbers of unsupported formats.
const OTHERS: [(&[u8], Format); 20] = [
    (
        b"BZh",
        Format::Other("compressed with bzip2", "bzip2 -dc FILE"),
    ),
    (
        b"LZIP",
        Format::Other("compressed with lzip", "lzip -dc FILE"),
    ),
    (b"\x04\x22\x4d\x18", LZ4),
    (b"\x02\x21\x4c\x18", LZ4),
    (
        b"\x89LZO\0\r\n\x1a\n",
        Format::Other("compressed with lzop", "lzop -dc FILE"),
    ),
    (
        b"LRZI",
        Format::Other("compressed with lrzip", "lrzip -dQo - FILE"),
    ),
    (
        b"\x1f\x9d",
        Format::Other("compressed with compress", "gzip -dc FILE"),
    ),
    (
        b"\x1f\xa0",
        Format::Other("compressed with compress", "gzip -dc FILE"),
    ),
    (
        b"\x1f\x1e",
        Format::Other("compressed with pack", "gzip -dc FILE"),
    ),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PK\x07\x08", ZIP),
    (
        b"7z\xbc\xaf\x27\x1c",
        Format::Other("a 7z archive", "bsdtar -cf - @FILE"),
    ),
    (
        b"Rar!\x1a\x07",
        Format::Other("a rar archive", "bsdtar -cf - @FILE"),
    ),
    (
        b"\xed\xab\xee\xdb",
        Format::Other("an rpm package", "rpm2archive - < FILE"),
    ),
    (
        b"!<arch>\n",
        Format::Other(
            "an ar archive or a Debian package",
            "dpkg-deb --fsys-tarfile FILE",
        ),
    ),
    (b"hsqs", Format::Other("a squashfs image", "sqfs2tar FILE")),
    (
        b"xar!",
        Format::Other("a xar archive", "bsdtar -cf - @FILE"),
    ),
    (b"0707", CPIO),
    (b"\xc7\x71", CPIO),
];

impl Format {
    /// The format of a file with these first bytes, padded with NULs.
    pub(super) fn of(first: &[u8; BLOCK_BYTES]) -> Self {
        if Header(first).has_right_sum() {
            // Checked first: a member's name may begin with any magic number, but no other format looks like a tar
            // header.
            return Self::Plain;
        }
        if let Some((_, format)) = OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
            return *format;
        }
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ if is_zstd(first) => Self::Zstd,
            _ if is_xz(first) => Self::Xz,
            _ if is_lzma(first) => Self::Other("compressed with lzma", "xz -dc FILE"),
            [method, flags, ..]
                if method & 0x8f == 0x08
                    && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) =>
            {
                Self::Zlib
            }
            _ => Self::Plain,
        }
    }

    /// Whether another member, stream or frame of the same compression begins with these bytes.
    pub(super) fn goes_on_with(self, first: &[u8]) -> bool {
        match self {
            Self::Gzip => first.starts_with(&[0x1f, 0x8b]),
            Self::Zstd => is_zstd(first),
            Self::Xz => is_xz(first),
            Self::Plain | Self::Zlib | Self::Other(..) => false,
        }
    }
}

/// A skippable frame may come first.
fn is_zstd(first: &[u8]) -> bool {
    matches!(
        first,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

fn is_xz(first: &[u8]) -> bool {
    first.starts_with(b"\xfd7zXZ\0")
}

/// The format has no magic number: check the usual properties, a plausible dictionary size, and an unknown or
/// plausible length.
fn is_lzma(first: &[u8; BLOCK_BYTES]) -> bool {
    let [0x5d, d0, d1, d2, d3, length @ ..] = first else {
        return false;
    };
    let dictionary = u32::from_le_bytes([*d0, *d1, *d2, *d3]);
    let length = length
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let is_plain = dictionary.is_power_of_two() || (dictionary / 3 * 2).is_power_of_two();
    is_plain && dictionary >= 1 << 12 && (length == u64::MAX || length < 1 << 40)
}
