//! Rows with values that the journal never writes: found with the functions that every command reads rows with, so that
//! none is overlooked, and removed together with the rows that refer to them.

use std::borrow::Cow;

use rusqlite::Row;

use super::check::{BAD_ROWS_MAX, why};
use super::codec::bad;
use super::entry::read_entry;
use super::event::{EVENT, read_event};
use super::history::{RUN, TXN, read_run, txn_of};
use super::home::{HOME_COLUMNS, read_home};
use super::leftover::read_leftover;
use super::voucher::read_voucher;
use super::{Catalog, CatalogError};
use crate::model::{Anchor, Place, RelPath};

/// A row with a value that the journal never writes.
#[derive(Debug)]
pub(crate) struct BadRow {
    pub(crate) table: &'static str,
    /// The key of the row, for display.
    pub(crate) key: String,
    /// The key as SQLite compares it: it may be no text.
    pub(super) name: String,
    pub(crate) why: String,
    /// The key as bytes, if it is a digest.
    pub(crate) digest: Vec<u8>,
}

/// A table, what names a row of it, and the schema version that added it. Rows are removed in this order.
const TABLES: [(&str, &str, i64); 8] = [
    ("home", "id", 1),
    ("run", "id", 1),
    ("txn", "id", 1),
    ("change", "txn || '/' || n", 1),
    ("voucher", "root || ':' || path || ' ' || run", 2),
    ("event", "id", 1),
    ("entry", "root || ':' || path", 1),
    ("leftover", "path || ' ' || uid", 5),
];

/// Rows that refer to a missing row, by their condition. The last ones lose their referents to the first.
const DANGLING: [(&str, &str); 5] = [
    (
        "txn",
        "run NOT IN (SELECT id FROM run) OR root NOT IN (SELECT id FROM root)",
    ),
    ("change", "txn NOT IN (SELECT id FROM txn)"),
    ("entry", "txn NOT IN (SELECT id FROM txn)"),
    (
        "event",
        "run NOT IN (SELECT id FROM run) OR txn NOT IN (SELECT id FROM txn)",
    ),
    ("source", "manifest NOT IN (SELECT digest FROM manifest)"),
];

impl Catalog {
    /// Rows that cannot be read.
    pub(crate) fn bad_rows(&self) -> Result<Vec<BadRow>, CatalogError> {
        let version = self.schema_version()?;
        let mut found = Vec::new();
        for (table, key, _) in TABLES.into_iter().filter(|(.., since)| version >= *since) {
            let columns = self.columns_of(table)?;
            // A key may be text that is none.
            let sql = format!("SELECT {columns}, CAST({key} AS BLOB) AS its_key FROM {table}");
            let mut statement = self.conn.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let Err(error) = self.read_row(table, row) else {
                    continue;
                };
                let key: Vec<u8> = row.get::<_, Option<_>>("its_key")?.unwrap_or_default();
                found.push(BadRow {
                    table,
                    key: String::from_utf8_lossy(&key).into_owned(),
                    name: key.iter().map(|byte| format!("{byte:02X}")).collect(),
                    why: why(&error),
                    digest: Vec::new(),
                });
                if found.len() >= BAD_ROWS_MAX {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn columns_of(&self, table: &str) -> Result<Cow<'static, str>, CatalogError> {
        Ok(match table {
            "home" => HOME_COLUMNS.into(),
            "run" => self.columns(&RUN)?.into(),
            "txn" => format!("{}, run", self.columns(&TXN)?).into(),
            "change" => super::change::COLUMNS.into(),
            "voucher" => super::voucher::COLUMNS.into(),
            "event" => EVENT.into(),
            "entry" => self.entry_columns()?,
            _ => super::leftover::COLUMNS.into(),
        })
    }

    fn read_row(&self, table: &str, row: &Row<'_>) -> Result<(), CatalogError> {
        let place = |path: &str| {
            let path = RelPath::new(path).map_err(bad)?;
            let anchor = Anchor::Home;
            Ok::<_, CatalogError>(Place { anchor, path })
        };
        match table {
            "home" => read_home(row).map(drop),
            "run" => read_run(row, 0).map(drop),
            "txn" => match self.run_numbered(row.get(TXN.len())?) {
                Ok(Some(run)) => txn_of(row, run).map(drop),
                // The run is found by itself.
                Ok(None) | Err(CatalogError::Row(_)) => Ok(()),
                Err(error) => Err(error),
            },
            "change" => self.read_change(row).map(drop),
            "voucher" => {
                // Of whichever root it is.
                let at = place(&row.get::<_, String>(1)?)?;
                read_voucher(row, at).map(drop)
            }
            "event" => read_event(row).map(drop),
            "entry" => {
                place(&row.get::<_, String>(1)?)?;
                read_entry(row).map(drop)
            }
            _ => Ok(read_leftover(row).map(drop)?),
        }
    }

    /// Removes the rows that cannot be read, that the journal never writes, or that refer to a missing row, in a
    /// transaction of the caller. Returns how many of each table, without those that refer to them.
    pub(crate) fn remove_bad_rows(&self) -> Result<Vec<(&'static str, u64)>, CatalogError> {
        let mut removed = Vec::new();
        loop {
            let before = self.conn.total_changes();
            for bad in self.bad_rows()? {
                self.remove_bad(&bad)?;
                removed.push((bad.table, 1));
            }
            if self.conn.total_changes() == before {
                break;
            }
        }
        for (table, condition) in DANGLING {
            let count = match table {
                "txn" => {
                    let these = format!("SELECT id FROM txn WHERE {condition}");
                    let count = format!("SELECT count(*) FROM txn WHERE {condition}");
                    let count = self
                        .conn
                        .query_row(&count, [], |row| row.get::<_, i64>(0))?;
                    self.remove_txns(&these)?;
                    count.unsigned_abs()
                }
                _ => {
                    let sql = format!("DELETE FROM {table} WHERE {condition}");
                    self.conn.execute(&sql, [])? as u64
                }
            };
            removed.push((table, count));
        }
        removed.extend(self.remove_unaccounted()?);
        removed.retain(|(_, rows)| *rows > 0);
        Ok(removed)
    }

    /// Removes an unreadable row and the rows that refer to it.
    fn remove_bad(&self, bad: &BadRow) -> Result<(), CatalogError> {
        let table = bad.table;
        let Some((_, key, _)) = TABLES.iter().find(|(name, ..)| *name == table) else {
            return Ok(());
        };
        let those = format!("{table} WHERE CAST({key} AS BLOB) = x'{}'", bad.name);
        match table {
            "txn" => return self.remove_txns(&format!("SELECT id FROM {those}")),
            "run" => {
                let run = format!("run IN (SELECT id FROM {those})");
                self.remove_txns(&format!("SELECT id FROM txn WHERE {run}"))?;
                self.conn
                    .execute(&format!("DELETE FROM event WHERE {run}"), [])?;
            }
            _ => {}
        }
        self.conn.execute(&format!("DELETE FROM {those}"), [])?;
        Ok(())
    }

    /// Makes the rows of a private copy readable: its indexes anew, and without the rows that cannot be read. Returns
    /// how many those were.
    pub(crate) fn keep_readable_rows(&mut self) -> Result<u64, CatalogError> {
        self.conn.execute_batch("REINDEX")?;
        let removed = self.write(super::Sync::Normal, |catalog| catalog.remove_bad_rows())?;
        Ok(removed.iter().map(|(_, rows)| rows).sum())
    }
}
