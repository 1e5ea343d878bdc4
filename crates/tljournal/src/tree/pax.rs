use std::io::{self, Read};

use super::sparse::Map;
use super::tar_reader::TarReader;
use crate::model::Timestamp;

/// The records of an extended header that are relevant for trees.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<Timestamp>,
    /// The member is sparse.
    pub(super) sparse: Option<PaxSparse>,
}

/// The description of a sparse file in an extended header, in one of three formats.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    /// The length of the file with its holes.
    real_size: Option<u64>,
    /// The map precedes the content instead of being in the header.
    is_in_content: bool,
    pieces: Vec<(u64, u64)>,
    /// The offset of the piece whose length comes next.
    offset: Option<u64>,
}

impl PaxSparse {
    /// The map of the pieces of the member that begins now.
    pub(super) fn map<R: Read>(self, reader: &mut TarReader<R>) -> io::Result<Map> {
        let size = self.real_size;
        let size = size.ok_or_else(|| damaged("a sparse file without a size"))?;
        match self.is_in_content {
            true => Map::from_content(reader, size),
            false => Map::from_pieces(self.pieces, size),
        }
    }

    fn read(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match key {
            b"major" => self.is_in_content = value == b"1",
            b"realsize" | b"size" => self.real_size = Some(number(value)?),
            b"offset" => self.offset = Some(number(value)?),
            b"numbytes" => {
                let offset = self.offset.take();
                let offset = offset.ok_or_else(|| damaged("the map of a sparse file"))?;
                self.pieces.push((offset, number(value)?));
            }
            b"map" => {
                let numbers: Vec<_> = value.split(|byte| *byte == b',').collect();
                for pair in numbers.chunks(2).filter(|_| !value.is_empty()) {
                    let [offset, length] = pair else {
                        return Err(damaged("the map of a sparse file"));
                    };
                    self.pieces.push((number(offset)?, number(length)?));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Pax {
    /// Reads records of the form `length key=value\n`. The length decides where a record ends, because values may
    /// contain line breaks.
    pub(super) fn parse(mut bytes: &[u8]) -> io::Result<Self> {
        let mut pax = Self::default();
        let mut sparse_name = None;
        // Some programs pad the last block with NULs and include them in the size.
        while bytes.first().is_some_and(|byte| *byte != 0) {
            let (key, value, rest) = record(bytes).ok_or_else(|| damaged("a pax record"))?;
            bytes = rest;
            // An empty value removes an earlier one.
            let is_said = !value.is_empty();
            match key {
                b"path" => pax.path = is_said.then(|| value.to_vec()),
                b"linkpath" => pax.link = is_said.then(|| value.to_vec()),
                b"size" => pax.size = is_said.then(|| number(value)).transpose()?,
                b"mtime" => {
                    let mtime = || timestamp(value).ok_or_else(|| damaged("a pax mtime"));
                    pax.mtime = is_said.then(mtime).transpose()?;
                }
                b"GNU.sparse.name" => sparse_name = is_said.then(|| value.to_vec()),
                _ => {
                    if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        pax.sparse.get_or_insert_default().read(key, value)?;
                    }
                }
            }
        }
        // The other path of a sparse member is for programs that do not know the format.
        pax.path = sparse_name.or(pax.path);
        Ok(pax)
    }
}

pub(super) fn damaged(what: &str) -> io::Error {
    let text = format!("{what} cannot be understood");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let text = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], rest))
}

pub(super) fn number(text: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(text).map_err(|_| damaged("a number"))?;
    text.parse().map_err(|_| damaged("a number"))
}

/// A decimal number of seconds, truncated to nanoseconds: `-1.5` is half a second before -1.
fn timestamp(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_negative = digits.len() < text.len();
    let (secs, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if secs.is_empty() || !is_number(secs) || !is_number(fraction) {
        return None;
    }
    let whole = &text[..text.len() - digits.len() + secs.len()];
    let secs: i64 = whole.parse().ok()?;
    let kept = &fraction[..fraction.len().min(9)];
    let nanos: u32 = format!("{kept:0<9}").parse().ok()?;
    Some(match (is_negative, nanos) {
        (false, _) => Timestamp::new(secs, nanos),
        (true, 0) => Timestamp::new(secs, 0),
        (true, _) => Timestamp::new(secs.checked_sub(1)?, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_where_their_length_says_and_times_keep_their_nanoseconds() {
        let pax = Pax::parse(b"12 path=a\nb\n14 mtime=-1.5\n12 size=123\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(pax.mtime, Some(Timestamp::new(-2, 500_000_000)));
        assert_eq!(pax.size, Some(123));
        let nanos = timestamp(b"1.1234567891").unwrap();
        assert_eq!(nanos, Timestamp::new(1, 123_456_789));
        for bad in [
            "",
            "-",
            ".5",
            "1e3",
            "+1",
            "99999999999999999999",
            "1.\u{e4}",
        ] {
            assert_eq!(timestamp(bad.as_bytes()), None, "{bad}");
        }
        for bad in [
            "x",
            "99 path=a\n",
            "3 a\n",
            "9 path=ab",
            "0 ",
            "18446744073709551616 a=b\n",
        ] {
            assert!(Pax::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
