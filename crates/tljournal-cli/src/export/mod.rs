//! Exports history for other programs.
//!
//! `walk` goes through history, latest run first, one page of rows at a time, and passes each row to a `Sink`, so
//! memory does not grow with history. A sink is a format: `jsonl` for scripts, `chrome_trace` for Perfetto, `otlp`
//! for trace collectors, to which `send` posts the output of `otlp`.

mod chrome_trace;
mod jsonl;
mod otlp;
mod send;
mod spans;
mod walk;

use std::io;

use tljournal::{ChangeRecord, EventRecord, RunRecord, Timestamp, TxnRecord};

use crate::failure::Failure;

pub(crate) use chrome_trace::ChromeTrace;
pub(crate) use jsonl::JsonLines;
pub(crate) use otlp::{Batches, Otlp, write_line};
pub(crate) use send::Collector;
pub(crate) use walk::{Counts, Wanted, walk};

/// A run, and the end of its bar.
#[derive(Debug)]
pub(crate) struct RunLife {
    /// The run.
    pub(crate) run: RunRecord,
    /// When it ended; for a killed run its last activity, for a running one the current time.
    pub(crate) until: Timestamp,
    /// Whether it is running.
    pub(crate) alive: bool,
}

/// Receives rows. The events and transactions of a run follow it, each latest first.
pub(crate) trait Sink {
    /// A run.
    fn run(&mut self, life: &RunLife) -> Result<(), Failure>;
    /// A transaction of the latest run.
    fn txn(&mut self, txn: &TxnRecord, changes: &[ChangeRecord]) -> Result<(), Failure>;
    /// An event of the latest run, or of none.
    fn event(&mut self, event: &EventRecord) -> Result<(), Failure>;
    /// The end.
    fn end(&mut self) -> Result<(), Failure>;
}

/// Writing failed.
fn unwritten(source: io::Error) -> Failure {
    Failure::io("write the export", source)
}
