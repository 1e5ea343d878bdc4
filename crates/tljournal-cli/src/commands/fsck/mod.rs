mod interrupt;
mod print;
mod rebuild;
mod repair;
mod views;

use std::ops::ControlFlow;

use camino::Utf8PathBuf;
use serde_json::{Value, json};
use tljournal::{Finding, FsckDepth, FsckOptions, FsckReport, NamedPath, RelPath};

use self::print::Printer;
use self::views::finding_json;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::session::Session;

const AFTER: &str = "\
Severities:
  error    readers see something other than what was installed, or the journal is damaged
  warning  not as it should be, but without consequences for readers
  notice   information
Only errors count for the exit status. All codes are listed in docs/fsck.md.

Examples:
  tljournal fsck                         check everything, hash what may have been written to
  tljournal fsck --quick build/tools     compare one tree without reading it
  tljournal fsck --full --json | jq -r '.findings[] | select(.severity == \"error\") | .path'
  tljournal --root /copy/of/project fsck check a copy; nothing is changed
  tljournal fsck --repair                repair what can be repaired; replaced content is set aside
  tljournal fsck --repair --source tools.tar.zst build/tools
                                         take missing content of a tree from an archive
  tljournal fsck --rebuild --tree build/tools
                                         create a new database when the old one is lost
";

/// Check that the disk matches the journal
///
/// Checks the database, transactions, staged and kept content, runs, locks, tags, and every file, link and tree that
/// was installed, and continues after each finding. Changes nothing; can run while others work, on a read-only mount,
/// and on a copy. Ctrl-C ends it with what was found so far.
///
/// With --repair it finishes or rolls back interrupted transactions, restores trees, files and links whose content is
/// available (in place, kept, or in --source), and sets aside what it cannot repair. What was changed after it was
/// put there is restored only if its path is named.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_FSCK))]
pub(crate) struct Args {
    /// Only what is recorded at, above or below these paths, relative to the root
    #[arg(value_name = "PATH")]
    paths: Vec<NamedPath>,
    /// Read no content: compare names, kinds, sizes, modes, mtimes and link targets
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Read all content on every core, whatever its metadata says, and the whole database
    #[arg(long)]
    full: bool,
    /// Repair what can be repaired, each finding in a transaction, and check again; replaced content is set aside
    #[arg(long)]
    repair: bool,
    /// With --repair: a directory or archive to take content from
    #[arg(long, value_name = "ARCHIVE|DIR", requires = "repair")]
    source: Option<Utf8PathBuf>,
    /// Create a new database from the readable rows of the old one that match the disk; the old one is set aside
    #[arg(long, conflicts_with_all = ["repair", "paths"])]
    rebuild: bool,
    /// With --rebuild: record this path as it is on disk; may be repeated
    #[arg(long, value_name = "PATH", requires = "rebuild")]
    tree: Vec<NamedPath>,
    /// With --rebuild: even if the database is sound
    #[arg(long, requires = "rebuild")]
    force: bool,
}

/// The exit status of fsck(8).
mod status {
    pub(super) const CORRECTED: u8 = 1;
    pub(super) const ERRORS_LEFT: u8 = 4;
    pub(super) const FAILED: u8 = 8;
    pub(super) const USAGE: u8 = 16;
    pub(super) const CANCELLED: u8 = 32;
}

/// The exit for a usage error.
pub(crate) const USAGE: Exit = Exit::Passed(status::USAGE);

pub(super) fn run(session: &Session, args: &Args) -> Exit {
    let ran = match (args.repair, args.rebuild) {
        (true, _) => repair::run(session, args),
        (_, true) => rebuild::run(session, args),
        (false, false) => check(session, args),
    };
    ran.unwrap_or_else(|failure| {
        let exit = match Exit::of(&failure) {
            Exit::Usage => USAGE,
            _ => Exit::Passed(status::FAILED),
        };
        session.fail_as(&failure, exit)
    })
}

fn check(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let options = args.options(session)?;
    interrupt::stops(&options.watch);
    let found = Found::look(session, &options, session.output)?;
    session.output.result(
        || found.json(&options),
        |out| print::summary(out, &found.report, &found.findings),
    )?;
    found.refuse_partial()?;
    found.refuse_unknown()?;
    Ok(match (found.report.cancelled, found.report.is_clean()) {
        (true, _) => Exit::Passed(status::CANCELLED),
        (false, true) => Exit::Done,
        (false, false) => Exit::Passed(status::ERRORS_LEFT),
    })
}

/// The result of one check.
struct Found {
    findings: Vec<Finding>,
    report: FsckReport,
}

impl Found {
    /// Checks, and prints each finding immediately.
    fn look(session: &Session, options: &FsckOptions, output: Output) -> Result<Self, Failure> {
        let watch = options.watch.clone();
        let shown = session.output.shows_progress();
        let progress = Progress::watch("check", shown, move || watch.bytes());
        let printer = Printer::new(output);
        let mut findings = Vec::new();
        let mut told = |finding: Finding| {
            let printed = printer.print(&finding);
            findings.push(finding);
            match printed {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        let report = session.journal_options()?.fsck(options, &mut told)?;
        drop(progress);
        Ok(Self { findings, report })
    }

    /// Returns an error if the check is incomplete.
    fn refuse_partial(&self) -> Result<(), Failure> {
        if self.report.outdated {
            return Err(Failure::Refused {
                what: "another process changed the journal meanwhile, which cannot be followed without write access"
                    .to_owned(),
                hint: Some("check again, or run as a user with write access"),
            });
        }
        if self.report.unconfirmed > 0 && !self.report.cancelled {
            return Err(Failure::Refused {
                what: "other processes kept applying changes, so some suspects could not be checked again"
                    .to_owned(),
                hint: Some("check again when the lock `commit` is free; `tljournal status` shows who is working"),
            });
        }
        Ok(())
    }

    /// Refuses requested paths without any record.
    fn refuse_unknown(&self) -> Result<(), Failure> {
        match self.report.unknown.first() {
            Some(path) => Err(Failure::Usage(format!(
                "nothing is recorded at, above or below `{path}`; paths are relative to the root"
            ))),
            None => Ok(()),
        }
    }

    fn json(&self, options: &FsckOptions) -> Value {
        let report = &self.report;
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
            "unconfirmed": report.unconfirmed,
            "unknown": report.unknown.iter().map(RelPath::as_str).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(finding_json).collect::<Vec<_>>(),
        })
    }
}

impl Args {
    fn options(&self, session: &Session) -> Result<FsckOptions, Failure> {
        let depth = match (self.quick, self.full) {
            (true, _) => FsckDepth::Quick,
            (_, true) => FsckDepth::Full,
            (false, false) => FsckDepth::Default,
        };
        Ok(FsckOptions {
            depth,
            paths: session.all_below_root(&self.paths)?,
            ..FsckOptions::default()
        })
    }
}
