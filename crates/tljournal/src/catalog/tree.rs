use rusqlite::{OptionalExtension, params};

use super::codec::{bad, digest, signed};
use super::{Catalog, CatalogError};
use crate::model::{Digest, Manifest, Place, TxnId};

impl Catalog {
    /// Stores a manifest under its digest and replaces any other value there.
    pub(crate) fn put_manifest(&self, manifest: &Manifest) -> Result<(), CatalogError> {
        let sql = "INSERT INTO manifest (digest, entries, bytes, encoded)
                   VALUES (?1, ?2, ?3, ?4) ON CONFLICT (digest) DO UPDATE
                   SET entries = excluded.entries, bytes = excluded.bytes, encoded = excluded.encoded
                   WHERE encoded IS NOT excluded.encoded";
        let encoded = manifest.encode();
        self.conn.prepare_cached(sql)?.execute(params![
            Digest::of(&encoded).as_bytes().as_slice(),
            manifest.entries().len() as i64,
            signed(manifest.bytes()),
            encoded,
        ])?;
        Ok(())
    }

    /// Deletes the manifest with this key, unless an entry refers to it; returns whether it did.
    pub(crate) fn forget_bad_manifest(&self, digest: &[u8]) -> Result<bool, CatalogError> {
        let stands = "SELECT EXISTS (SELECT 1 FROM entry WHERE digest = ?1)";
        if self.conn.query_row(stands, [digest], |row| row.get(0))? {
            return Ok(false);
        }
        self.conn
            .execute("DELETE FROM source WHERE manifest = ?1", [digest])?;
        self.conn
            .execute("DELETE FROM manifest WHERE digest = ?1", [digest])?;
        Ok(true)
    }

    /// The manifest with this digest. Bytes with another digest are damage.
    pub(crate) fn manifest(&self, wanted: &Digest) -> Result<Option<Manifest>, CatalogError> {
        let sql = "SELECT encoded FROM manifest WHERE digest = ?1";
        let encoded: Option<Vec<u8>> = self
            .conn
            .prepare_cached(sql)?
            .query_row([wanted.as_bytes().as_slice()], |row| row.get(0))
            .optional()?;
        let Some(encoded) = encoded else {
            return Ok(None);
        };
        if Digest::of(&encoded) != *wanted {
            return Err(bad(format!("a manifest that is not {wanted}")));
        }
        Manifest::decode(&encoded).map(Some).map_err(bad)
    }

    /// The manifest of a source that had this fingerprint.
    pub(crate) fn manifest_of_source(&self, look: &Digest) -> Result<Option<Digest>, CatalogError> {
        let sql = "SELECT manifest FROM source WHERE fingerprint = ?1";
        let found: Option<Vec<u8>> = self
            .conn
            .prepare_cached(sql)?
            .query_row([look.as_bytes().as_slice()], |row| row.get(0))
            .optional()?;
        digest(found)
    }

    /// The digest of the tree that transactions before this one left at a place.
    pub(crate) fn digest_before(
        &self,
        place: &Place,
        txn: TxnId,
    ) -> Result<Option<Digest>, CatalogError> {
        let sql = "SELECT change.digest FROM change JOIN txn ON txn.id = change.txn
                   WHERE change.root = ?1 AND change.path = ?2 AND change.op IN ('tree', 'adopt')
                   AND txn.state = 'applied'
                   AND txn.commit_no < (SELECT commit_no FROM txn WHERE uuid = ?3)
                   ORDER BY txn.commit_no DESC LIMIT 1";
        let key = params![self.root_of(place)?, place.path.as_str(), txn.to_string()];
        let found: Option<Option<Vec<u8>>> = self
            .conn
            .prepare_cached(sql)?
            .query_row(key, |row| row.get(0))
            .optional()?;
        digest(found.flatten())
    }

    /// Records the manifest of a source with this fingerprint.
    pub(crate) fn put_source(&self, look: &Digest, manifest: &Digest) -> Result<(), CatalogError> {
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO source (fingerprint, manifest) VALUES (?1, ?2)",
            )?
            .execute(params![
                look.as_bytes().as_slice(),
                manifest.as_bytes().as_slice()
            ])?;
        Ok(())
    }
}
