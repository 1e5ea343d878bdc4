use std::borrow::Cow;

use rusqlite::{OptionalExtension, Row, params};

use super::codec::{bad, below, digest, identity, place, signed, time};
use super::{Catalog, CatalogError};
use crate::model::signature::{self, decode_facts};
use crate::model::{Digest, Facts, Image, Kind, Place, RelPath, Signature, Stat, Timestamp};

/// What the last applied transaction left at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryRow {
    /// The row of that transaction, and the change within it.
    pub(crate) txn: i64,
    pub(crate) n: u32,
    pub(crate) image: Image,
    pub(crate) ctime: Timestamp,
    /// The ctime is too recent for the signature to prove that the content is unchanged.
    pub(crate) racy: bool,
    /// The digest of a file's content or of a tree's manifest.
    pub(crate) digest: Option<Digest>,
    pub(crate) target: Option<String>,
    /// The signatures of a tree's entries.
    pub(crate) signature: Option<Signature>,
    pub(crate) unsettled: Option<Unsettled>,
    /// Owner, group and attributes of an entry that is not a tree; a tree's signature contains them.
    pub(crate) facts: Option<Facts>,
}

/// The state in which a tree was written that may not be on the medium yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsettled {
    pub(crate) boot: String,
    pub(crate) mount: u64,
}

impl EntryRow {
    /// The signature of a tree. If it `vouches`, an unchanged signature proves unchanged content; otherwise only its
    /// facts are used.
    pub(crate) fn signature_if(&self, vouches: bool) -> Option<Cow<'_, Signature>> {
        let signature = self.signature.as_ref();
        signature.map(|signature| match vouches {
            true => Cow::Borrowed(signature),
            false => Cow::Owned(signature.facts_only()),
        })
    }

    /// Whether the inode is the recorded one, unchanged since it was recorded.
    pub(crate) fn vouches_for(&self, stat: &Stat) -> bool {
        self.image.is_untouched(stat) && self.image.mode == stat.mode && self.ctime == stat.ctime
    }
}

const COLUMNS: &str = "root, path, txn, n, kind, ino, born, size, mode, mtime, ctime, racy,
                                  digest, target, signature, unsettled, boot, mount, facts";

/// The schema version that added facts: a database opened for inspection may be older.
const HAS_FACTS: i64 = 4;

impl Catalog {
    /// The columns of an entry that this database has.
    pub(super) fn entry_columns(&self) -> Result<Cow<'static, str>, CatalogError> {
        Ok(match self.schema_version()? < HAS_FACTS {
            true => Cow::Owned(COLUMNS.replace(", facts", ", NULL")),
            false => Cow::Borrowed(COLUMNS),
        })
    }

    /// The entry at a place.
    pub(crate) fn entry(&self, place: &Place) -> Result<Option<EntryRow>, CatalogError> {
        let columns = self.entry_columns()?;
        let sql = format!("SELECT {columns} FROM entry WHERE root = ?1 AND path = ?2");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let key = params![self.root_of(place)?, place.path.as_str()];
        statement
            .query_row(key, |row| Ok(read_entry(row)))
            .optional()?
            .transpose()
    }

    /// The trees below a place.
    pub(crate) fn trees_below(&self, at: &Place) -> Result<Vec<Place>, CatalogError> {
        let (from, to) = below(&at.path);
        let sql =
            "SELECT path FROM entry WHERE root = ?1 AND path >= ?2 AND path < ?3 AND kind = ?4";
        let mut statement = self.conn.prepare_cached(sql)?;
        let key = params![self.root_of(at)?, from, to, Kind::Dir.as_str()];
        let mut rows = statement.query(key)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let path = RelPath::new(&row.get::<_, String>(0)?).map_err(bad)?;
            let anchor = at.anchor;
            found.push(Place { anchor, path });
        }
        Ok(found)
    }

    /// The entries below a place.
    pub(crate) fn entries_below(&self, at: &Place) -> Result<Vec<(Place, EntryRow)>, CatalogError> {
        let (from, to) = below(&at.path);
        let sql = format!(
            "SELECT {COLUMNS} FROM entry WHERE root = ?1 AND path >= ?2 AND path < ?3 ORDER BY path"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.root_of(at)?, from, to])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let path = RelPath::new(&row.get::<_, String>(1)?).map_err(bad)?;
            let anchor = at.anchor;
            found.push((Place { anchor, path }, read_entry(row)?));
        }
        Ok(found)
    }

    /// The trees that may not be on the medium yet, without those of other roots.
    pub(crate) fn unsettled(&self) -> Result<Vec<(Place, EntryRow)>, CatalogError> {
        let columns = self.entry_columns()?;
        let sql = format!("SELECT {columns} FROM entry WHERE unsettled IS NOT NULL");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let path: String = row.get(1)?;
            if let Some(place) = place(row.get(0)?, &path, self.own_root()?)? {
                found.push((place, read_entry(row)?));
            }
        }
        Ok(found)
    }

    /// Whether a tree of this transaction may not be on the medium yet, so that the replaced tree is still needed.
    pub(crate) fn is_unsettled(&self, txn: i64) -> Result<bool, CatalogError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM entry WHERE unsettled IS NOT NULL AND txn = ?1)";
        Ok(self
            .conn
            .prepare_cached(sql)?
            .query_row([txn], |row| row.get(0))?)
    }

    /// Records that a tree is on the medium, unless it was replaced meanwhile.
    pub(crate) fn settle_entry(&self, place: &Place, txn: i64) -> Result<(), CatalogError> {
        let sql = "UPDATE entry SET unsettled = NULL WHERE root = ?1 AND path = ?2 AND txn = ?3";
        let key = params![self.root_of(place)?, place.path.as_str(), txn];
        self.conn.prepare_cached(sql)?.execute(key)?;
        Ok(())
    }

    /// Records the entry at a place and removes all entries below it.
    pub(crate) fn put_entry(&self, place: &Place, entry: &EntryRow) -> Result<(), CatalogError> {
        self.remove_below(place)?;
        let sql = format!("INSERT OR REPLACE INTO entry ({COLUMNS}) VALUES
                   (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)");
        let facts = match &entry.signature {
            Some(signature) => signature.encode_facts(),
            None => signature::encode_facts(std::iter::once(entry.facts)),
        };
        self.conn.prepare_cached(&sql)?.execute(params![
            self.root_of(place)?,
            place.path.as_str(),
            entry.txn,
            entry.n,
            entry.image.kind.as_str(),
            signed(entry.image.identity.ino),
            entry.image.identity.born.to_string(),
            signed(entry.image.size),
            entry.image.mode,
            entry.image.mtime.to_string(),
            entry.ctime.to_string(),
            entry.racy,
            entry
                .digest
                .as_ref()
                .map(|digest| digest.as_bytes().as_slice()),
            entry.target,
            entry.signature.as_ref().map(Signature::encode),
            entry.unsettled.as_ref().map(|_| 1),
            entry.unsettled.as_ref().map(|unsettled| &unsettled.boot),
            entry
                .unsettled
                .as_ref()
                .map(|unsettled| signed(unsettled.mount)),
            facts,
        ])?;
        Ok(())
    }

    /// Removes the entry at a place and all entries below it.
    pub(crate) fn remove_entry(&self, place: &Place) -> Result<(), CatalogError> {
        self.remove_below(place)?;
        let sql = "DELETE FROM entry WHERE root = ?1 AND path = ?2";
        let key = params![self.root_of(place)?, place.path.as_str()];
        self.conn.prepare_cached(sql)?.execute(key)?;
        Ok(())
    }

    fn remove_below(&self, place: &Place) -> Result<(), CatalogError> {
        let (from, to) = below(&place.path);
        let sql = "DELETE FROM entry WHERE root = ?1 AND path >= ?2 AND path < ?3";
        self.conn
            .prepare_cached(sql)?
            .execute(params![self.root_of(place)?, from, to])?;
        Ok(())
    }

    /// Marks every signature as unable to prove content, because it belongs to another disk.
    pub(crate) fn distrust_all(&self) -> Result<(), CatalogError> {
        self.conn.execute(
            "UPDATE entry SET racy = 1, ctime = '0.0', signature = NULL, facts = NULL",
            [],
        )?;
        self.conn.execute("DELETE FROM source", [])?;
        Ok(())
    }
}

pub(super) fn read_entry(row: &Row<'_>) -> Result<EntryRow, CatalogError> {
    let kind: String = row.get(4)?;
    let signature: Option<Vec<u8>> = row.get(14)?;
    let facts: Option<Vec<u8>> = row.get(18)?;
    let facts = facts.unwrap_or_default();
    let decode = |bytes: Vec<u8>| {
        let signature = Signature::decode(&bytes).ok_or_else(|| bad("no signature"))?;
        Ok::<_, CatalogError>(signature.with_facts(&facts))
    };
    let signature = signature.map(decode).transpose()?;
    let own = decode_facts(&facts).and_then(|all| all.first().copied().flatten());
    let unsettled = match row.get::<_, Option<i64>>(15)? {
        None => None,
        Some(_) => Some(Unsettled {
            boot: row.get(16)?,
            mount: row.get::<_, i64>(17)?.cast_unsigned(),
        }),
    };
    Ok(EntryRow {
        txn: row.get(2)?,
        n: row.get(3)?,
        image: Image {
            kind: Kind::from_word(&kind).ok_or_else(|| bad("no kind of file"))?,
            identity: identity(row.get(5)?, &row.get::<_, String>(6)?)?,
            size: row.get::<_, i64>(7)?.cast_unsigned(),
            mode: row.get(8)?,
            mtime: time(&row.get::<_, String>(9)?)?,
        },
        ctime: time(&row.get::<_, String>(10)?)?,
        racy: row.get(11)?,
        digest: digest(row.get(12)?)?,
        target: row.get(13)?,
        facts: own.filter(|_| signature.is_none()),
        signature,
        unsettled,
    })
}
