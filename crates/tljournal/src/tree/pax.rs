use std::io;

use crate::model::Timestamp;

/// What the extended header of one archive member says, as far as trees have use for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<Timestamp>,
    /// The member is sparse, in the format whose map stands in front of the content.
    pub(super) is_sparse: bool,
    /// The length of the sparse file with its holes.
    pub(super) real_size: Option<u64>,
    /// The member is sparse in one of the two formats that GNU tar gave up.
    pub(super) is_old_sparse: bool,
}

impl Pax {
    /// Reads records of the form `length key=value\n`. The length decides where one ends: values may
    /// contain line breaks.
    pub(super) fn parse(mut bytes: &[u8]) -> io::Result<Self> {
        let mut pax = Self::default();
        let mut sparse_name = None;
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or_else(|| damaged("a pax record"))?;
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"linkpath" => pax.link = Some(value.to_vec()),
                b"size" => pax.size = Some(number(value)?),
                b"mtime" => {
                    pax.mtime = Some(timestamp(value).ok_or_else(|| damaged("a pax mtime"))?);
                }
                b"GNU.sparse.major" => pax.is_sparse = value == b"1",
                b"GNU.sparse.name" => sparse_name = Some(value.to_vec()),
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                    pax.real_size = Some(number(value)?);
                }
                b"GNU.sparse.numblocks" | b"GNU.sparse.map" => pax.is_old_sparse = true,
                _ => {}
            }
            bytes = rest;
        }
        // The other path of a sparse member is one for programs that do not know the format.
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

/// A decimal number of seconds, of which nanoseconds are kept: `-1.5` is half a second before -1.
fn timestamp(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (secs, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if secs.is_empty() || !is_number(secs) || !is_number(fraction) {
        return None;
    }
    let secs: i64 = secs.parse().ok()?;
    let kept = &fraction[..fraction.len().min(9)];
    let nanos: u32 = format!("{kept:0<9}").parse().ok()?;
    Some(match (is_negative, nanos) {
        (false, _) => Timestamp::new(secs, nanos),
        (true, 0) => Timestamp::new(-secs, 0),
        (true, _) => Timestamp::new(-secs - 1, 1_000_000_000 - nanos),
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
