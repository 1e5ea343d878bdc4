use camino::Utf8PathBuf;
use serde_json::json;

use super::views::the_run;

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::outfile;
use crate::output::GOOD;
use crate::page::{self, Past, Subject, Wanted};
use crate::session::Session;
use crate::text::{bytes, clean};
use crate::time;

/// The largest number of transactions on one page.
const TXNS_MAX: u32 = 10_000;

const AFTER: &str = "\
Examples:
  tljournal report --html report.html
  tljournal report --html - --run 42 > run-42.html
";

/// Write history as a page for a browser
///
/// One file that needs no network and no script: a timeline with a lane for each run, and tables of runs,
/// transactions with their changes, events and tags. Changes nothing in the journal; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_SHOW_RUN))]
pub(crate) struct Args {
    /// The output file; - is standard output
    #[arg(long, value_name = "FILE")]
    html: Utf8PathBuf,
    /// Only this run and concurrent ones; its number, id, or the beginning of its id
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// At most this many runs, the latest
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5000))]
    runs: u32,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    outfile::refuse_mixed(&args.html, session.output.json)?;
    let inspection = session.inspect()?;
    let history = inspection.history();
    let run = args.run.as_deref().map(|name| the_run(&history, name));
    let run = run.transpose()?;
    let wanted = Wanted {
        runs: args.runs,
        txns: TXNS_MAX,
    };
    let past = Past::read(&inspection, wanted, run.as_ref(), time::now())?;
    let findings = page::findings(&inspection);
    let subject = Subject {
        home: session.home_if_found().unwrap_or_default().into_string(),
        at_home: inspection.is_at_home(),
        run: run.as_ref(),
        shown: &|path, in_home| session.shown(path, in_home),
        findings: findings.as_deref(),
        report: None,
    };
    let size = outfile::write(session, &args.html, |out| page::write(&past, &subject, out))?;
    if args.html != outfile::STDOUT {
        let json = || json!({"command": "report", "file": args.html.as_str(), "bytes": size});
        session.output.result(json, |out| {
            let (file, size) = (clean(args.html.as_str()), bytes(size));
            writeln!(out, "{GOOD}wrote{GOOD:#} {file}  {size}")
        })?;
    }
    Ok(Exit::Done)
}
