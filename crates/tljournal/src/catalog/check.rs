//! Checks of a database that may be damaged: each row is read on its own, so that an unreadable row hides no other.

use rusqlite::params;

use super::codec::{digest, place};
use super::entry::read_entry;
use super::kept::KEPT_SINCE;
use super::open::number_max;
use super::rows::BadRow;
use super::{Catalog, CatalogError, EntryRow};
use crate::model::{Digest, Place};

/// The largest number of lines that SQLite reports.
const LINES_MAX: u32 = 100;

/// The largest number of unreadable rows that are reported.
pub(super) const BAD_ROWS_MAX: usize = 1000;

/// A row of the table `entry`, if it can be read.
#[derive(Debug)]
pub(crate) enum ScannedEntry {
    Whole(Place, Box<EntryRow>),
    /// It belongs to another root.
    Elsewhere,
    Bad,
}

/// Rows that can be read, but that the journal never writes.
struct Unaccounted {
    /// The description of such a row, placed before its key.
    text: &'static str,
    table: &'static str,
    key: &'static str,
    condition: &'static str,
}

/// In the order in which the rows must be removed.
const UNACCOUNTED: [Unaccounted; 8] = [
    Unaccounted {
        text: "the number of a root is out of range",
        table: "root",
        key: "id",
        condition: concat!("id NOT BETWEEN 1 AND ", number_max!()),
    },
    Unaccounted {
        text: "the number of a run is out of range",
        table: "run",
        key: "id",
        condition: concat!("id NOT BETWEEN 1 AND ", number_max!()),
    },
    Unaccounted {
        text: "the number of a transaction is out of range",
        table: "txn",
        key: "id",
        condition: concat!("id NOT BETWEEN 1 AND ", number_max!()),
    },
    Unaccounted {
        text: "the commit point of a transaction is out of range",
        table: "txn",
        key: "id",
        condition: concat!("commit_no NOT BETWEEN 1 AND ", number_max!()),
    },
    Unaccounted {
        text: "the number of an event is out of range",
        table: "event",
        key: "id",
        condition: concat!("id NOT BETWEEN 1 AND ", number_max!()),
    },
    Unaccounted {
        text: "a transaction is in place without a commit point",
        table: "txn",
        key: "id",
        condition: "state IN ('committed', 'applied') AND commit_no IS NULL",
    },
    Unaccounted {
        text: "a transaction has a negative number of retained bytes",
        table: "txn",
        key: "id",
        condition: "kept < 0",
    },
    Unaccounted {
        text: "no change matches the entry recorded at",
        table: "entry",
        key: "root || ':' || path",
        condition: "NOT EXISTS
            (SELECT 1 FROM change WHERE change.txn = entry.txn AND change.n = entry.n)",
    },
];

impl Catalog {
    /// SQLite's findings about the pages of the database; `thorough` compares the indexes too.
    pub(crate) fn check_pages(&self, thorough: bool) -> Result<Vec<String>, CatalogError> {
        let check = if thorough { "integrity" } else { "quick" };
        let mut statement = self
            .conn
            .prepare(&format!("PRAGMA {check}_check({LINES_MAX})"))?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut lines = lines.collect::<Result<Vec<_>, _>>()?;
        lines.retain(|line| line != "ok");
        Ok(lines)
    }

    /// Rows that refer to a missing row, and rows that the journal never writes.
    pub(crate) fn dangling_rows(&self) -> Result<Vec<String>, CatalogError> {
        let mut statement = self.conn.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            let number = row.get::<_, Option<i64>>(1)?;
            let number = number.map_or_else(String::new, |number| format!(" {number}"));
            lines.push(format!(
                "row{number} of table {table} refers to a missing row of {parent}"
            ));
        }
        for what in &UNACCOUNTED {
            let keys = self.unaccounted(what)?.into_iter();
            lines.extend(keys.map(|key| format!("{}: {key}", what.text)));
        }
        lines.truncate(BAD_ROWS_MAX);
        Ok(lines)
    }

    /// The keys of the rows of this kind.
    fn unaccounted(&self, what: &Unaccounted) -> Result<Vec<String>, CatalogError> {
        if what.condition.contains("kept") && self.schema_version()? < KEPT_SINCE {
            return Ok(Vec::new());
        }
        let (table, key, condition) = (what.table, what.key, what.condition);
        let sql = format!(
            "SELECT CAST({key} AS TEXT) FROM {table} WHERE {condition} LIMIT {BAD_ROWS_MAX}"
        );
        let mut statement = self.conn.prepare(&sql)?;
        let keys = statement.query_map([], |row| row.get(0))?;
        Ok(keys.collect::<Result<_, _>>()?)
    }

    /// Removes the rows that can be read but that the journal never writes. Returns how many of each table.
    pub(super) fn remove_unaccounted(&self) -> Result<Vec<(&'static str, u64)>, CatalogError> {
        let mut removed = Vec::new();
        for Unaccounted {
            table, condition, ..
        } in &UNACCOUNTED
        {
            let count = format!("SELECT count(*) FROM {table} WHERE {condition}");
            let count: i64 = self.conn.query_row(&count, [], |row| row.get(0))?;
            match *table {
                "txn" => self.remove_txns(&format!("SELECT id FROM txn WHERE {condition}"))?,
                "run" | "root" => {
                    let these = format!("SELECT id FROM {table} WHERE {condition}");
                    self.remove_txns(&format!("SELECT id FROM txn WHERE {table} IN ({these})"))?;
                    let events = match *table {
                        "run" => format!("DELETE FROM event WHERE run IN ({these});"),
                        _ => String::new(),
                    };
                    let sql = format!("{events} DELETE FROM {table} WHERE {condition}");
                    self.conn.execute_batch(&sql)?;
                }
                _ => self
                    .conn
                    .execute_batch(&format!("DELETE FROM {table} WHERE {condition}"))?,
            }
            removed.push((*table, count.unsigned_abs()));
        }
        Ok(removed)
    }

    /// Manifests whose digest is not their key.
    pub(crate) fn bad_manifests(&self) -> Result<Vec<BadRow>, CatalogError> {
        let mut statement = self.conn.prepare("SELECT digest, encoded FROM manifest")?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (name, encoded): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let actual = Digest::of(&encoded);
            let why = match digest(Some(name.clone())) {
                // The encoding matches its digest.
                Ok(Some(name)) if name == actual => continue,
                Ok(_) => actual.to_string(),
                Err(error) => why(&error),
            };
            let hex: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
            found.push(BadRow {
                table: "manifest",
                key: format!("sha256:{hex}"),
                name: hex,
                why,
                digest: name,
            });
        }
        Ok(found)
    }

    /// The entries of all places.
    pub(crate) fn scan_entries(&self) -> Result<Vec<ScannedEntry>, CatalogError> {
        let own_root = self.own_root()?;
        let sql = format!(
            "SELECT {} FROM entry ORDER BY root, path",
            self.entry_columns()?
        );
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let read = || {
                let at = place(row.get(0)?, &row.get::<_, String>(1)?, own_root)?;
                at.map(|at| Ok((at, read_entry(row)?))).transpose()
            };
            found.push(match read() {
                Ok(Some((place, entry))) => ScannedEntry::Whole(place, Box::new(entry)),
                Ok(None) => ScannedEntry::Elsewhere,
                Err(CatalogError::Row(_)) => ScannedEntry::Bad,
                Err(error) => return Err(error),
            });
        }
        Ok(found)
    }

    /// Whether something below a place was changed by a transaction after `txn` and, if there is a second one, before
    /// that.
    pub(crate) fn is_changed_below(
        &self,
        at: &Place,
        after: i64,
        before: Option<i64>,
    ) -> Result<bool, CatalogError> {
        let (from, to) = super::codec::below(&at.path);
        let sql = "SELECT EXISTS (SELECT 1 FROM change JOIN txn ON txn.id = change.txn
                   WHERE change.root = ?1 AND change.path >= ?2 AND change.path < ?3
                   AND change.op != 'parent' AND txn.state = 'applied'
                   AND txn.commit_no > (SELECT commit_no FROM txn WHERE id = ?4)
                   AND txn.commit_no < coalesce(
                       (SELECT commit_no FROM txn WHERE id = ?5), txn.commit_no + 1))";
        let key = params![self.root_of(at)?, from, to, after, before];
        Ok(self
            .conn
            .prepare_cached(sql)?
            .query_row(key, |row| row.get(0))?)
    }

    /// Whether a transaction applied after this one changed something at or below a place.
    pub(crate) fn is_changed_since(&self, at: &Place, txn: i64) -> Result<bool, CatalogError> {
        let (from, to) = super::codec::below(&at.path);
        let sql = "SELECT EXISTS (SELECT 1 FROM change JOIN txn ON txn.id = change.txn
                   WHERE change.root = ?1 AND (change.path = ?2 OR change.path >= ?3 AND change.path < ?4)
                   AND change.op != 'parent' AND txn.state = 'applied'
                   AND txn.commit_no > (SELECT commit_no FROM txn WHERE id = ?5))";
        let key = params![self.root_of(at)?, at.path.as_str(), from, to, txn];
        Ok(self
            .conn
            .prepare_cached(sql)?
            .query_row(key, |row| row.get(0))?)
    }
}

/// The error about a row, without the common prefix.
pub(super) fn why(error: &CatalogError) -> String {
    match error {
        CatalogError::Row(what) => what.trim_start_matches("a row holds ").to_owned(),
        error => error.to_string(),
    }
}
