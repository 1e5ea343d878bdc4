//! Converts between columns and the types they stand for. No value from a row is trusted.

use rusqlite::Row;

use super::CatalogError;
use crate::model::{
    Anchor, Digest, Identity, Image, Kind, Op, Place, RelPath, Timestamp, TxnState,
};

/// A row holds a value that the journal never writes.
#[derive(Debug)]
pub(crate) struct RowError(pub(crate) String);

pub(super) fn bad(what: impl std::fmt::Display) -> CatalogError {
    CatalogError::Row(format!("a row holds {what}"))
}

pub(super) fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, CatalogError> {
    text.parse()
        .map_err(|_| bad(format!("no {what}: `{}`", text.escape_debug())))
}

pub(super) fn time(text: &str) -> Result<Timestamp, CatalogError> {
    parse(text, "time")
}

pub(super) fn digest(bytes: Option<Vec<u8>>) -> Result<Option<Digest>, CatalogError> {
    let read = |bytes: Vec<u8>| match bytes.try_into() {
        Ok(bytes) => Ok(Digest::from_bytes(bytes)),
        Err(_) => Err(bad("a digest of a wrong length")),
    };
    bytes.map(read).transpose()
}

/// Inode numbers and sizes are unsigned, SQLite's integers are signed: the bits are kept.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn identity(ino: i64, born: &str) -> Result<Identity, CatalogError> {
    Ok(Identity {
        ino: ino.cast_unsigned(),
        born: time(born)?,
    })
}

/// Reads the six columns of an image; `None` if the first is NULL.
pub(super) fn image(row: &Row<'_>, at: usize) -> Result<Option<Image>, CatalogError> {
    let Some(kind) = row.get::<_, Option<String>>(at)? else {
        return Ok(None);
    };
    Ok(Some(Image {
        kind: Kind::from_word(&kind).ok_or_else(|| bad("no kind of file"))?,
        identity: identity(row.get(at + 1)?, &row.get::<_, String>(at + 2)?)?,
        size: row.get::<_, i64>(at + 3)?.cast_unsigned(),
        mode: row.get(at + 4)?,
        mtime: time(&row.get::<_, String>(at + 5)?)?,
    }))
}

/// Reads a state of a transaction.
pub(super) fn state(row: &Row<'_>, at: usize) -> Result<TxnState, CatalogError> {
    let word: String = row.get(at)?;
    TxnState::from_word(&word).ok_or_else(|| bad("no state"))
}

/// Reads the operation of a change.
pub(super) fn op(row: &Row<'_>, at: usize) -> Result<Op, CatalogError> {
    let word: String = row.get(at)?;
    Op::from_word(&word).ok_or_else(|| bad("no kind of change"))
}

/// The value of the `root` column for places in the home.
pub(super) const HOME: i64 = 0;

/// Reads a place of the root with this id; `None` if it belongs to another root.
pub(super) fn place(root: i64, path: &str, own_root: i64) -> Result<Option<Place>, CatalogError> {
    let path = RelPath::new(path).map_err(bad)?;
    Ok(match root {
        HOME => Some(Place {
            anchor: Anchor::Home,
            path,
        }),
        root if root == own_root => Some(Place {
            anchor: Anchor::Root,
            path,
        }),
        _ => None,
    })
}

/// The range of all paths below `path`: from `a/` up to, not including, `a0`.
pub(super) fn below(path: &RelPath) -> (String, String) {
    (format!("{path}/"), format!("{path}0"))
}
