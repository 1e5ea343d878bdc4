use crate::lock::RunByte;
use crate::model::RunId;

/// The run of a handle. It has a byte from its first use, and a row from its first change.
#[derive(Debug, Default)]
pub(super) struct LiveRun {
    pub(super) entered: Option<(RunId, RunByte)>,
    pub(super) row: Option<i64>,
    /// The rows of runs that are over, and whose end is still to be recorded.
    over: Vec<i64>,
    /// The row of the run that has reported a failure.
    failed: Option<i64>,
}

impl LiveRun {
    /// Ends its life. What is done with the handle from now on is another run.
    pub(super) fn leave(&mut self) {
        self.entered = None;
        self.over.extend(self.row.take());
    }

    /// The row that a failure is reported of: of the run at work, or of the one that ended last.
    pub(super) fn latest_row(&self) -> Option<i64> {
        self.row.or(self.over.last().copied())
    }

    /// Notes that what was done has failed, whatever is said of it at the end.
    pub(super) fn has_failed(&mut self, row: i64) {
        self.failed = Some(row);
    }

    /// The rows whose end is to be recorded, once, with how they ended.
    pub(super) fn take_rows(&mut self, outcome: &str) -> Vec<(i64, String)> {
        self.over.extend(self.row.take());
        let outcome_of = |row: &i64| match (self.failed == Some(*row), outcome) {
            (true, "ok") => "failed",
            _ => outcome,
        };
        let rows = std::mem::take(&mut self.over);
        let ended = rows.iter().map(|row| (*row, outcome_of(row).to_owned()));
        ended.collect()
    }
}
