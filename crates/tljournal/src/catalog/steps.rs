//! The life of one path: which transactions left what there.

use rusqlite::types::Value;

use super::codec::{bad, digest, image, parse};
use super::{Catalog, CatalogError};
use crate::model::{Digest, Image, Op, Place, RelPath, TxnId};

/// A transaction that was begun earlier may have been committed later: by no more transactions than this
/// at the same path.
const OVERTAKEN_MAX: u32 = 512;

/// One change that decided what is at a path: at the path itself, or at a directory above it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) txn: i64,
    pub(crate) id: TxnId,
    /// Whether what it replaced may be kept.
    pub(crate) kept: bool,
    pub(crate) n: u32,
    pub(crate) place: Place,
    pub(crate) op: Op,
    pub(crate) after: Option<Image>,
    /// Digest of a file's content, or of a tree's manifest.
    pub(crate) digest: Option<Digest>,
    pub(crate) target: Option<String>,
}

impl Catalog {
    /// The committed changes at a place and above it, the last committed first; only those that were
    /// committed before the transaction with this number, if one is named.
    pub(crate) fn steps_at(
        &self,
        place: &Place,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Step>, CatalogError> {
        let window = limit.saturating_add(OVERTAKEN_MAX);
        let below = before.map_or(i64::MAX, |txn| txn.saturating_add(OVERTAKEN_MAX.into()));
        let mut values = vec![
            Value::from(self.root_of(place)?),
            below.into(),
            before.into(),
        ];
        let mut touched = Vec::new();
        for path in place.path.ancestors() {
            values.push(path.to_string().into());
            touched.push(format!(
                "SELECT txn, n FROM change WHERE root = ?1 AND path = ?{} AND txn < ?2
                 AND op NOT IN ('parent', 'dir', 'part')",
                values.len()
            ));
        }
        let kept = match self.schema_version()? >= 3 {
            true => "txn.kept IS NOT NULL",
            false => "FALSE",
        };
        let sql = format!(
            "WITH touched (txn, n) AS ({} ORDER BY 1 DESC LIMIT {window})
             SELECT txn.id, txn.uuid, {kept}, change.n, change.path, change.op,
             new_kind, new_ino, new_born, new_size, new_mode, new_mtime, digest, target
             FROM touched CROSS JOIN txn ON txn.id = touched.txn
             CROSS JOIN change ON change.txn = touched.txn AND change.n = touched.n
             WHERE txn.state IN ('applied', 'committed')
             AND (?3 IS NULL OR txn.commit_no < (SELECT commit_no FROM txn WHERE id = ?3))
             ORDER BY txn.commit_no DESC LIMIT {limit}",
            touched.join(" UNION ALL ")
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            let op: String = row.get(5)?;
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
                op: Op::from_word(&op).ok_or_else(|| bad("no kind of change"))?,
                after: image(row, 6)?,
                digest: digest(row.get(12)?)?,
                target: row.get(13)?,
            });
        }
        Ok(steps)
    }
}
