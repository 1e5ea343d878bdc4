use std::sync::atomic::Ordering;

use super::Engine;
use crate::catalog::{CatalogError, Sync};
use crate::error::{Error, UsageError, chain};
use crate::model::{EventKind, Identity, Place};

impl Engine {
    /// Records that the sync of a published entry failed. A second sync would prove nothing, because the kernel counts
    /// the pages as written: the content must be written again to be durable.
    pub(crate) fn note_failed_sync(&self, place: &Place, identity: Identity) {
        let path = self.home.shown(place);
        let detail = failed_sync(identity);
        tracing::warn!(path, "{detail}");
        let run = self.run_row();
        let noted = self.record(Sync::Full, |catalog| {
            catalog.put_event((run, None), &EventKind::FailedSync, Some(&path), &detail)
        });
        if let Err(error) = noted {
            tracing::error!(path, %error, "a failed sync is not recorded");
        }
    }

    /// Whether a sync of this published entry has failed before.
    pub(crate) fn has_failed_to_sync(
        &self,
        place: &Place,
        identity: Identity,
    ) -> Result<bool, Error> {
        let (path, detail) = (self.home.shown(place), failed_sync(identity));
        self.look(|catalog| catalog.has_event(&EventKind::FailedSync, &path, &detail))
    }

    /// Refuses a handle that was inherited by a fork.
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        match self.maker.is_here() {
            true => Ok(()),
            false => Err(UsageError::Forked.into()),
        }
    }

    /// Records an error of this handle's run, which ends as failed; returns its row.
    pub(crate) fn note_failure(&self, error: &str) -> Result<i64, Error> {
        let latest = self.live_run().latest_row();
        let row = match latest {
            Some(row) => {
                self.record(Sync::Normal, |catalog| catalog.set_run_error(row, error))?;
                row
            }
            None => self.record_in_run(Sync::Normal, |catalog, row| {
                catalog.set_run_error(row, error)?;
                Ok(row)
            })?,
        };
        self.live_run().has_failed(row);
        Ok(row)
    }

    /// Notes that the database is damaged, where it is, so that the next opening sets it aside.
    pub(super) fn note(&self, error: CatalogError) -> Error {
        let is_damage = matches!(error, CatalogError::Corrupt(_) | CatalogError::Row(_));
        if is_damage && !self.failed.swap(true, Ordering::AcqRel) {
            self.mark(&error);
        }
        error.into()
    }

    /// Leaves a mark about damage, so that the next opening sets the database aside.
    pub(super) fn mark(&self, error: &dyn std::error::Error) {
        tracing::error!(error = %chain(error), "the catalog is damaged");
        if let Err(error) = self.home.mark_damaged(self.files.database) {
            tracing::error!(%error, "cannot leave a note about it");
        }
    }
}

/// The detail of a failed sync. It names the inode, so that another one at the same path is trusted.
fn failed_sync(identity: Identity) -> String {
    let Identity { ino, born } = identity;
    format!(
        "its content may not be on the medium (inode {ino}, made at {born}); it has to be written again"
    )
}
