use std::ops::ControlFlow;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use tljournal::{Finding, FsckDepth, FsckOptions, Inspection, RunRecord};

use super::views::the_run;

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::outfile;
use crate::output::GOOD;
use crate::page::{self, Past, Subject, Wanted};
use crate::postmortem::Report;
use crate::session::Session;
use crate::text::{bytes, clean};
use crate::time;

/// Most transactions that one page holds.
const TXNS_MAX: u32 = 10_000;
/// Most runs that it holds, if nothing else is said.
pub(super) const RUNS: u32 = 500;
/// Most findings that are told.
const FINDINGS_MAX: usize = 500;

const AFTER: &str = "\
Examples:
  tljournal report --html report.html
  tljournal report --html - --run 42 > run-42.html
";

/// Write history as a page for a browser
///
/// One file that needs no network and no script: a timeline with a lane for each run, and tables of runs,
/// transactions with their changes, events and tags. Changes nothing in the journal; works on a
/// read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_SHOW_RUN))]
pub(crate) struct Args {
    /// Where to write the page; - is standard output
    #[arg(long, value_name = "FILE")]
    html: Utf8PathBuf,
    /// Only this run, and what happened around it; its number, id, or the beginning of its id
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// At most so many runs, the latest
    #[arg(long, value_name = "N", default_value_t = RUNS, value_parser = clap::value_parser!(u32).range(1..=5000))]
    runs: u32,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = session.inspect()?;
    let run = args.run.as_deref();
    let run = run.map(|name| the_run(&inspection.history(), name));
    let run = run.transpose()?;
    let about = About {
        run: run.as_ref(),
        report: None,
        runs: args.runs,
    };
    let size = write_page(session, &inspection, &about, &args.html)?;
    tell(session, "report", &args.html, size)?;
    Ok(Exit::Done)
}

/// What a page is to be about.
pub(super) struct About<'a> {
    /// This run and what happened around it; or all of history.
    pub(super) run: Option<&'a RunRecord>,
    /// What was found out about it.
    pub(super) report: Option<&'a Report>,
    /// At most so many runs, the latest.
    pub(super) runs: u32,
}

/// Writes the page; says how many bytes it has.
pub(super) fn write_page(
    session: &Session,
    inspection: &Inspection,
    about: &About<'_>,
    file: &Utf8Path,
) -> Result<u64, Failure> {
    let wanted = Wanted {
        runs: about.runs,
        txns: TXNS_MAX,
    };
    let past = Past::read(&inspection.history(), wanted, about.run, time::now())?;
    let subject = Subject {
        home: session.home_if_found().unwrap_or_default().into_string(),
        at_home: inspection.is_at_home(),
        run: about.run,
        shown: &|path, in_home| session.shown(path, in_home),
        findings: findings(inspection),
        report: about.report,
    };
    outfile::write(file, |out| page::write(&past, &subject, out))
}

/// Says that there is a page, if it did not go to standard output itself.
pub(super) fn tell(
    session: &Session,
    command: &str,
    file: &Utf8Path,
    size: u64,
) -> Result<(), Failure> {
    if file == outfile::STDOUT {
        return Ok(());
    }
    let json = || json!({"command": command, "file": file.as_str(), "bytes": size});
    session.output.result(json, |out| {
        let (file, size) = (clean(file.as_str()), bytes(size));
        writeln!(out, "{GOOD}wrote{GOOD:#} {file}  {size}")
    })
}

/// What a quick check finds; nothing is checked of a copy, which is not where it belongs.
fn findings(inspection: &Inspection) -> Option<Vec<Finding>> {
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
