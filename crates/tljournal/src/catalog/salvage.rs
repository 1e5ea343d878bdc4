//! Builds a new database from the readable rows of an old one.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{Catalog, CatalogError};
use crate::ambient;

/// The tables whose rows are copied, in the order of their references. Claims are not copied: running processes claim
/// their files again.
const TABLES: [&str; 8] = [
    "root", "run", "txn", "change", "manifest", "source", "entry", "event",
];

/// The result for one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Salvaged {
    pub(crate) table: &'static str,
    pub(crate) rows: u64,
    /// Rows that were read but are invalid.
    pub(crate) lost: u64,
    /// Whether reading stopped at a damaged page, so that there may be more rows.
    pub(crate) cut: bool,
}

impl Catalog {
    /// Copies all readable and valid rows of another database. Unfinished transactions become aborted, because their
    /// staged files can no longer be told from the work of other programs.
    pub(crate) fn salvage(&self, old: &Self) -> Result<Vec<Salvaged>, CatalogError> {
        let mut all = Vec::new();
        for table in TABLES {
            all.push(self.take_over(old, table)?);
        }
        self.conn.execute("UPDATE txn SET kept = NULL", [])?;
        let lost = self.remove_bad_rows()?;
        for done in &mut all {
            let own = lost.iter().filter(|(table, _)| *table == done.table);
            let lost: u64 = own.map(|(_, rows)| rows).sum();
            done.rows = done.rows.saturating_sub(lost);
            done.lost += lost;
        }
        for bad in self.bad_manifests()? {
            let forget = [
                "DELETE FROM source WHERE manifest = ?1",
                "DELETE FROM manifest WHERE digest = ?1",
            ];
            for sql in forget {
                self.conn.execute(sql, [&bad.digest])?;
            }
        }
        let over = "UPDATE txn SET state = 'aborted', ended_at = coalesce(ended_at, ?1),
                    reason = 'the database was rebuilt while it was under way'
                    WHERE state NOT IN ('applied', 'aborted')";
        self.conn.execute(over, [ambient::now().to_string()])?;
        Ok(all)
    }

    /// Whether there is a table whose rows can be copied.
    pub(crate) fn has_tables(&self) -> Result<bool, CatalogError> {
        for table in TABLES {
            if !columns(&self.conn, table)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Copies the rows of a table from both ends up to the rows that cannot be read.
    fn take_over(&self, old: &Self, table: &'static str) -> Result<Salvaged, CatalogError> {
        let mut done = Salvaged {
            table,
            rows: 0,
            lost: 0,
            cut: false,
        };
        let own = columns(&self.conn, table)?;
        let theirs = columns(&old.conn, table).unwrap_or_default();
        let shared: Vec<_> = own
            .into_iter()
            .filter(|name| theirs.contains(name))
            .collect();
        if shared.is_empty() {
            return Ok(done);
        }
        let marks = vec!["?"; shared.len()].join(", ");
        let insert = format!(
            "INSERT OR IGNORE INTO {table} ({}) VALUES ({marks})",
            shared.join(", ")
        );
        let mut insert = self.conn.prepare(&insert)?;
        // The key is the first column of every table.
        for order in ["ASC", "DESC"] {
            let sql = format!(
                "SELECT {} FROM {table} ORDER BY 1 {order}",
                shared.join(", ")
            );
            let ended = old.conn.prepare(&sql).and_then(|mut select| {
                let mut rows = select.query([])?;
                while let Some(row) = rows.next()? {
                    let values = (0..shared.len()).map(|at| row.get::<_, Value>(at));
                    let values = values.collect::<Result<Vec<_>, _>>()?;
                    match insert.execute(params_from_iter(values)) {
                        Ok(count) => done.rows += count as u64,
                        // The row violates a constraint or refers to a lost row.
                        Err(_) => done.lost += 1,
                    }
                }
                Ok(())
            });
            match ended {
                Ok(()) => break,
                Err(_) => done.cut = true,
            }
        }
        Ok(done)
    }

    /// Removes transactions and all rows that refer to them.
    pub(super) fn remove_txns(&self, these: &str) -> Result<(), CatalogError> {
        let tables = ["change", "event", "entry"];
        let each = tables.map(|table| format!("DELETE FROM {table} WHERE txn IN ({these});"));
        let sql = format!("{} DELETE FROM txn WHERE id IN ({these});", each.concat());
        Ok(self.conn.execute_batch(&sql)?)
    }

    /// Marks the database as rebuilt from another one and the disk.
    pub(crate) fn set_rebuilt(&self) -> Result<(), CatalogError> {
        let now = ambient::now().to_string();
        self.conn
            .execute("UPDATE home SET rebuilt_at = ?1", [now])?;
        Ok(())
    }
}

fn columns(conn: &Connection, table: &str) -> Result<Vec<String>, CatalogError> {
    // A view can have any name and computes its rows. `table_info` omits computed columns.
    let sql = "SELECT name FROM pragma_table_info(?1) WHERE EXISTS
               (SELECT 1 FROM sqlite_schema WHERE name = ?1 AND type = 'table' AND rootpage > 0)
               ORDER BY cid";
    let mut statement = conn.prepare(sql)?;
    let names = statement.query_map([table], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}
