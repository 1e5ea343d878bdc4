use rusqlite::{Row, params};

use super::codec::{bad, digest, parse, place, time};
use super::{Catalog, CatalogError};
use crate::ambient;
use crate::model::{Digest, EventKind, Place, RunId, Timestamp};

/// A run's claim that the file at a place is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VoucherRow {
    pub(crate) place: Place,
    pub(crate) run: RunId,
    /// The digest over everything that was verified.
    pub(crate) digest: Digest,
    pub(crate) since: Timestamp,
    /// Why it is no longer valid.
    pub(crate) revoked: Option<String>,
}

/// A change of a claim, made together with a change of the file.
#[derive(Debug, Clone)]
pub(crate) enum VoucherChange {
    /// A run claims a file.
    Put(Place, RunId, Digest),
    /// A run withdraws its claim.
    Remove(Place, RunId),
    /// All claims of a file with this digest are revoked, for a reason.
    Revoke(Place, Digest, String),
}

pub(super) const COLUMNS: &str = "root, path, run, digest, since, revoked";

impl Catalog {
    /// The claims on the file at a place, whether their runs are running or not.
    pub(crate) fn vouchers(&self, at: &Place) -> Result<Vec<VoucherRow>, CatalogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM voucher WHERE root = ?1 AND path = ?2 ORDER BY since, run"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.root_of(at)?, at.path.as_str()])?;
        self.read_vouchers(&mut rows)
    }

    /// All claims, without those of other roots.
    pub(crate) fn all_vouchers(&self) -> Result<Vec<VoucherRow>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM voucher ORDER BY root, path, since, run");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        self.read_vouchers(&mut rows)
    }

    /// Changes claims; a revocation is recorded as an event, of a transaction if there is one.
    pub(crate) fn change_vouchers(
        &self,
        changes: &[VoucherChange],
        txn: Option<i64>,
    ) -> Result<(), CatalogError> {
        for change in changes {
            match change {
                VoucherChange::Put(at, run, digest) => self.put_voucher(at, *run, digest)?,
                VoucherChange::Remove(at, run) => {
                    let sql = "DELETE FROM voucher WHERE root = ?1 AND path = ?2 AND run = ?3";
                    let key = params![self.root_of(at)?, at.path.as_str(), run.to_string()];
                    self.conn.prepare_cached(sql)?.execute(key)?;
                }
                VoucherChange::Revoke(at, digest, reason) => {
                    self.revoke_vouchers(at, digest, reason, txn)?;
                }
            }
        }
        Ok(())
    }

    fn put_voucher(&self, at: &Place, run: RunId, digest: &Digest) -> Result<(), CatalogError> {
        let sql = "INSERT OR REPLACE INTO voucher (root, path, run, digest, since)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        self.conn.prepare_cached(sql)?.execute(params![
            self.root_of(at)?,
            at.path.as_str(),
            run.to_string(),
            digest.as_bytes().as_slice(),
            ambient::now().to_string(),
        ])?;
        Ok(())
    }

    fn revoke_vouchers(
        &self,
        at: &Place,
        digest: &Digest,
        reason: &str,
        txn: Option<i64>,
    ) -> Result<(), CatalogError> {
        let sql = "UPDATE voucher SET revoked = ?4
                   WHERE root = ?1 AND path = ?2 AND digest = ?3 AND revoked IS NULL";
        let (root, path) = (self.root_of(at)?, at.path.as_str());
        let digest_bytes = digest.as_bytes().as_slice();
        let revoked =
            self.conn
                .prepare_cached(sql)?
                .execute(params![root, path, digest_bytes, reason])?;
        if revoked == 0 {
            return Ok(());
        }
        let detail = format!("{revoked} for {digest}: {reason}");
        self.put_event(
            (None, txn),
            &EventKind::VouchersRevoked,
            Some(path),
            &detail,
        )
    }

    fn read_vouchers(
        &self,
        rows: &mut rusqlite::Rows<'_>,
    ) -> Result<Vec<VoucherRow>, CatalogError> {
        let own_root = self.own_root()?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let path: String = row.get(1)?;
            if let Some(at) = place(row.get(0)?, &path, own_root)? {
                found.push(read_voucher(row, at)?);
            }
        }
        Ok(found)
    }
}

/// Reads what a run claims of the file at a place.
pub(super) fn read_voucher(row: &Row<'_>, place: Place) -> Result<VoucherRow, CatalogError> {
    let digest = digest(Some(row.get(3)?))?.ok_or_else(|| bad("a claim without a digest"))?;
    Ok(VoucherRow {
        place,
        run: parse(&row.get::<_, String>(2)?, "run id")?,
        digest,
        since: time(&row.get::<_, String>(4)?)?,
        revoked: row.get(5)?,
    })
}
