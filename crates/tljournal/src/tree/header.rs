use std::io;
use std::ops::Range;

use super::pax::damaged;
use crate::model::Timestamp;

pub(super) const BLOCK_BYTES: usize = 512;

/// The fields that all formats share, and those of two formats.
const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const SUM: Range<usize> = 148..156;
const KIND: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..263;
const PREFIX: Range<usize> = 345..500;
const GNU_PIECES: Range<usize> = 386..482;
const GNU_GOES_ON: usize = 482;
const GNU_REAL_SIZE: Range<usize> = 483..495;
/// The fields of the blocks that continue a list of pieces.
const MORE_PIECES: Range<usize> = 0..504;
const MORE_GOES_ON: usize = 504;
/// A piece consists of two numbers.
const NUMBER_BYTES: usize = 12;

/// The type of a member, from the letter in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letter {
    File,
    HardLink,
    Link,
    Char,
    Block,
    Dir,
    Fifo,
    /// A sparse file whose map of pieces is in the header.
    Sparse,
    /// A directory with a list of names, for incremental backups.
    DirWithList,
    /// The label of the volume.
    Label,
    /// The rest of a file that begins in another volume.
    Continued,
    Extended,
    Global,
    LongName,
    LongLink,
    /// An unknown type, which POSIX says is treated as a file.
    Unknown(u8),
}

/// The header of a member in any tar format: V7, POSIX, GNU and others.
pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK_BYTES]);

impl Header<'_> {
    /// Whether the checksum is right. Some old programs summed signed bytes.
    pub(super) fn has_right_sum(&self) -> bool {
        let bytes = self.0.iter().enumerate();
        let summed = bytes.map(|(at, byte)| if SUM.contains(&at) { b' ' } else { *byte });
        let told = number(&self.0[SUM]);
        told == Some(summed.clone().map(i64::from).sum())
            || told == Some(summed.map(|byte| i64::from(byte.cast_signed())).sum())
    }

    /// Whether it is one of the blocks that end an archive.
    pub(super) fn is_end(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(super) fn letter(&self) -> Letter {
        match self.0[KIND] {
            b'0' | b'7' | 0 => Letter::File,
            b'1' => Letter::HardLink,
            b'2' => Letter::Link,
            b'3' => Letter::Char,
            b'4' => Letter::Block,
            b'5' => Letter::Dir,
            b'6' => Letter::Fifo,
            b'S' => Letter::Sparse,
            b'D' => Letter::DirWithList,
            b'V' => Letter::Label,
            b'M' => Letter::Continued,
            // The second letter is used by Solaris.
            b'x' | b'X' => Letter::Extended,
            b'g' => Letter::Global,
            b'L' => Letter::LongName,
            b'K' => Letter::LongLink,
            other => Letter::Unknown(other),
        }
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let (name, prefix) = (text(&self.0[NAME]), text(&self.0[PREFIX]));
        match &self.0[MAGIC] == b"ustar\0" && !prefix.is_empty() {
            true => [prefix, b"/", name].concat(),
            false => name.to_vec(),
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[LINK]).to_vec()
    }

    pub(super) fn mode(&self) -> io::Result<u32> {
        // Some programs store the file type above the permission bits.
        let mode = number(&self.0[MODE]).ok_or_else(|| damaged("a mode"))?;
        Ok((mode & 0o7777) as u32)
    }

    /// The size of the content of a member that has content.
    pub(super) fn size(&self) -> io::Result<u64> {
        unsigned(&self.0[SIZE]).ok_or_else(|| damaged("a size"))
    }

    pub(super) fn mtime(&self) -> io::Result<Timestamp> {
        let secs = number(&self.0[MTIME]).ok_or_else(|| damaged("an mtime"))?;
        Ok(Timestamp::new(secs, 0))
    }

    /// The size, including holes, of a sparse file in the old GNU format.
    pub(super) fn real_size(&self) -> io::Result<u64> {
        unsigned(&self.0[GNU_REAL_SIZE]).ok_or_else(|| damaged("the size of a sparse file"))
    }

    /// The first pieces of such a file, and whether a block with more pieces follows.
    pub(super) fn pieces(&self) -> io::Result<(Vec<(u64, u64)>, bool)> {
        Ok((pieces(&self.0[GNU_PIECES])?, self.0[GNU_GOES_ON] != 0))
    }
}

/// The pieces in a continuation block, and whether another block follows.
pub(super) fn more_pieces(block: &[u8; BLOCK_BYTES]) -> io::Result<(Vec<(u64, u64)>, bool)> {
    Ok((pieces(&block[MORE_PIECES])?, block[MORE_GOES_ON] != 0))
}

fn pieces(fields: &[u8]) -> io::Result<Vec<(u64, u64)>> {
    let piece = |fields: &[u8]| {
        let (offset, length) = fields.split_at(NUMBER_BYTES);
        unsigned(offset).zip(unsigned(length))
    };
    let pieces = fields.chunks_exact(2 * NUMBER_BYTES);
    let used = pieces.take_while(|fields| fields[NUMBER_BYTES] != 0);
    let pieces: Option<Vec<_>> = used.map(piece).collect();
    pieces.ok_or_else(|| damaged("the map of a sparse file"))
}

/// The bytes before the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

fn unsigned(field: &[u8]) -> Option<u64> {
    number(field)?.try_into().ok()
}

/// A number: octal digits with optional blanks, or two's complement if the highest bit of the first byte is set.
/// Blanks only mean 0.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // The second highest bit is the sign.
        let begin = (i128::from(first & 0x7f) << 121) >> 121;
        let add = |number: i128, byte: &u8| number << 8 | i128::from(*byte);
        return field[1..].iter().fold(begin, add).try_into().ok();
    }
    // A number that was one digit too long put its terminating NUL into the next field.
    let field = field.strip_prefix(b"\0").unwrap_or(field);
    let field = text(field).trim_ascii_start();
    let (is_negative, field) = match field.strip_prefix(b"-") {
        Some(field) => (true, field),
        None => (false, field),
    };
    let end = field.iter().position(u8::is_ascii_whitespace);
    let digits = &field[..end.unwrap_or(field.len())];
    let mut number = 0_i64;
    for digit in digits {
        let digit = (b'0'..=b'7').contains(digit).then(|| digit - b'0')?;
        number = number * 8 + i64::from(digit);
    }
    Some(if is_negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of node-tar, cargo of 2018, and very old tar programs were refused.
    #[test]
    fn numbers_are_read_in_all_known_forms() {
        for (field, number_in_it) in [
            (&b"0000644\0"[..], 0o644),
            (b"000644 \0", 0o644),
            (b"   644 \0", 0o644),
            (b"  644\0\0\0", 0o644),
            (b"00000644", 0o644),
            (b"\x0000000644", 0o644),
            (b"644 junk", 0o644),
            (b"644\0junk", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
            (b"       \0", 0),
            (b"-0000012", -0o12),
            (b"77777777777\0", 0o77_777_777_777),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", 256),
            (b"\x80\0\0\x02", 2),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ] {
            let shown = String::from_utf8_lossy(field);
            assert_eq!(number(field), Some(number_in_it), "{shown:?}");
        }
        for bad in [
            &b""[..],
            b"0000648\0",
            b"0x12345\0",
            b"hello  \0",
            b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            let shown = String::from_utf8_lossy(bad);
            assert_eq!(number(bad), None, "{shown:?}");
        }
        assert_eq!(
            unsigned(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
            None
        );
    }
    /// Sun and other programs summed signed bytes, which differs if names are not ASCII.
    #[test]
    fn sums_of_signed_bytes_are_right_too_and_no_others() {
        let mut block = [0; BLOCK_BYTES];
        block[..4].copy_from_slice(b"\xc3\xa9/x");
        let unsigned: i64 = block.iter().map(|byte| i64::from(*byte)).sum();
        let signed: i64 = block.iter().map(|byte| i64::from(byte.cast_signed())).sum();
        assert_ne!(unsigned, signed);
        for (sum, is_right) in [(unsigned, true), (signed, true), (signed + 1, false)] {
            // The sum field itself counts as eight spaces.
            let text = format!("{:06o}\0 ", sum + 8 * 32);
            block[SUM].copy_from_slice(text.as_bytes());
            assert_eq!(Header(&block).has_right_sum(), is_right, "{text:?}");
        }
    }
}
