use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use tljournal::{Inspection, RunRecord};

use super::views::{run_json, run_name, the_run};
use crate::ending::End;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::outfile;
use crate::output::{BAD, BOLD, DIM, GOOD};
use crate::postmortem;
use crate::session::Session;
use crate::terminal::Terminal;
use crate::text::{bytes, clean};
use crate::time;

const AFTER: &str = "\
Examples:
  tljournal postmortem                  the latest run that failed or was killed
  tljournal postmortem --list           list such runs
  tljournal postmortem 17 -n 30         run 17, with more of its output
  tljournal postmortem --html run.html  as a page for a browser, with a timeline
  tljournal postmortem --bundle b.tar.zst   everything about it, for a bug report
";

/// The number of runs listed.
const LISTED_MAX: u32 = 20;

/// Investigate a run that failed or was killed
///
/// Shows what ran and how it ended, the end of its output, unfinished transactions, locks it held or waited for and
/// their other holders, concurrent runs, what has changed since, and what to do next. Changes nothing; works on a
/// read-only copy, and reports what is unknown there.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_POSTMORTEM))]
pub(crate) struct Args {
    /// Its number, its id, or the beginning of its id [default: the latest run that went wrong]
    #[arg(value_name = "RUN")]
    name: Option<String>,
    /// List the runs that went wrong, latest first
    #[arg(long, conflicts_with_all = ["name", "html", "bundle"])]
    list: bool,
    /// At most this many lines of each log
    #[arg(short = 'n', long, value_name = "N", default_value_t = 8)]
    lines: usize,
    /// Write the report as a page for a browser; `-` is standard output
    #[arg(long, value_name = "FILE")]
    html: Option<Utf8PathBuf>,
    /// Pack the database, this report and the logs into a tar.zst
    #[arg(long, value_name = "FILE")]
    bundle: Option<Utf8PathBuf>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    for path in args.html.iter().chain(&args.bundle) {
        outfile::refuse_mixed(path, session.output.json)?;
    }
    let inspection = session.inspect()?;
    if args.list {
        return list(session, &inspection);
    }
    let run = match &args.name {
        Some(name) => Some(the_run(&inspection.history(), name)?),
        None => postmortem::latest_that_went_wrong(&inspection)?,
    };
    let Some(run) = run else {
        return Err(Failure::Nothing(
            "no recorded run failed or was killed; `tljournal runs` lists all".to_owned(),
        ));
    };
    let report = postmortem::gather(session, &inspection, run, args.lines)?;
    if let Some(path) = &args.html {
        let page = postmortem::Page::read(session, &inspection, &report)?;
        let size = outfile::write(session, path, |out| page.write(out))?;
        tell_file(session, path, size, &[])?;
    }
    if let Some(path) = &args.bundle {
        let packed = postmortem::pack(session, &inspection, &report, path)?;
        tell_file(session, path, packed.bytes, &packed.left_out)?;
    }
    if args.html.is_none() && args.bundle.is_none() {
        session.output.result(
            || postmortem::as_json(&report),
            |out| postmortem::print(out, &report, Terminal::of_stdout()),
        )?;
    }
    Ok(Exit::Done)
}

/// Reports what was written, and what is missing from it.
fn tell_file(
    session: &Session,
    path: &Utf8Path,
    size: u64,
    left_out: &[String],
) -> Result<(), Failure> {
    if path == outfile::STDOUT {
        return Ok(());
    }
    let json = || {
        let file = path.as_str();
        json!({"command": "postmortem bundle", "file": file, "bytes": size, "left_out": left_out})
    };
    session.output.result(json, |out| {
        let (file, size) = (clean(path.as_str()), bytes(size));
        writeln!(out, "{GOOD}wrote{GOOD:#} {file}  {size}")?;
        for what in left_out {
            writeln!(out, "  {DIM}without {}{DIM:#}", clean(what))?;
        }
        Ok(())
    })
}

fn list(session: &Session, inspection: &Inspection) -> Result<Exit, Failure> {
    let found = postmortem::that_went_wrong(inspection, LISTED_MAX)?;
    let ends = found.iter().map(|run| End::seen_from(inspection, run));
    let ends = ends.collect::<Result<Vec<_>, _>>()?;
    let json = || {
        let runs = found.iter().zip(&ends).map(|(run, end)| {
            let mut value = run_json(run);
            value["end"] = end.word().into();
            value
        });
        json!({"command": "postmortem list", "runs": runs.collect::<Vec<_>>()})
    };
    session.output.result(json, |out| {
        let terminal = Terminal::of_stdout();
        found
            .iter()
            .zip(&ends)
            .try_for_each(|(run, end)| line(out, run, end.word(), terminal))
    })?;
    Ok(Exit::Done)
}

fn line(
    out: &mut dyn Write,
    run: &RunRecord,
    end: &str,
    terminal: Terminal,
) -> std::io::Result<()> {
    let ended = run.outcome.as_deref().map_or(end.to_owned(), clean);
    let began = time::short(run.started_at);
    let (number, taken) = (run.number, 50);
    let name = terminal.fit(&clean(&run_name(run)), taken);
    writeln!(
        out,
        "{BOLD}{number:>5}{BOLD:#}  {DIM}{began}{DIM:#}  {BAD}{ended:<19}{BAD:#}  {name}"
    )
}
