//! The report about a run, on a page.

use super::words::{TEXT_MAX, text};
use crate::postmortem::{Report, Tail};
use crate::text::bytes;

/// The number of characters shown of one line of output.
const LINE_MAX: usize = 400;

#[derive(Debug)]
pub(super) struct Story {
    /// Commands, with reasons.
    pub(super) next: Vec<(String, String)>,
    pub(super) output: Vec<Output>,
    pub(super) differences: Vec<DifferenceRow>,
    pub(super) more_differences: bool,
    pub(super) kept: Vec<KeptRow>,
    pub(super) untold: Vec<String>,
}

/// The end of the output.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) path: String,
    pub(super) lines: Vec<String>,
    pub(super) cut: bool,
}

#[derive(Debug)]
pub(super) struct DifferenceRow {
    pub(super) path: String,
    pub(super) what: String,
    pub(super) by: Option<i64>,
}

#[derive(Debug)]
pub(super) struct KeptRow {
    pub(super) txn: i64,
    pub(super) path: String,
    pub(super) size: String,
    pub(super) what: &'static str,
}

pub(super) fn tell(report: &Report) -> Story {
    let next = report.next.iter();
    let differences = report.differences.iter().map(|difference| DifferenceRow {
        path: text(&difference.path, TEXT_MAX),
        what: text(&difference.what, TEXT_MAX),
        by: difference.by.as_ref().map(|txn| txn.number),
    });
    let kept = report.kept.iter().map(|kept| KeptRow {
        txn: kept.txn,
        path: text(&kept.path, TEXT_MAX),
        size: kept.bytes.map(bytes).unwrap_or_default(),
        what: match kept.staged {
            true => "what it had staged",
            false => "what it replaced",
        },
    });
    Story {
        next: next
            .map(|step| (text(&step.command, TEXT_MAX), text(&step.why, TEXT_MAX)))
            .collect(),
        output: report.output.iter().map(output).collect(),
        differences: differences.collect(),
        more_differences: report.more_differences,
        kept: kept.collect(),
        untold: report
            .untold
            .iter()
            .map(|why| text(why, TEXT_MAX))
            .collect(),
    }
}

fn output(tail: &Tail) -> Output {
    Output {
        path: text(&tail.path, TEXT_MAX),
        lines: tail.lines.iter().map(|line| text(line, LINE_MAX)).collect(),
        cut: tail.cut,
    }
}
