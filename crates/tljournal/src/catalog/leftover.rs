use rusqlite::{Row, params};

use super::{Catalog, CatalogError};
use crate::ambient;

/// A file or directory that a user could not delete.
#[derive(Debug, Clone)]
pub(crate) struct LeftoverRow {
    /// The path below `.state`.
    pub(crate) path: String,
    pub(crate) uid: u32,
    pub(crate) boot: String,
    /// The system's error.
    pub(crate) reason: String,
}

pub(super) const COLUMNS: &str = "path, uid, boot, reason";

impl Catalog {
    /// All leftovers, of all users. A database of an older version has none.
    pub(crate) fn leftovers(&self) -> Result<Vec<LeftoverRow>, CatalogError> {
        if !self.knows_leftovers()? {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {COLUMNS} FROM leftover ORDER BY path, uid");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let rows = statement.query_map([], read_leftover)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records a leftover. Returns whether it was new for this user and reason.
    pub(crate) fn put_leftover(&self, left: &LeftoverRow) -> Result<bool, CatalogError> {
        let known = "SELECT EXISTS (SELECT 1 FROM leftover
                     WHERE path = ?1 AND uid = ?2 AND reason = ?3)";
        let known = self
            .conn
            .prepare_cached(known)?
            .query_row(params![left.path, left.uid, left.reason], |row| {
                row.get::<_, bool>(0)
            })?;
        let sql = "INSERT OR REPLACE INTO leftover (path, uid, boot, at, reason)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let LeftoverRow {
            path,
            uid,
            boot,
            reason,
        } = left;
        let now = ambient::now().to_string();
        self.conn
            .prepare_cached(sql)?
            .execute(params![path, uid, boot, now, reason])?;
        Ok(!known)
    }

    /// Deletes the record of a leftover that no longer exists.
    pub(crate) fn forget_leftover(&self, path: &str) -> Result<(), CatalogError> {
        let sql = "DELETE FROM leftover WHERE path = ?1";
        self.conn.prepare_cached(sql)?.execute([path])?;
        Ok(())
    }

    fn knows_leftovers(&self) -> Result<bool, CatalogError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'leftover')";
        Ok(self
            .conn
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0))?)
    }
}

pub(super) fn read_leftover(row: &Row<'_>) -> rusqlite::Result<LeftoverRow> {
    Ok(LeftoverRow {
        path: row.get(0)?,
        uid: row.get(1)?,
        boot: row.get(2)?,
        reason: row.get(3)?,
    })
}
