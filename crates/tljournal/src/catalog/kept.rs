use rusqlite::{OptionalExtension, params};

use super::codec::{digest, image, parse, signed, time};
use super::{Catalog, CatalogError};
use crate::model::{Digest, Image, Place, Timestamp, TxnId};

/// A transaction that retains something.
#[derive(Debug, Clone)]
pub(crate) struct KeptRow {
    pub(crate) row: i64,
    pub(crate) id: TxnId,
    pub(crate) label: String,
    pub(crate) bytes: u64,
    pub(crate) ended_at: Timestamp,
}

/// What a transaction left at a place.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// `None` if it left nothing.
    pub(crate) image: Option<Image>,
    pub(crate) digest: Option<Digest>,
}

/// The schema version that added retained content. An older database is readable and retains nothing.
pub(super) const KEPT_SINCE: i64 = 3;

impl Catalog {
    /// The transactions that retain something, oldest first.
    pub(crate) fn kept(&self) -> Result<Vec<KeptRow>, CatalogError> {
        if self.schema_version()? < KEPT_SINCE {
            return Ok(Vec::new());
        }
        let sql = "SELECT id, uuid, label, kept, coalesce(ended_at, began_at) FROM txn
                   WHERE kept IS NOT NULL ORDER BY id";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(KeptRow {
                row: row.get(0)?,
                id: parse(&row.get::<_, String>(1)?, "transaction id")?,
                label: row.get(2)?,
                bytes: row.get::<_, i64>(3)?.cast_unsigned(),
                ended_at: time(&row.get::<_, String>(4)?)?,
            });
        }
        Ok(found)
    }

    /// The rows and ids of the transactions that retain something.
    pub(crate) fn kept_txns(&self) -> Result<Vec<(i64, TxnId)>, CatalogError> {
        if self.schema_version()? < KEPT_SINCE {
            return Ok(Vec::new());
        }
        let sql = "SELECT id, uuid FROM txn WHERE kept IS NOT NULL ORDER BY id";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = parse(&row.get::<_, String>(1)?, "transaction id")?;
            found.push((row.get(0)?, id));
        }
        Ok(found)
    }

    /// Whether a transaction retains something.
    pub(crate) fn is_kept(&self, txn: i64) -> Result<bool, CatalogError> {
        if self.schema_version()? < KEPT_SINCE {
            return Ok(false);
        }
        let sql = "SELECT kept IS NOT NULL FROM txn WHERE id = ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let found = statement.query_row([txn], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or(false))
    }

    /// Records how many bytes a transaction retains.
    pub(crate) fn set_kept(&self, txn: i64, bytes: Option<u64>) -> Result<(), CatalogError> {
        let sql = "UPDATE txn SET kept = ?2 WHERE id = ?1";
        let kept = params![txn, bytes.map(signed)];
        self.conn.prepare_cached(sql)?.execute(kept)?;
        Ok(())
    }

    /// What the last transaction that was applied before this one left at a place.
    pub(crate) fn written_before(
        &self,
        place: &Place,
        txn: TxnId,
    ) -> Result<Option<Written>, CatalogError> {
        let sql = "SELECT new_kind, new_ino, new_born, new_size, new_mode, new_mtime, digest FROM change JOIN txn ON txn.id = change.txn
                   WHERE change.root = ?1 AND change.path = ?2 AND txn.state = 'applied'
                   AND change.op != 'parent'
                   AND txn.commit_no < (SELECT commit_no FROM txn WHERE uuid = ?3)
                   ORDER BY txn.commit_no DESC LIMIT 1";
        let key = params![self.root_of(place)?, place.path.as_str(), txn.to_string()];
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(key)?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Written {
            image: image(row, 0)?,
            digest: digest(row.get(6)?)?,
        }))
    }
}
