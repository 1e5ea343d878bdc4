use crate::lock::RunByte;
use crate::model::RunId;

/// The run of a handle. It has a byte from its first use, and a row from its first change.
#[derive(Debug, Default)]
pub(super) struct LiveRun {
    pub(super) entered: Option<(RunId, RunByte)>,
    pub(super) row: Option<i64>,
    /// The rows of ended runs whose end is not recorded yet.
    over: Vec<i64>,
    /// The row of the run that has reported a failure.
    failed: Option<i64>,
}

impl LiveRun {
    /// Ends the run. Further use of the handle is a new run.
    pub(super) fn leave(&mut self) {
        self.entered = None;
        self.over.extend(self.row.take());
    }

    /// The row for a reported failure: that of the current run, or of the one that ended last.
    pub(super) fn latest_row(&self) -> Option<i64> {
        self.row.or(self.over.last().copied())
    }

    /// Notes that the run has failed, which takes precedence over its outcome.
    pub(super) fn has_failed(&mut self, row: i64) {
        self.failed = Some(row);
    }

    /// Takes the rows whose end is to be recorded, with their outcomes.
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
