use std::io;
use std::ops::Range;

use super::pax::damaged;
use crate::model::Timestamp;

pub(super) const BLOCK_BYTES: usize = 512;

/// Where the fields are that every format has at one place, and those of two formats.
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
/// In the blocks that continue a list of pieces.
const MORE_PIECES: Range<usize> = 0..504;
const MORE_GOES_ON: usize = 504;
/// A piece is two numbers.
const NUMBER_BYTES: usize = 12;

/// What an archive says that a member is, by the letter in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letter {
    File,
    HardLink,
    Link,
    Char,
    Block,
    Dir,
    Fifo,
    /// The header's own map says where the pieces of the file lie.
    Sparse,
    /// A directory whose content, a list of names, is for incremental backups.
    DirWithList,
    /// The name of the whole volume.
    Label,
    /// The rest of a file that begins in another volume.
    Continued,
    Extended,
    Global,
    LongName,
    LongLink,
    /// Nobody knows; POSIX says that it is to be taken for a file.
    Unknown(u8),
}

/// The header of a member, as V7, POSIX, GNU tar and all the others write it.
pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK_BYTES]);

impl Header<'_> {
    /// Whether it is a header, by its checksum. Some old programs have summed signed bytes.
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
            // The second is Solaris's letter for the first.
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
        // Some put the kind of the file in front of its permission bits.
        let mode = number(&self.0[MODE]).ok_or_else(|| damaged("a mode"))?;
        Ok((mode & 0o7777) as u32)
    }

    /// How much content follows, of a member that has any.
    pub(super) fn size(&self) -> io::Result<u64> {
        unsigned(&self.0[SIZE]).ok_or_else(|| damaged("a size"))
    }

    pub(super) fn mtime(&self) -> io::Result<Timestamp> {
        let secs = number(&self.0[MTIME]).ok_or_else(|| damaged("an mtime"))?;
        Ok(Timestamp::new(secs, 0))
    }

    /// How long a sparse file of the old GNU format is with its holes.
    pub(super) fn real_size(&self) -> io::Result<u64> {
        unsigned(&self.0[GNU_REAL_SIZE]).ok_or_else(|| damaged("the size of a sparse file"))
    }

    /// The first pieces of such a file, and whether a block with more of them follows.
    pub(super) fn pieces(&self) -> io::Result<(Vec<(u64, u64)>, bool)> {
        Ok((pieces(&self.0[GNU_PIECES])?, self.0[GNU_GOES_ON] != 0))
    }
}

/// The pieces in such a block, and whether another one follows.
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

/// What stands in front of the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

fn unsigned(field: &[u8]) -> Option<u64> {
    number(field)?.try_into().ok()
}

/// A number: octal digits with blanks around them, or in two's complement, the highest bit of the first byte being
/// set. Nothing but blanks is 0.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // The second highest bit is the sign.
        let begin = (i128::from(first & 0x7f) << 121) >> 121;
        let add = |number: i128, byte: &u8| number << 8 | i128::from(*byte);
        return field[1..].iter().fold(begin, add).try_into().ok();
    }
    // Where a number was too long by one digit, its terminating NUL was the first byte of the next field.
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

    /// What node-tar, cargo of 2018, and tars of the last century wrote was refused.
    #[test]
    fn numbers_are_read_as_everybody_has_written_them() {
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
    /// Sun and others have summed signed bytes, which differs where names are not ASCII.
    #[test]
    fn sums_of_signed_bytes_are_right_too_and_no_others() {
        let mut block = [0; BLOCK_BYTES];
        block[..4].copy_from_slice(b"\xc3\xa9/x");
        let unsigned: i64 = block.iter().map(|byte| i64::from(*byte)).sum();
        let signed: i64 = block.iter().map(|byte| i64::from(byte.cast_signed())).sum();
        assert_ne!(unsigned, signed);
        for (sum, is_right) in [(unsigned, true), (signed, true), (signed + 1, false)] {
            // The sum itself counts as eight spaces.
            let text = format!("{:06o}\0 ", sum + 8 * 32);
            block[SUM].copy_from_slice(text.as_bytes());
            assert_eq!(Header(&block).has_right_sum(), is_right, "{text:?}");
        }
    }
}
