use crate::lock::RunByte;
use crate::model::RunId;

/// The run of a handle. It has a byte from its first use, and a row from its first change.
#[derive(Debug, Default)]
pub(super) struct LiveRun {
    pub(super) entered: Option<(RunId, RunByte)>,
    pub(super) row: Option<i64>,
    /// The rows of runs that are over, and whose end is still to be recorded.
    over: Vec<i64>,
}

impl LiveRun {
    /// Ends its life. What is done with the handle from now on is another run.
    pub(super) fn leave(&mut self) {
        self.entered = None;
        self.over.extend(self.row.take());
    }

    /// The rows whose end is to be recorded, once.
    pub(super) fn take_rows(&mut self) -> Vec<i64> {
        self.over.extend(self.row.take());
        std::mem::take(&mut self.over)
    }
}
