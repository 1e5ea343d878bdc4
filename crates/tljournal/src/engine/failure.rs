use super::Engine;
use crate::catalog::Sync;
use crate::error::Error;

impl Engine {
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
