use rusqlite::params;

use super::kept::KEPT_SINCE;
use super::{Catalog, CatalogError};
use crate::ambient;
use crate::model::{Digest, EventKind, Timestamp};

/// The rows that history may delete.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forgettable {
    txns: Vec<i64>,
    runs: Vec<i64>,
    /// Events of no transaction and no run before this time.
    events_before: Timestamp,
}

impl Forgettable {
    pub(crate) fn is_empty(&self) -> bool {
        self.txns.is_empty() && self.runs.is_empty()
    }
}

/// Ended transactions that are not the last (so that no number is reused), that no entry refers to, that retain
/// nothing, and that did not write what another transaction retains. (CROSS JOIN fixes the order: few transactions
/// retain something.)
const TXN: &str = "state IN ('applied', 'aborted') AND kept IS NULL
                   AND id < (SELECT max(id) FROM txn)
                   AND coalesce(commit_no, 0) < (SELECT coalesce(max(commit_no), 1) FROM txn)
                   AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.txn = txn.id)
                   AND id NOT IN (
                       SELECT coalesce((
                           SELECT earlier.txn FROM change AS earlier
                           JOIN txn AS writer ON writer.id = earlier.txn
                           WHERE earlier.root = change.root AND earlier.path = change.path
                           AND earlier.txn < change.txn AND earlier.op != 'parent'
                           AND writer.state = 'applied'
                           ORDER BY earlier.txn DESC LIMIT 1), 0)
                       FROM txn AS keeping CROSS JOIN change ON change.txn = keeping.id
                       WHERE keeping.kept IS NOT NULL)";
/// Ended runs without transactions and claims.
const RUN: &str = "ended_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM txn WHERE txn.run = run.id)
                   AND NOT EXISTS (SELECT 1 FROM voucher WHERE voucher.run = run.uuid)";
/// How many of the oldest rows are checked for their age: all others are younger.
const OLDEST: u32 = 2000;

/// How many of the latest rows the age limit never deletes, because the clock may be wrong by years. A limit below
/// one day spares none.
fn spared(before: Timestamp) -> u32 {
    const DAY: i64 = 24 * 60 * 60;
    match before.secs() <= ambient::now().secs() - DAY {
        true => 100,
        false => 0,
    }
}

/// The oldest rows above the limit that may be deleted.
fn surplus_sql(table: &str, condition: &str) -> String {
    format!(
        "SELECT id FROM {table} WHERE ({condition})
         AND id <= (SELECT max(id) - ?1 FROM {table}) ORDER BY id LIMIT ?2"
    )
}

/// Whether a row may still be deleted.
fn still_sql(table: &str, condition: &str) -> String {
    format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE id = ?1 AND ({condition}))")
}

impl Catalog {
    /// The oldest transactions and runs beyond `count`, and those that began before a time.
    pub(crate) fn forgettable(
        &self,
        count: u32,
        before: Timestamp,
        limit: u32,
    ) -> Result<Forgettable, CatalogError> {
        Ok(Forgettable {
            txns: self.old("txn", ("began_at", TXN), count, before, limit)?,
            runs: self.old("run", ("started_at", RUN), count, before, limit)?,
            events_before: before,
        })
    }

    fn old(
        &self,
        table: &str,
        (began, condition): (&str, &str),
        count: u32,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<i64>, CatalogError> {
        let mut statement = self.conn.prepare_cached(&surplus_sql(table, condition))?;
        let ids = statement.query_map(params![count, limit], |row| row.get(0))?;
        let mut found: Vec<i64> = ids.collect::<Result<_, _>>()?;
        if found.is_empty() {
            let spared = spared(before);
            let sql = format!(
                "SELECT id FROM {table} WHERE ({condition}) AND {began} < ?1
                 AND id <= (SELECT max(id) - {spared} FROM {table})
                 AND id IN (SELECT id FROM {table} ORDER BY id LIMIT {OLDEST}) ORDER BY id LIMIT ?2"
            );
            let mut statement = self.conn.prepare_cached(&sql)?;
            let ids = statement.query_map(params![before.to_string(), limit], |row| row.get(0))?;
            found = ids.collect::<Result<_, _>>()?;
        }
        Ok(found)
    }

    /// The number of transactions and runs that could be deleted.
    pub(crate) fn count_forgettable(
        &self,
        count: u32,
        before: Timestamp,
    ) -> Result<(u64, u64), CatalogError> {
        if self.schema_version()? < KEPT_SINCE {
            return Ok((0, 0));
        }
        let spared = spared(before);
        let of = |table: &str, (began, condition): (&str, &str)| {
            let sql = format!(
                "SELECT count(*) FROM {table} WHERE ({condition})
                 AND (id <= (SELECT max(id) - ?1 FROM {table})
                      OR {began} < ?2 AND id <= (SELECT max(id) - {spared} FROM {table}))"
            );
            let counted = self
                .conn
                .query_row(&sql, params![count, before.to_string()], |row| {
                    row.get::<_, i64>(0)
                });
            counted.map(i64::cast_unsigned)
        };
        Ok((
            of("txn", ("began_at", TXN))?,
            of("run", ("started_at", RUN))?,
        ))
    }

    /// Deletes transactions and runs with their changes and events, and the manifests that no other row names.
    /// Returns how many of each.
    pub(crate) fn forget(&self, old: &Forgettable) -> Result<(u64, u64), CatalogError> {
        let (mut txns, mut runs) = (0, 0);
        for txn in &old.txns {
            // The transaction may have become needed since it was selected.
            let mut still = self.conn.prepare_cached(&still_sql("txn", TXN))?;
            if !still.query_row([txn], |row| row.get(0))? {
                continue;
            }
            let manifests = self.manifests_of(*txn)?;
            self.delete("DELETE FROM event WHERE txn = ?1", *txn)?;
            self.delete("DELETE FROM change WHERE txn = ?1", *txn)?;
            txns += self.delete("DELETE FROM txn WHERE id = ?1", *txn)?;
            for manifest in manifests {
                self.forget_manifest(&manifest)?;
            }
        }
        for run in &old.runs {
            let mut still = self.conn.prepare_cached(&still_sql("run", RUN))?;
            if still.query_row([run], |row| row.get(0))? {
                self.delete("DELETE FROM event WHERE run = ?1", *run)?;
                runs += self.delete("DELETE FROM run WHERE id = ?1", *run)?;
            }
        }
        let (failed, weaker) = (EventKind::FailedSync, EventKind::WeakerPromise);
        let (failed, weaker) = (failed.as_str(), weaker.as_str());
        let sql = format!(
            "DELETE FROM event WHERE at < ?1 AND txn IS NULL AND run IS NULL
             AND kind NOT IN ('{failed}', '{weaker}')
             AND id IN (SELECT id FROM event ORDER BY id LIMIT {OLDEST})"
        );
        self.conn
            .prepare_cached(&sql)?
            .execute([old.events_before.to_string()])?;
        Ok((txns, runs))
    }

    fn delete(&self, sql: &str, id: i64) -> Result<u64, CatalogError> {
        Ok(self.conn.prepare_cached(sql)?.execute([id])? as u64)
    }

    /// The manifests that the changes of a transaction name.
    fn manifests_of(&self, txn: i64) -> Result<Vec<Digest>, CatalogError> {
        let sql = "SELECT DISTINCT change.digest FROM change JOIN manifest USING (digest)
                   WHERE change.txn = ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([txn])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.extend(super::codec::digest(row.get(0)?)?);
        }
        Ok(found)
    }

    /// Deletes a manifest and its sources if neither a change nor an entry names it.
    fn forget_manifest(&self, manifest: &Digest) -> Result<(), CatalogError> {
        let named = "SELECT EXISTS (SELECT 1 FROM change WHERE digest = ?1
                         AND op IN ('tree', 'fill', 'adopt'))
                     OR EXISTS (SELECT 1 FROM entry WHERE digest = ?1)";
        let key = [manifest.as_bytes().as_slice()];
        let mut named = self.conn.prepare_cached(named)?;
        if !named.query_row(key, |row| row.get(0))? {
            for sql in [
                "DELETE FROM source WHERE manifest = ?1",
                "DELETE FROM manifest WHERE digest = ?1",
            ] {
                self.conn.prepare_cached(sql)?.execute(key)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::plans::plan;
    use super::super::tests::{fresh, scratch};
    use super::*;

    /// All changes were read for each transaction to delete: of a million transactions none was deleted in ten
    /// minutes.
    #[test]
    fn deletable_rows_are_found_without_reading_all_changes() {
        let scratch = scratch();
        let catalog = fresh(&scratch);
        for (table, condition) in [("txn", TXN), ("run", RUN)] {
            for sql in [surplus_sql(table, condition), still_sql(table, condition)] {
                let plan = plan(&catalog, &sql);
                // Few transactions retain something, and only running runs have claims.
                let few = ["txn_kept", "SCAN voucher", "SCAN CONSTANT ROW"];
                let is_scan = |step: &&str| step.contains("SCAN ");
                let reads_few = |step: &str| few.iter().any(|few| step.contains(few));
                assert!(plan.lines().filter(is_scan).all(reads_few), "{plan}");
            }
        }
    }
}
