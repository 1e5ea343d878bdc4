//! History for other programs.
//!
//! `walk` goes through history, the latest run first, a page of rows at a time, and hands each row to a
//! `Sink`: memory does not grow with history. A sink is a format: `jsonl` for scripts, `chrome_trace` for
//! Perfetto, `otlp` for collectors of traces, to which `send` posts what `otlp` makes.

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

/// A run, and until when it is drawn.
#[derive(Debug)]
pub(crate) struct RunLife {
    /// The run.
    pub(crate) run: RunRecord,
    /// When it ended; what said nothing ended with its last sign of life, and what lives ends now.
    pub(crate) until: Timestamp,
    /// Whether it lives.
    pub(crate) alive: bool,
}

/// What rows are handed to. The events and transactions of a run follow it, each the latest first.
pub(crate) trait Sink {
    /// A run.
    fn run(&mut self, life: &RunLife) -> Result<(), Failure>;
    /// A transaction of the latest run.
    fn txn(&mut self, txn: &TxnRecord, changes: &[ChangeRecord]) -> Result<(), Failure>;
    /// An event of the latest run, or of none.
    fn event(&mut self, event: &EventRecord) -> Result<(), Failure>;
    /// There is nothing more.
    fn end(&mut self) -> Result<(), Failure>;
}

/// Writing failed.
fn unwritten(source: io::Error) -> Failure {
    Failure::io("write what is exported", source)
}
