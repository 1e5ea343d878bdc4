use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;
use tljournal::{Code, Finding, FsckReport, Severity};

use crate::output::{self, BAD, BOLD, DIM, GOOD, Output, WARN};
use crate::text::{bytes, clean, count};

/// The widths of the columns of a finding.
const SEVERITY_WIDTH: usize = 8;
const CODE_WIDTH: usize = 18;

/// Prints findings immediately, around the progress bar.
pub(super) struct Printer {
    output: Output,
}

impl Printer {
    pub(super) fn new(output: Output) -> Self {
        Self { output }
    }

    /// Prints a finding for people; false if the reader is gone.
    pub(super) fn print(&self, finding: &Finding) -> bool {
        if self.output.json || self.output.quiet {
            return true;
        }
        let said = said(finding);
        output::to_stdout(&said)
    }
}

pub(super) fn style(severity: Severity) -> Style {
    match severity {
        Severity::Error => BAD,
        Severity::Warning => WARN,
        Severity::Notice => DIM,
    }
}

/// A finding for people: code and path on one line, the rest below.
fn said(finding: &Finding) -> String {
    let style = style(finding.severity());
    let (severity, code) = (finding.severity().as_str(), finding.code.as_str());
    let mut said = format!(
        "{style}{severity:<SEVERITY_WIDTH$}{style:#}{code:<CODE_WIDTH$}{BOLD}{}{BOLD:#}\n",
        clean(&finding.path)
    );
    let mut below = |text: &str| {
        let indent = SEVERITY_WIDTH + CODE_WIDTH;
        said.push_str(&format!("{:indent$}{DIM}{}{DIM:#}\n", "", clean(text)));
    };
    match (&finding.expected, &finding.actual) {
        (Some(expected), Some(actual)) => below(&format!("{expected} expected, {actual} found")),
        (Some(expected), None) => below(&format!("{expected} expected")),
        (None, Some(actual)) => below(actual),
        (None, None) => {}
    }
    if let Some(txn) = &finding.txn {
        let (number, run) = (txn.number, txn.run.number);
        below(&format!(
            "transaction {number} \"{}\", run {run}",
            txn.label
        ));
    }
    if finding.advice != finding.code.advice() {
        below(&finding.advice);
    }
    if let Some(run) = &finding.run {
        below(&format!(
            "run {} of {}, pid {}",
            run.number, run.argv, run.pid
        ));
    }
    said
}

/// The number of findings by severity, with the advice for each kind.
pub(super) fn summary(
    out: &mut dyn Write,
    report: &FsckReport,
    findings: &[Finding],
) -> io::Result<()> {
    if !findings.is_empty() {
        writeln!(out)?;
    }
    for severity in [Severity::Error, Severity::Warning, Severity::Notice] {
        let mut kinds: BTreeMap<Code, (usize, &str)> = BTreeMap::new();
        for finding in findings
            .iter()
            .filter(|finding| finding.severity() == severity)
        {
            let advice = finding.code.advice();
            kinds.entry(finding.code).or_insert((0, advice)).0 += 1;
        }
        for (code, (number, advice)) in kinds {
            let style = style(severity);
            writeln!(
                out,
                "{style}{number:>5} {code}{style:#}: {}",
                code.meaning()
            )?;
            writeln!(out, "      {DIM}{}{DIM:#}", clean(advice))?;
        }
    }
    for what in &report.unchecked {
        writeln!(out, "{WARN}not checked{WARN:#} {}", clean(what))?;
    }
    let looked = count(report.entries as usize, "entry").replace("entrys", "entries");
    let hashed = match report.hashed_bytes {
        0 => String::new(),
        number => format!(", {} hashed", bytes(number)),
    };
    let found = [
        (report.errors, "error"),
        (report.warnings, "warning"),
        (report.notices, "notice"),
    ];
    let found = found.iter().filter(|(number, _)| *number > 0);
    let found: Vec<_> = found
        .map(|(number, noun)| count(*number as usize, noun))
        .collect();
    let found = match found.is_empty() {
        true => String::new(),
        false => format!(": {}", found.join(", ")),
    };
    let (style, word) = match (report.cancelled, report.is_clean()) {
        (true, _) => (WARN, "cancelled"),
        (false, true) => (GOOD, "clean"),
        (false, false) => (BAD, "not clean"),
    };
    writeln!(
        out,
        "{style}{word}{style:#}{found}  {DIM}{looked}{hashed}{DIM:#}"
    )
}
