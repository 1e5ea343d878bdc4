//! Tooltips: a headline, and lines of facts.

use tljournal::{EventRecord, RunRecord, TxnRecord};

use super::tables;
use super::words::{clock, day, span, text};
use crate::ending::End;

pub(super) fn of_run(run: &RunRecord, how: End, length: i64) -> String {
    format!(
        "Run {}, {}\n{}\n{} {} UTC, {}",
        run.number,
        tables::told(how, run),
        tables::name_of(run),
        day(run.started_at),
        clock(run.started_at),
        span(length),
    )
}

pub(super) fn of_txn(txn: &TxnRecord) -> String {
    let mut lines = format!("Txn {}, {}", txn.number, txn.state.as_str());
    if !txn.label.is_empty() {
        lines.push('\n');
        lines.push_str(&text(&txn.label, 120));
    }
    let told = tables::lengths(txn);
    if !told.is_empty() {
        lines.push('\n');
        lines.push_str(&told);
    }
    if let Some(reason) = &txn.reason {
        lines.push('\n');
        lines.push_str(&text(reason, 160));
    }
    lines
}

pub(super) fn of_event(event: &EventRecord) -> String {
    let path = event
        .path
        .as_deref()
        .map(|path| format!("\n{}", text(path, 120)));
    format!(
        "{}{}\n{}",
        text(event.kind.as_str(), 40),
        path.unwrap_or_default(),
        text(&event.detail, 160)
    )
}

pub(super) fn of_wait(event: &EventRecord) -> String {
    format!(
        "Waited for {}\n{}",
        text(event.path.as_deref().unwrap_or("a lock"), 80),
        text(&event.detail, 160)
    )
}
