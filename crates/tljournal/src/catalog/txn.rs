use rusqlite::{OptionalExtension, Row, params};

use super::codec::{parse, state};
use super::{Catalog, CatalogError};
use crate::ambient;
use crate::model::{EventKind, RunId, Timestamp, TxnId, TxnState};

/// The state of a transaction, from its row.
#[derive(Debug, Clone)]
pub(crate) struct TxnRow {
    pub(crate) row: i64,
    pub(crate) id: TxnId,
    pub(crate) run: RunId,
    pub(crate) state: TxnState,
    pub(crate) label: String,
}

const COLUMNS: &str = "SELECT txn.id, txn.uuid, run.uuid, txn.state, txn.label FROM txn";
const RUN: &str = "CROSS JOIN run ON run.id = txn.run";

impl Catalog {
    /// Records the start of a transaction; returns its row.
    pub(crate) fn begin_txn(&self, id: TxnId, run: i64, label: &str) -> Result<i64, CatalogError> {
        let sql = "INSERT INTO txn (uuid, run, root, label, state, began_at)
                   VALUES (?1, ?2, ?3, ?4, 'staging', ?5)";
        let began_at = ambient::now().to_string();
        self.conn.prepare_cached(sql)?.execute(params![
            id.to_string(),
            run,
            self.own_root()?,
            label,
            began_at
        ])?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Moves a staging transaction to `committed`; false if it is no longer staging. Records when it was staged, when
    /// it acquired the commit lock, and what it undoes.
    pub(crate) fn commit_txn(
        &self,
        row: i64,
        (staged, locked): (Timestamp, Timestamp),
        undoes: Option<i64>,
    ) -> Result<bool, CatalogError> {
        let sql = "UPDATE txn SET state = 'committed', staged_at = ?2, locked_at = ?3,
                   undoes = ?5, committed_at = ?4, ended_at = ?4,
                   commit_no = (SELECT coalesce(max(commit_no), 0) + 1 FROM txn)
                   WHERE id = ?1 AND state = 'staging'";
        let now = ambient::now();
        let times = [staged, locked, now].map(|time| time.to_string());
        let moved = params![row, times[0], times[1], times[2], undoes];
        Ok(self.conn.prepare_cached(sql)?.execute(moved)? == 1)
    }

    /// Moves a transaction from one state to another; false if it was not in the first.
    pub(crate) fn move_txn(
        &self,
        row: i64,
        from: TxnState,
        to: TxnState,
        reason: Option<&str>,
    ) -> Result<bool, CatalogError> {
        let ended = matches!(to, TxnState::Applied | TxnState::Aborted);
        let ended_at = ended.then(|| ambient::now().to_string());
        let sql = "UPDATE txn SET state = ?3, ended_at = ?4, reason = coalesce(?5, reason)
                   WHERE id = ?1 AND state = ?2";
        let moved = params![row, from.as_str(), to.as_str(), ended_at, reason];
        Ok(self.conn.prepare_cached(sql)?.execute(moved)? == 1)
    }

    /// Gives up every unfinished transaction of a database that was copied or moved: the recorded inodes are
    /// meaningless, so nothing may be redone. Records an event with the paths for each.
    pub(crate) fn strand_unfinished(&self) -> Result<(), CatalogError> {
        let reason = "the directory was copied or moved while the transaction was unfinished";
        for row in self.unfinished()?.into_iter().chain(self.staging()?) {
            let changes = self.change_records(row.row)?;
            let paths: Vec<_> = changes.into_iter().map(|change| change.path).collect();
            let detail = format!("{reason}; may be partly applied: {}", paths.join(", "));
            self.move_txn(row.row, row.state, TxnState::Aborted, Some(reason))?;
            self.put_event((None, Some(row.row)), &EventKind::Stranded, None, &detail)?;
        }
        Ok(())
    }

    /// The transactions past their commit point that are neither applied nor rolled back, including stuck ones;
    /// oldest first.
    pub(crate) fn unfinished(&self) -> Result<Vec<TxnRow>, CatalogError> {
        self.txns(
            "txn_unfinished",
            "state IN ('committed', 'aborting', 'stuck') ORDER BY commit_no",
        )
    }

    /// The transactions of all runs that are staging.
    pub(crate) fn staging(&self) -> Result<Vec<TxnRow>, CatalogError> {
        self.txns("txn_staging", "state = 'staging'")
    }

    /// Reads through this partial index only, because history may be long.
    fn txns(&self, index: &str, condition: &str) -> Result<Vec<TxnRow>, CatalogError> {
        let sql = format!("{COLUMNS} INDEXED BY {index} {RUN} WHERE {condition}");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(self.read_txn(row)?);
        }
        Ok(found)
    }

    /// The transaction with this id, if it has a row.
    pub(crate) fn txn(&self, id: TxnId) -> Result<Option<TxnRow>, CatalogError> {
        let mut statement = self
            .conn
            .prepare_cached(&format!("{COLUMNS} {RUN} WHERE txn.uuid = ?1"))?;
        statement
            .query_row([id.to_string()], |row| Ok(self.read_txn(row)))
            .optional()?
            .transpose()
    }

    fn read_txn(&self, row: &Row<'_>) -> Result<TxnRow, CatalogError> {
        Ok(TxnRow {
            row: row.get(0)?,
            id: parse(&row.get::<_, String>(1)?, "transaction id")?,
            run: parse(&row.get::<_, String>(2)?, "run id")?,
            state: state(row, 3)?,
            label: row.get(4)?,
        })
    }
}
