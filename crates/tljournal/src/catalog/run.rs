use rusqlite::{OptionalExtension, params};

use super::codec::parse;
use super::{Catalog, CatalogError};
use crate::ambient::{self, ProcessFacts};
use crate::model::RunId;
use crate::redact::redacted_within;

/// The longest error text that is stored.
const ERROR_CHARS_MAX: usize = 4000;

/// A run without a recorded end.
#[derive(Debug)]
pub(crate) struct OpenRun {
    pub(crate) row: i64,
    pub(crate) id: RunId,
    pub(crate) pid: u32,
}

impl Catalog {
    /// Records the start of a run and the run that started it; returns its row.
    pub(crate) fn insert_run(
        &self,
        id: RunId,
        parent: Option<RunId>,
        facts: &ProcessFacts,
    ) -> Result<i64, CatalogError> {
        self.conn.execute(
            "INSERT INTO run (uuid, pid, host, boot, uid, cwd, argv, version, started_at, parent,
             account, container) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                id.to_string(),
                facts.pid,
                facts.host,
                facts.boot,
                facts.uid,
                facts.cwd,
                facts.argv,
                env!("CARGO_PKG_VERSION"),
                ambient::now().to_string(),
                parent.map(|parent| parent.to_string()),
                facts.account,
                facts.container,
            ],
        )?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Records the label of a run.
    pub(crate) fn label_run(&self, row: i64, label: &str) -> Result<(), CatalogError> {
        let sql = "UPDATE run SET purpose = ?2 WHERE id = ?1";
        self.conn
            .prepare_cached(sql)?
            .execute(params![row, label])?;
        Ok(())
    }

    /// Records where the output of a run's command is stored, below the home.
    pub(crate) fn set_run_log(&self, row: i64, log: &str) -> Result<(), CatalogError> {
        let sql = "UPDATE run SET log = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute(params![row, log])?;
        Ok(())
    }

    /// Records the error of a failed run. Only the first error is stored, truncated.
    pub(crate) fn set_run_error(&self, row: i64, error: &str) -> Result<(), CatalogError> {
        let sql = "UPDATE run SET error = coalesce(error, ?2) WHERE id = ?1";
        let error = redacted_within(error, ERROR_CHARS_MAX);
        self.conn
            .prepare_cached(sql)?
            .execute(params![row, error])?;
        Ok(())
    }

    /// Records the outcome of a run, unless another process already recorded that it was killed.
    pub(crate) fn end_run(&self, row: i64, outcome: &str) -> Result<(), CatalogError> {
        let sql = "UPDATE run SET ended_at = ?2, outcome = ?3
                   WHERE id = ?1 AND (ended_at IS NULL OR outcome = 'found dead')";
        self.conn.prepare_cached(sql)?.execute(params![
            row,
            ambient::now().to_string(),
            outcome
        ])?;
        Ok(())
    }

    /// The number of a run; `None` if it has no row.
    pub(crate) fn number_of_run(&self, id: RunId) -> Result<Option<i64>, CatalogError> {
        let sql = "SELECT id FROM run WHERE uuid = ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let found = statement.query_row([id.to_string()], |row| row.get(0));
        Ok(found.optional()?)
    }

    /// The runs without a recorded end.
    pub(crate) fn open_runs(&self) -> Result<Vec<OpenRun>, CatalogError> {
        let sql = "SELECT id, uuid, pid FROM run WHERE ended_at IS NULL";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut open = Vec::new();
        while let Some(row) = rows.next()? {
            let id = parse(&row.get::<_, String>(1)?, "run id")?;
            open.push(OpenRun {
                row: row.get(0)?,
                id,
                pid: row.get(2)?,
            });
        }
        Ok(open)
    }
}
