use rusqlite::{OptionalExtension, Row, params};

use super::codec::{digest, image, parse, time};
use super::{Catalog, CatalogError};
use crate::ambient;
use crate::model::{Digest, Image, RunId, Timestamp, TxnId};

/// A transaction, as history tells it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TxnRecord {
    /// Its short number.
    pub number: i64,
    /// Its id.
    pub id: TxnId,
    /// What its caller named it.
    pub label: String,
    /// Where it stands: `staging`, `committed`, `applied`, `aborting`, `aborted`, `stuck`.
    pub state: String,
    /// When it began.
    pub began_at: Timestamp,
    /// When it was applied or aborted.
    pub ended_at: Option<Timestamp>,
    /// Its place in the order of commits.
    pub commit_no: Option<i64>,
    /// Why it was taken back or is stuck.
    pub reason: Option<String>,
    /// The run that it belongs to.
    pub run: RunRecord,
}

/// A run, as history tells it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// The process id, in its own pid namespace.
    pub pid: u32,
    /// The host it ran on.
    pub host: String,
    /// Its arguments, without secrets.
    pub argv: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it said so or was found dead.
    pub ended_at: Option<Timestamp>,
    /// How it ended: `ok`, `exited 3`, `killed by signal 9`, `failed`, `found dead`.
    pub outcome: Option<String>,
    /// What it is for, if it said so.
    pub label: Option<String>,
    /// The run that it was started by; it may never have had a row.
    pub parent: Option<RunId>,
    /// Where the output of its command went, below the home: this file, or this with `.out` and `.err`.
    pub log: Option<String>,
}

/// One change of a transaction, as history tells it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChangeRecord {
    /// The path, below the home (`in_home`) or below the root.
    pub path: String,
    /// Whether the path begins at the home.
    pub in_home: bool,
    /// `put`, `link`, `tree`, `remove`, `parent`, `adopt`.
    pub op: String,
    /// What was there before.
    pub before: Option<Image>,
    /// What was there afterwards.
    pub after: Option<Image>,
    /// Digest of a file's content, or of a tree's manifest.
    pub digest: Option<Digest>,
    /// Where a symbolic link points.
    pub target: Option<String>,
    /// Whether what was there before was not the journal's own work.
    pub drift: bool,
}

/// Something worth knowing that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventRecord {
    /// When.
    pub at: Timestamp,
    /// What kind: `recovered`, `drift`, `set aside`, ...
    pub kind: String,
    /// The path it is about, for people.
    pub path: Option<String>,
    /// What happened, for people.
    pub detail: String,
}

/// Which transactions history is asked for.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TxnFilter {
    /// At most so many, the latest first.
    pub limit: Option<u32>,
}

impl TxnFilter {
    /// The latest `limit` transactions.
    #[must_use]
    pub fn latest(limit: u32) -> Self {
        Self { limit: Some(limit) }
    }
}

/// The columns of a run; the last three are younger than the first format.
const RUN: &str = "run.uuid, pid, host, argv, started_at, run.ended_at, outcome";
const RUN_LATER: &str = "run.purpose, run.parent, run.log";
const RUN_LATER_MISSING: &str = "NULL, NULL, NULL";

/// The kind of the events that tell what may not have reached the medium, and never will.
pub(crate) const FAILED_SYNC: &str = "failed sync";

/// The kind of the events that tell what is promised less than elsewhere, and why.
pub(crate) const WEAKER_PROMISE: &str = "weaker promise";

impl Catalog {
    /// Transactions, the latest first.
    pub(crate) fn history(&self, filter: &TxnFilter) -> Result<Vec<TxnRecord>, CatalogError> {
        let sql = format!("{} ORDER BY txn.id DESC LIMIT ?1", self.select_txn()?);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([filter.limit.map_or(-1, i64::from)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read_txn(row)?);
        }
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
        let run = self.run_columns()?;
        Ok(format!(
            "SELECT txn.id, txn.uuid, txn.label, state, began_at, txn.ended_at, commit_no, reason, {run}
             FROM txn JOIN run ON run.id = txn.run"
        ))
    }

    /// What is selected of a run. A database that is only looked at may be of the first format.
    fn run_columns(&self) -> Result<String, CatalogError> {
        let later = match self.knows_what_runs_are_for()? {
            true => RUN_LATER,
            false => RUN_LATER_MISSING,
        };
        Ok(format!("{RUN}, {later}"))
    }

    /// What is known of a run; `None` if it has no row.
    pub(crate) fn run_record(&self, run: RunId) -> Result<Option<RunRecord>, CatalogError> {
        let sql = format!("SELECT {} FROM run WHERE uuid = ?1", self.run_columns()?);
        let mut statement = self.conn.prepare_cached(&sql)?;
        statement
            .query_row([run.to_string()], |row| Ok(read_run(row, 0)))
            .optional()?
            .transpose()
    }

    /// Runs, the latest first.
    pub(crate) fn runs(&self, limit: u32) -> Result<Vec<RunRecord>, CatalogError> {
        let run = self.run_columns()?;
        let sql = format!("SELECT {run} FROM run ORDER BY id DESC LIMIT ?1");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read_run(row, 0)?);
        }
        Ok(found)
    }

    /// The numbers of the transactions whose ids begin so, at most two.
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
                op: row.get(2)?,
                before: image(row, 3)?,
                after: image(row, 9)?,
                digest: digest(row.get(15)?)?,
                target: row.get(16)?,
                drift: row.get(17)?,
            });
        }
        Ok(found)
    }

    /// Events, the latest first; those of one transaction if one is named.
    pub(crate) fn events(
        &self,
        txn: Option<i64>,
        limit: u32,
    ) -> Result<Vec<EventRecord>, CatalogError> {
        let sql = "SELECT at, kind, path, detail FROM event
                   WHERE ?1 IS NULL OR txn = ?1 ORDER BY id DESC LIMIT ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![txn, limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let at: String = row.get(0)?;
            let (kind, path, detail) = (row.get(1)?, row.get(2)?, row.get(3)?);
            found.push(EventRecord {
                at: time(&at)?,
                kind,
                path,
                detail,
            });
        }
        Ok(found)
    }

    /// Whether exactly this was recorded of a path.
    pub(crate) fn has_event(
        &self,
        kind: &str,
        path: &str,
        detail: &str,
    ) -> Result<bool, CatalogError> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM event WHERE kind = ?1 AND path = ?2 AND detail = ?3)";
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_row(params![kind, path, detail], |row| row.get(0))?)
    }

    /// Records something worth knowing.
    pub(crate) fn put_event(
        &self,
        (run, txn): (Option<i64>, Option<i64>),
        kind: &str,
        path: Option<&str>,
        detail: &str,
    ) -> Result<(), CatalogError> {
        let sql = "INSERT INTO event (at, run, txn, kind, path, detail)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let at = ambient::now().to_string();
        self.conn
            .prepare_cached(sql)?
            .execute(params![at, run, txn, kind, path, detail])?;
        Ok(())
    }
}

fn read_txn(row: &Row<'_>) -> Result<TxnRecord, CatalogError> {
    let text = |at| row.get::<_, String>(at);
    Ok(TxnRecord {
        number: row.get(0)?,
        id: parse(&text(1)?, "transaction id")?,
        label: text(2)?,
        state: text(3)?,
        began_at: time(&text(4)?)?,
        ended_at: maybe_time(row, 5)?,
        commit_no: row.get(6)?,
        reason: row.get(7)?,
        run: read_run(row, 8)?,
    })
}

/// Reads a run whose columns begin at `at`.
fn read_run(row: &Row<'_>, at: usize) -> Result<RunRecord, CatalogError> {
    let text = |n: usize| row.get::<_, String>(at + n);
    let parent: Option<String> = row.get(at + 8)?;
    Ok(RunRecord {
        id: parse(&text(0)?, "run id")?,
        pid: row.get(at + 1)?,
        host: text(2)?,
        argv: text(3)?,
        started_at: time(&text(4)?)?,
        ended_at: maybe_time(row, at + 5)?,
        outcome: row.get(at + 6)?,
        label: row.get(at + 7)?,
        parent: parent.map(|parent| parse(&parent, "run id")).transpose()?,
        log: row.get(at + 9)?,
    })
}

fn maybe_time(row: &Row<'_>, at: usize) -> Result<Option<Timestamp>, CatalogError> {
    let text: Option<String> = row.get(at)?;
    text.map(|text| time(&text)).transpose()
}
