use rusqlite::{OptionalExtension, Row};

use super::clauses::Clauses;
use super::codec::{digest, image, op, parse, state, time};
use super::{Catalog, CatalogError, ChangeRecord, RunFilter, RunRecord, TxnFilter, TxnRecord};
use crate::model::{Place, RunId, Timestamp, TxnState};

/// Columns of a transaction and of a run, with the schema version that added them: a database opened for inspection
/// may be older.
pub(super) const TXN: [(&str, i64); 13] = [
    ("txn.id", 1),
    ("txn.uuid", 1),
    ("txn.label", 1),
    ("txn.state", 1),
    ("txn.began_at", 1),
    ("txn.ended_at", 1),
    ("txn.commit_no", 1),
    ("txn.reason", 1),
    ("txn.staged_at", 3),
    ("txn.locked_at", 3),
    ("txn.committed_at", 3),
    ("txn.kept", 3),
    ("txn.undoes", 3),
];
pub(super) const RUN: [(&str, i64); 18] = [
    ("run.id", 1),
    ("run.uuid", 1),
    ("run.pid", 1),
    ("run.host", 1),
    ("run.boot", 1),
    ("run.uid", 1),
    ("run.cwd", 1),
    ("run.argv", 1),
    ("run.version", 1),
    ("run.started_at", 1),
    ("run.ended_at", 1),
    ("run.outcome", 1),
    ("run.purpose", 2),
    ("run.parent", 2),
    ("run.log", 2),
    ("run.account", 3),
    ("run.container", 3),
    ("run.error", 3),
];

/// The transactions that are not applied; each kind is found by its index.
const UNUSUAL: &str = "txn.id IN (SELECT id FROM txn WHERE state = 'staging'
    UNION ALL SELECT id FROM txn WHERE state IN ('committed', 'aborting', 'stuck')
    UNION ALL SELECT id FROM txn WHERE state = 'aborted')";

impl Catalog {
    /// Transactions, latest first. `path` is the filter's path as a place.
    pub(crate) fn history(
        &self,
        filter: &TxnFilter,
        path: Option<&Place>,
    ) -> Result<Vec<TxnRecord>, CatalogError> {
        let clauses = self.clauses_of(filter)?;
        if let Some(path) = path {
            return self.history_at(path, filter, clauses);
        }
        let sql = self.history_sql(filter, &clauses)?;
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(clauses.values())?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read_txn(row)?);
        }
        Ok(found)
    }

    pub(super) fn history_sql(
        &self,
        filter: &TxnFilter,
        clauses: &Clauses,
    ) -> Result<String, CatalogError> {
        Ok(format!(
            "{} {} ORDER BY txn.id DESC LIMIT {}",
            self.select_txn()?,
            clauses.condition(),
            filter.limit.map_or(-1, i64::from)
        ))
    }

    /// The conditions of a filter on a transaction's own row.
    pub(super) fn clauses_of(&self, filter: &TxnFilter) -> Result<Clauses, CatalogError> {
        let mut clauses = Clauses::default();
        clauses.add_some("txn.id < ?", filter.before);
        clauses.add_some("txn.run = ?", filter.run);
        let states: Vec<_> = filter.states.iter().map(|state| state.as_str()).collect();
        clauses.add_one_of("txn.state", &states);
        if !filter.states.is_empty() && !filter.states.contains(&TxnState::Applied) {
            // All other states are rare and have indexes.
            clauses.add(UNUSUAL);
        }
        let since = filter.since.map(|time| time.to_string());
        clauses.add_some("coalesce(txn.ended_at, txn.began_at) >= ?", since);
        let until = filter.until.map(|time| time.to_string());
        clauses.add_some("txn.began_at < ?", until);
        clauses.add_some("instr(txn.label, ?) > 0", filter.label.clone());
        let asks_for_more = filter.kept || filter.undoes.is_some();
        if asks_for_more && self.schema_version()? < 3 {
            clauses.add("FALSE");
            return Ok(clauses);
        }
        if filter.kept {
            clauses.add("txn.kept IS NOT NULL");
        }
        clauses.add_some("txn.undoes = ?", filter.undoes);
        Ok(clauses)
    }

    /// The transactions of a filter that changed something at, above or below a place.
    fn history_at(
        &self,
        place: &Place,
        filter: &TxnFilter,
        mut clauses: Clauses,
    ) -> Result<Vec<TxnRecord>, CatalogError> {
        let sql = {
            clauses.add("txn.id = ?");
            format!("{} {}", self.select_txn()?, clauses.condition())
        };
        let mut statement = self.conn.prepare_cached(&sql)?;
        let limit = filter.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut found = Vec::new();
        self.each_touching(place, filter.before, |txn| {
            let mut rows = statement.query(clauses.values_with(txn))?;
            if let Some(row) = rows.next()? {
                found.push(read_txn(row)?);
            }
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    /// The transaction with this number.
    pub(crate) fn txn_record(&self, number: i64) -> Result<Option<TxnRecord>, CatalogError> {
        let sql = format!("{} WHERE txn.id = ?1", self.select_txn()?);
        let mut statement = self.conn.prepare_cached(&sql)?;
        statement
            .query_row([number], |row| Ok(read_txn(row)))
            .optional()?
            .transpose()
    }

    fn select_txn(&self) -> Result<String, CatalogError> {
        let (txn, run) = (self.columns(&TXN)?, self.columns(&RUN)?);
        Ok(format!(
            "SELECT {txn}, {run} FROM txn CROSS JOIN run ON run.id = txn.run"
        ))
    }

    /// The columns that this database has, and NULL for the others.
    pub(super) fn columns(&self, of: &[(&str, i64)]) -> Result<String, CatalogError> {
        let version = self.schema_version()?;
        let columns = of.iter().map(|(column, since)| match version >= *since {
            true => *column,
            false => "NULL",
        });
        Ok(columns.collect::<Vec<_>>().join(", "))
    }

    /// The record of a run; `None` if it has no row.
    pub(crate) fn run_record(&self, run: RunId) -> Result<Option<RunRecord>, CatalogError> {
        let sql = format!("SELECT {} FROM run WHERE uuid = ?1", self.columns(&RUN)?);
        let mut statement = self.conn.prepare_cached(&sql)?;
        statement
            .query_row([run.to_string()], |row| Ok(read_run(row, 0)))
            .optional()?
            .transpose()
    }

    /// The run with this number.
    pub(crate) fn run_numbered(&self, number: i64) -> Result<Option<RunRecord>, CatalogError> {
        let sql = format!("SELECT {} FROM run WHERE id = ?1", self.columns(&RUN)?);
        let mut statement = self.conn.prepare_cached(&sql)?;
        statement
            .query_row([number], |row| Ok(read_run(row, 0)))
            .optional()?
            .transpose()
    }

    /// Runs, latest first.
    pub(crate) fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>, CatalogError> {
        let (sql, clauses) = self.runs_sql(filter)?;
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(clauses.values())?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read_run(row, 0)?);
        }
        Ok(found)
    }

    pub(super) fn runs_sql(&self, filter: &RunFilter) -> Result<(String, Clauses), CatalogError> {
        let mut clauses = Clauses::default();
        clauses.add_some("run.id < ?", filter.before);
        if filter.failed {
            // Identical to the text in the index.
            clauses.add("outcome NOT IN ('ok', 'exited 0')");
        }
        if filter.open {
            clauses.add("ended_at IS NULL");
        }
        let since = filter.since.map(|time| time.to_string());
        clauses.add_some("coalesce(run.ended_at, run.started_at) >= ?", since);
        let until = filter.until.map(|time| time.to_string());
        clauses.add_some("run.started_at < ?", until);
        if self.schema_version()? >= 2 {
            let parent = filter.parent.map(|parent| parent.to_string());
            clauses.add_some("run.parent = ?", parent);
        }
        let sql = format!(
            "SELECT {} FROM run {} ORDER BY id DESC LIMIT {}",
            self.columns(&RUN)?,
            clauses.condition(),
            filter.limit.map_or(-1, i64::from)
        );
        Ok((sql, clauses))
    }

    /// The number of transactions of a run.
    pub(crate) fn count_txns_of(&self, run: i64) -> Result<u64, CatalogError> {
        let sql = "SELECT count(*) FROM txn WHERE run = ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let count: i64 = statement.query_row([run], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }

    /// The numbers of the runs whose ids have this prefix, at most two.
    pub(crate) fn run_numbers_of(&self, id_prefix: &str) -> Result<Vec<i64>, CatalogError> {
        let sql = "SELECT id FROM run WHERE uuid >= ?1 AND uuid < ?1 || 'g' LIMIT 2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let numbers = statement.query_map([id_prefix], |row| row.get(0))?;
        Ok(numbers.collect::<Result<_, _>>()?)
    }

    /// The numbers of the transactions whose ids have this prefix, at most two.
    pub(crate) fn numbers_of(&self, id_prefix: &str) -> Result<Vec<i64>, CatalogError> {
        let sql = "SELECT id FROM txn WHERE uuid >= ?1 AND uuid < ?1 || 'g' LIMIT 2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let numbers = statement.query_map([id_prefix], |row| row.get(0))?;
        Ok(numbers.collect::<Result<_, _>>()?)
    }

    /// The changes of the transaction with this number.
    pub(crate) fn change_records(&self, number: i64) -> Result<Vec<ChangeRecord>, CatalogError> {
        let sql =
            "SELECT path, root, op, pre_kind, pre_ino, pre_born, pre_size, pre_mode, pre_mtime,
                   new_kind, new_ino, new_born, new_size, new_mode, new_mtime, digest, target, drift
                   FROM change WHERE txn = ?1 ORDER BY n";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([number])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(ChangeRecord {
                path: row.get(0)?,
                in_home: row.get::<_, i64>(1)? == super::codec::HOME,
                op: op(row, 2)?,
                before: image(row, 3)?,
                after: image(row, 9)?,
                digest: digest(row.get(15)?)?,
                target: row.get(16)?,
                drift: row.get(17)?,
            });
        }
        Ok(found)
    }
}

fn read_txn(row: &Row<'_>) -> Result<TxnRecord, CatalogError> {
    txn_of(row, read_run(row, TXN.len())?)
}

/// Reads a transaction of a run.
pub(super) fn txn_of(row: &Row<'_>, run: RunRecord) -> Result<TxnRecord, CatalogError> {
    let text = |at| row.get::<_, String>(at);
    Ok(TxnRecord {
        number: row.get(0)?,
        id: parse(&text(1)?, "transaction id")?,
        label: text(2)?,
        state: state(row, 3)?,
        began_at: time(&text(4)?)?,
        ended_at: maybe_time(row, 5)?,
        commit_no: row.get(6)?,
        reason: row.get(7)?,
        staged_at: maybe_time(row, 8)?,
        locked_at: maybe_time(row, 9)?,
        committed_at: maybe_time(row, 10)?,
        kept: row.get::<_, Option<i64>>(11)?.map(i64::cast_unsigned),
        undoes: row.get(12)?,
        run,
    })
}

/// Reads a run whose columns begin at index `at`.
pub(super) fn read_run(row: &Row<'_>, at: usize) -> Result<RunRecord, CatalogError> {
    let text = |n: usize| row.get::<_, String>(at + n);
    let parent: Option<String> = row.get(at + 13)?;
    Ok(RunRecord {
        number: row.get(at)?,
        id: parse(&text(1)?, "run id")?,
        pid: row.get(at + 2)?,
        host: text(3)?,
        boot: text(4)?,
        uid: row.get(at + 5)?,
        cwd: text(6)?,
        argv: text(7)?,
        version: text(8)?,
        started_at: time(&text(9)?)?,
        ended_at: maybe_time(row, at + 10)?,
        outcome: row.get(at + 11)?,
        label: row.get(at + 12)?,
        parent: parent.map(|parent| parse(&parent, "run id")).transpose()?,
        log: row.get(at + 14)?,
        account: row.get(at + 15)?,
        container: row.get(at + 16)?,
        error: row.get(at + 17)?,
    })
}

fn maybe_time(row: &Row<'_>, at: usize) -> Result<Option<Timestamp>, CatalogError> {
    let text: Option<String> = row.get(at)?;
    text.map(|text| time(&text)).transpose()
}
