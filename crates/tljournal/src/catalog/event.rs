use rusqlite::{Row, params};

use super::clauses::Clauses;
use super::codec::time;
use super::{Catalog, CatalogError, EventFilter, EventRecord};
use crate::ambient;
use crate::model::{EventKind, Timestamp};
use crate::redact::redacted_text;

/// The words in the detail of [`EventKind::NotKept`] for content that holds private keys.
const HOLDS_KEYS: &str = "holds private keys";
pub(super) const EVENT: &str = "id, at, run, txn, kind, path, detail";

impl Catalog {
    /// Events, latest first.
    pub(crate) fn events(&self, filter: &EventFilter) -> Result<Vec<EventRecord>, CatalogError> {
        let mut clauses = Clauses::default();
        clauses.add_some("id < ?", filter.before);
        clauses.add_some("txn = ?", filter.txn);
        clauses.add_some("run = ?", filter.run);
        clauses.add_some("at >= ?", filter.since.map(|time| time.to_string()));
        clauses.add_some("at < ?", filter.until.map(|time| time.to_string()));
        let sql = format!(
            "SELECT {EVENT} FROM event {} ORDER BY id DESC LIMIT {}",
            clauses.condition(),
            filter.limit.map_or(-1, i64::from)
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(clauses.values())?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read_event(row)?);
        }
        Ok(found)
    }

    /// Whether a drift event is recorded for the content that a transaction replaced at a path.
    pub(crate) fn has_drift(&self, txn: i64, path: &str) -> Result<bool, CatalogError> {
        self.has_told(txn, (&EventKind::Drift, ""), path)
    }

    /// Whether a transaction replaced content at a path that was not retained because it holds private keys.
    pub(crate) fn had_keys(&self, txn: i64, path: &str) -> Result<bool, CatalogError> {
        self.has_told(txn, (&EventKind::NotKept, HOLDS_KEYS), path)
    }

    fn has_told(
        &self,
        txn: i64,
        (kind, words): (&EventKind, &str),
        path: &str,
    ) -> Result<bool, CatalogError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM event \
                   WHERE txn = ?1 AND kind = ?2 AND path = ?3 AND instr(detail, ?4) > 0)";
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_row(params![txn, kind.as_str(), path, words], |row| row.get(0))?)
    }

    /// Whether exactly this event is recorded for a path.
    pub(crate) fn has_event(
        &self,
        kind: &EventKind,
        path: &str,
        detail: &str,
    ) -> Result<bool, CatalogError> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM event WHERE kind = ?1 AND path = ?2 AND detail = ?3)";
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_row(params![kind.as_str(), path, detail], |row| row.get(0))?)
    }

    /// Records an event that happens now. An event about a transaction belongs to the run of that transaction unless
    /// another run is named.
    pub(crate) fn put_event(
        &self,
        about: (Option<i64>, Option<i64>),
        kind: &EventKind,
        path: Option<&str>,
        detail: &str,
    ) -> Result<(), CatalogError> {
        self.put_event_at(ambient::now(), about, kind, path, detail)
    }

    /// The same for an event in the past.
    pub(crate) fn put_event_at(
        &self,
        at: Timestamp,
        (run, txn): (Option<i64>, Option<i64>),
        kind: &EventKind,
        path: Option<&str>,
        detail: &str,
    ) -> Result<(), CatalogError> {
        let sql = "INSERT INTO event (at, run, txn, kind, path, detail)
                   VALUES (?1, coalesce(?2, (SELECT run FROM txn WHERE id = ?3)), ?3, ?4, ?5, ?6)";
        let at = at.to_string();
        self.conn.prepare_cached(sql)?.execute(params![
            at,
            run,
            txn,
            kind.as_str(),
            path,
            redacted_text(detail)
        ])?;
        Ok(())
    }
}

pub(super) fn read_event(row: &Row<'_>) -> Result<EventRecord, CatalogError> {
    Ok(EventRecord {
        number: row.get(0)?,
        at: time(&row.get::<_, String>(1)?)?,
        run: row.get(2)?,
        txn: row.get(3)?,
        kind: EventKind::from_word(&row.get::<_, String>(4)?),
        path: row.get(5)?,
        detail: row.get(6)?,
    })
}
