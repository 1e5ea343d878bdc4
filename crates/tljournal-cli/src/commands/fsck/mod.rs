mod interrupt;
mod print;
mod views;

use std::ops::ControlFlow;

use serde_json::json;
use tljournal::{Finding, FsckDepth, FsckOptions, FsckReport, RelPath};

use self::print::Printer;
use self::views::finding_json;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::session::Session;

const AFTER: &str = "\
Severities:
  error    what somebody reads is not what was put there, or the journal is not right
  warning  not as it should be, and nobody gets anything wrong by it
  notice   worth knowing
Only errors count for the exit status. All codes are listed in docs/fsck.md.

Examples:
  tljournal fsck                         look at everything, hash what may have been written to
  tljournal fsck --quick build/tools     compare one tree without reading it
  tljournal fsck --full --json | jq -r '.findings[] | select(.severity == \"error\") | .path'
  tljournal --root /copy/of/project fsck look into a copy; nothing of it is changed";

/// Check that everything is as the journal put it
///
/// Looks at the database, transactions, staged and kept content, runs, locks, tags, and at every file, link and
/// tree that was put in place, and goes on after each finding. Changes nothing; works beside whoever is at work,
/// on a read-only mount and on a copy. Ctrl-C ends it with what was found so far.
#[derive(Debug, clap::Args)]
#[command(after_help = [AFTER, "\n\n", exit::OF_FSCK].concat())]
pub(crate) struct Args {
    /// Only what is recorded at, above or below these paths, relative to the root
    #[arg(value_name = "PATH")]
    paths: Vec<RelPath>,
    /// Read no content: compare names, kinds, sizes, modes, mtimes and link targets
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Read all content on every core, whatever the filesystem says, and all of the database
    #[arg(long)]
    full: bool,
}

/// The exit status of fsck(8).
mod status {
    pub(super) const ERRORS_LEFT: u8 = 4;
    pub(super) const FAILED: u8 = 8;
    pub(super) const USAGE: u8 = 16;
    pub(super) const CANCELLED: u8 = 32;
}

/// What a wrong command line ends with.
pub(crate) const USAGE: Exit = Exit::Passed(status::USAGE);

pub(super) fn run(session: &Session, args: &Args) -> Exit {
    check(session, args).unwrap_or_else(|failure| {
        let exit = match Exit::of(&failure) {
            Exit::Usage => USAGE,
            _ => Exit::Passed(status::FAILED),
        };
        let home = session.home_if_found();
        session.output.fail_as(&failure, exit, home.as_deref())
    })
}

fn check(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let options = FsckOptions {
        depth: args.depth(),
        paths: args.paths.clone(),
        ..FsckOptions::default()
    };
    interrupt::stops(&options.watch);
    let watch = options.watch.clone();
    let shown = session.output.shows_progress();
    let progress = Progress::watch("check", shown, move || watch.bytes());
    let mut printer = Printer::new(session.output);
    let mut findings = Vec::new();
    let mut told = |finding: Finding| {
        let printed = printer.print(&finding);
        findings.push(finding);
        match printed {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    let report = session.journal_options()?.fsck(&options, &mut told)?;
    drop(progress);
    let exit = status_of(&report);
    session.output.result(
        || {
            json!({
                "command": "fsck",
                "depth": options.depth.as_str(),
                "clean": report.is_clean(),
                "cancelled": report.cancelled,
                "errors": report.errors,
                "warnings": report.warnings,
                "notices": report.notices,
                "entries": report.entries,
                "hashed_bytes": report.hashed_bytes,
                "unchecked": report.unchecked,
                "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
            })
        },
        |out| print::summary(out, &report, &findings),
    )?;
    Ok(exit)
}

fn status_of(report: &FsckReport) -> Exit {
    match (report.cancelled, report.is_clean()) {
        (true, _) => Exit::Passed(status::CANCELLED),
        (false, true) => Exit::Done,
        (false, false) => Exit::Passed(status::ERRORS_LEFT),
    }
}

impl Args {
    fn depth(&self) -> FsckDepth {
        match (self.quick, self.full) {
            (true, _) => FsckDepth::Quick,
            (_, true) => FsckDepth::Full,
            (false, false) => FsckDepth::Default,
        }
    }
}
