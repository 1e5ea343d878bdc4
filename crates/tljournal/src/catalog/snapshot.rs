//! Consistent reads: several queries in one snapshot.

use rusqlite::{Transaction, TransactionBehavior};

use super::run::OpenRun;
use super::{Catalog, CatalogError, EntryRow, LeftoverRow, TxnRow};
use crate::model::{Place, TxnId};

/// The rows that recovery needs: unfinished work of earlier runs, and retained content.
#[derive(Debug, Default)]
pub(crate) struct RecoveryRows {
    /// The transactions whose replaced content is retained.
    pub(crate) kept: Vec<(i64, TxnId)>,
    /// The transactions without an end: those past their commit point first, in their order.
    pub(crate) open: Vec<TxnRow>,
    /// The runs without an end.
    pub(crate) runs: Vec<OpenRun>,
    /// The trees that may not be synced.
    pub(crate) unsettled: Vec<(Place, EntryRow)>,
    /// The leftovers that could not be deleted.
    pub(crate) leftovers: Vec<LeftoverRow>,
}

impl Catalog {
    /// Runs `act` in one read transaction: all its reads see the same snapshot. It must not write.
    ///
    /// # Errors
    /// Those of `act`; [`CatalogError::Busy`] as for any statement that reads.
    pub(crate) fn snapshot<T>(
        &self,
        act: impl FnOnce(&Self) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        if !self.conn.is_autocommit() {
            return act(self);
        }
        let _view = Transaction::new_unchecked(&self.conn, TransactionBehavior::Deferred)?;
        act(self)
    }

    /// The rows for recovery, in one snapshot.
    pub(crate) fn recovery_rows(&self) -> Result<RecoveryRows, CatalogError> {
        self.snapshot(|catalog| {
            let mut open = catalog.unfinished()?;
            open.extend(catalog.staging()?);
            Ok(RecoveryRows {
                kept: catalog.kept_txns()?,
                open,
                runs: catalog.open_runs()?,
                unsettled: catalog.unsettled()?,
                leftovers: catalog.leftovers()?,
            })
        })
    }
}
