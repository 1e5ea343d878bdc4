//! The history of one path: which transactions wrote it.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params};

use super::codec::{bad, digest, image, op, parse};
use super::kept::KEPT_SINCE;
use super::{Catalog, CatalogError};
use crate::model::{Digest, Image, Op, Place, RelPath, TxnId};

/// A transaction that began earlier may commit later: at most this many transactions at the same path may overtake
/// it.
const OVERTAKEN_MAX: u32 = 512;

/// Which changes of a place are requested, in commit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// The latest changes, latest first.
    Latest,
    /// The changes before the transaction with this number, latest first.
    Before(i64),
    /// The changes up to and including this transaction, latest first.
    Until(i64),
    /// The changes after this transaction, earliest first.
    After(i64),
}

/// One change that determined the content of a path: at the path itself, or at a directory above it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) txn: i64,
    pub(crate) id: TxnId,
    /// Whether the replaced content may be retained.
    pub(crate) kept: bool,
    pub(crate) n: u32,
    pub(crate) place: Place,
    pub(crate) op: Op,
    pub(crate) before: Option<Image>,
    pub(crate) after: Option<Image>,
    /// Digest of a file's content, or of a tree's manifest.
    pub(crate) digest: Option<Digest>,
    pub(crate) target: Option<String>,
    /// Whether the replaced content was not the journal's own work.
    pub(crate) drift: bool,
}

impl Catalog {
    /// The committed changes of a place and of the directories above it.
    pub(crate) fn steps_at(
        &self,
        place: &Place,
        around: Around,
        limit: u32,
    ) -> Result<Vec<Step>, CatalogError> {
        let (sql, values) = self.steps_sql(place, around, limit)?;
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            let path = RelPath::new(&row.get::<_, String>(4)?).map_err(bad)?;
            steps.push(Step {
                txn: row.get(0)?,
                id: parse(&row.get::<_, String>(1)?, "transaction id")?,
                kept: row.get(2)?,
                n: row.get(3)?,
                place: Place {
                    anchor: place.anchor,
                    path,
                },
                op: op(row, 5)?,
                before: image(row, 14)?,
                after: image(row, 6)?,
                digest: digest(row.get(12)?)?,
                target: row.get(13)?,
                drift: row.get(20)?,
            });
        }
        Ok(steps)
    }

    /// Whether history has deleted a transaction that was committed after this one and, if there is a second one,
    /// before that.
    pub(crate) fn has_forgotten(
        &self,
        after: i64,
        before: Option<i64>,
    ) -> Result<bool, CatalogError> {
        // Commit numbers are consecutive, and the last one is never deleted.
        let sql = "WITH ends (low, high) AS (SELECT
                       (SELECT commit_no FROM txn WHERE id = ?1),
                       coalesce((SELECT commit_no FROM txn WHERE id = ?2),
                                (SELECT max(commit_no) + 1 FROM txn)))
                   SELECT coalesce(high - low - 1 >
                       (SELECT count(*) FROM txn WHERE commit_no > low AND commit_no < high), TRUE)
                   FROM ends";
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_row(params![after, before], |row| row.get(0))?)
    }

    pub(super) fn steps_sql(
        &self,
        place: &Place,
        around: Around,
        limit: u32,
    ) -> Result<(String, Vec<Value>), CatalogError> {
        let window = limit.saturating_add(OVERTAKEN_MAX);
        let slack = i64::from(OVERTAKEN_MAX);
        let (txn, numbers, commits, order) = match around {
            Around::Latest => (0, "txn > ?2", "", "DESC"),
            Around::Before(txn) => (txn, "txn < ?2 + ?3", "txn.commit_no < ", "DESC"),
            Around::Until(txn) => (txn, "txn < ?2 + ?3", "txn.commit_no <= ", "DESC"),
            Around::After(txn) => (txn, "txn > ?2 - ?3", "txn.commit_no > ", "ASC"),
        };
        let commits = match around {
            Around::Latest => "TRUE".to_owned(),
            _ => format!("{commits} (SELECT commit_no FROM txn WHERE id = ?2)"),
        };
        let mut values = vec![Value::from(self.root_of(place)?), txn.into(), slack.into()];
        let mut touched = Vec::new();
        for path in place.path.ancestors() {
            values.push(path.to_string().into());
            touched.push(format!(
                "SELECT txn, n FROM change INDEXED BY change_path
                 WHERE root = ?1 AND path = ?{} AND {numbers}
                 AND op NOT IN ('parent', 'dir', 'part')",
                values.len()
            ));
        }
        let kept = match self.schema_version()? >= KEPT_SINCE {
            true => "txn.kept IS NOT NULL",
            false => "FALSE",
        };
        let sql = format!(
            "WITH touched (txn, n) AS ({} ORDER BY 1 {order} LIMIT {window})
             SELECT txn.id, txn.uuid, {kept}, change.n, change.path, change.op,
             new_kind, new_ino, new_born, new_size, new_mode, new_mtime, digest, target,
             pre_kind, pre_ino, pre_born, pre_size, pre_mode, pre_mtime, drift
             FROM touched CROSS JOIN txn ON txn.id = touched.txn
             CROSS JOIN change ON change.txn = touched.txn AND change.n = touched.n
             WHERE txn.state IN ('applied', 'committed')
             AND {commits} AND ?3 > 0
             ORDER BY txn.commit_no {order} LIMIT {limit}",
            touched.join(" UNION ALL ")
        );
        Ok((sql, values))
    }

    /// The latest transaction after this one that changed something at, above or below a place, with its label, if
    /// there is one.
    pub(crate) fn later_at(
        &self,
        place: &Place,
        since: i64,
    ) -> Result<Option<(i64, String)>, CatalogError> {
        let sql = "SELECT label FROM txn WHERE id = ?1 AND state IN ('applied', 'committed')
                   AND commit_no > (SELECT commit_no FROM txn WHERE id = ?2)";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut found = None;
        self.each_touching(place, None, |txn| {
            let label = statement.query_row([txn, since], |row| row.get(0));
            found = label.optional()?.map(|label| (txn, label));
            Ok(found.is_none() && txn > since)
        })?;
        Ok(found)
    }
}
