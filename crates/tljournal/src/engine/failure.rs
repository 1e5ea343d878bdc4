use super::Engine;
use crate::catalog::Sync;
use crate::error::{Error, UsageError};

impl Engine {
    /// Refuses a handle that a fork has inherited.
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        match self.maker.is_here() {
            true => Ok(()),
            false => Err(UsageError::Forked.into()),
        }
    }

    /// Records what went wrong in the run of this handle, which ends as failed; returns its row.
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
}
