use std::ops::ControlFlow;

use tljournal::{Finding, FsckDepth, FsckOptions, Inspection};

use super::words::text;

/// The largest number of findings shown.
const FINDINGS_MAX: usize = 500;

#[derive(Debug)]
pub(super) struct FindingRow {
    pub(super) word: &'static str,
    pub(super) code: &'static str,
    pub(super) path: String,
    pub(super) text: String,
    pub(super) advice: String,
    /// The transaction that wrote it last.
    pub(super) txn: Option<i64>,
}

/// The findings of a quick check; a copy is not checked.
pub(crate) fn findings(inspection: &Inspection) -> Option<Vec<Finding>> {
    if !inspection.is_at_home() {
        return None;
    }
    let options = FsckOptions {
        depth: FsckDepth::Quick,
        ..FsckOptions::default()
    };
    let mut findings = Vec::new();
    let _counts = inspection.fsck(&options, &mut |finding| {
        findings.push(finding);
        match findings.len() < FINDINGS_MAX {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    Some(findings)
}

/// Most severe first.
pub(super) fn finding_rows(findings: &[Finding]) -> Vec<FindingRow> {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
    let rows = sorted.into_iter().map(|finding| FindingRow {
        word: finding.severity().as_str(),
        code: finding.code.as_str(),
        path: text(&finding.path, 400),
        text: found(finding),
        advice: text(&finding.advice, 1000),
        txn: finding.txn.as_ref().map(|txn| txn.number),
    });
    rows.collect()
}

fn found(finding: &Finding) -> String {
    let meaning = finding.code.meaning().to_owned();
    let sides = [("expected", &finding.expected), ("found", &finding.actual)];
    let told = sides.into_iter().filter_map(|(word, side)| {
        let side = text(side.as_deref()?, 400);
        Some(format!("{word} {side}"))
    });
    std::iter::once(meaning)
        .chain(told)
        .collect::<Vec<_>>()
        .join("; ")
}
