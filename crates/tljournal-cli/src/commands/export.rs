use std::io::Write;

use camino::Utf8PathBuf;
use clap::ValueEnum;
use serde_json::json;
use tljournal::{ChangeRecord, Timestamp};

use super::log::time_before_now;
use super::views::the_run;
use crate::exit::{self, Exit};
use crate::export::{ChromeTrace, Collector, Counts, JsonLines, Otlp, Wanted, walk, write_line};
use crate::failure::Failure;
use crate::outfile;
use crate::output::{GOOD, WARN};
use crate::safe::Safe;
use crate::session::Session;
use crate::text::{bytes, clean, count};
use crate::time;

const AFTER: &str = "\
Examples:
  tljournal export --format jsonl | jq 'select(.state == \"aborted\")'
  tljournal export --format chrome-trace -o trace.json     open it with https://ui.perfetto.dev
  tljournal export --format otlp --endpoint http://localhost:4318 --since 1d

The latest comes first. Spans have the same ids whenever they are sent; runs that are at work are sent once they
have ended. OTEL_EXPORTER_OTLP_HEADERS=name=value,.. adds headers for the collector.
";

/// Export history for other programs
///
/// Runs, transactions with their changes, and events: as JSON lines, as a trace for Perfetto, or as OpenTelemetry
/// traces, to a file or directly to a collector. Changes nothing in the journal; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_SHOW_RUN))]
pub(crate) struct Args {
    /// The format
    #[arg(long, value_enum)]
    format: Format,
    /// The output file; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = outfile::STDOUT)]
    output: Utf8PathBuf,
    /// Send it to this collector by HTTP instead of writing it (only with --format otlp)
    #[arg(long, value_name = "URL", conflicts_with = "output")]
    endpoint: Option<String>,
    /// Only this run: its number, its id, or the beginning of its id
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only what ended at this time or later: RFC 3339, @secs, or an age such as 90s, 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = time_before_now)]
    since: Option<Timestamp>,
}

/// An export format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object per line
    Jsonl,
    /// JSON for Perfetto and chrome://tracing
    ChromeTrace,
    /// OpenTelemetry traces as lines of OTLP/JSON
    Otlp,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    if args.endpoint.is_some() && args.format != Format::Otlp {
        let text = "only --format otlp can be sent to an --endpoint";
        return Err(Failure::Usage(text.to_owned()));
    }
    let inspection = session.inspect()?;
    let history = inspection.history();
    let run = args.run.as_deref().map(|name| the_run(&history, name));
    let wanted = Wanted {
        run: run.transpose()?,
        since: args.since,
        now: time::now(),
    };
    let shown = |change: &ChangeRecord| session.shown(&change.path, change.in_home);
    let mut at_work = 0;
    let mut counts = Counts::default();
    let mut traces = |send: &mut crate::export::Batches<'_>| {
        let mut otlp = Otlp::new(&history, &shown, send);
        let counts = walk(&history, &wanted, &mut otlp);
        at_work = otlp.at_work;
        counts
    };
    if let Some(endpoint) = &args.endpoint {
        let mut collector = Collector::at(endpoint)?;
        counts = traces(&mut |batch| collector.send(&batch))?;
        tell_sent(session, endpoint, collector.sent, counts)?;
    } else {
        let written = outfile::make(session, &args.output, |out: &mut dyn Write| {
            let mut safe = Safe::json(out);
            let out: &mut dyn Write = &mut safe;
            counts = match args.format {
                Format::Jsonl => walk(&history, &wanted, &mut JsonLines::new(out, &shown)),
                Format::ChromeTrace => walk(&history, &wanted, &mut ChromeTrace::new(out, &shown)?),
                Format::Otlp => traces(&mut |batch| write_line(out, &batch)),
            }?;
            safe.flush()
                .map_err(|error| Failure::io("write the export", error))
        })?;
        tell_written(session, args, written, counts)?;
    }
    if at_work > 0 {
        let text = format!(
            "{} still running: sent once they have ended",
            count(at_work, "run")
        );
        session.output.note(WARN, "left out", &text);
    }
    Ok(Exit::Done)
}

fn tell_sent(session: &Session, url: &str, spans: usize, counts: Counts) -> Result<(), Failure> {
    let (runs, txns) = (counts.runs, counts.txns);
    let json = || json!({"command": "export", "endpoint": url, "spans": spans, "runs": runs, "transactions": txns});
    session.output.result(json, |out| {
        writeln!(
            out,
            "{GOOD}sent{GOOD:#} {}  {}, {}",
            count(spans, "span"),
            count(runs, "run"),
            count(txns, "transaction")
        )
    })
}

fn tell_written(
    session: &Session,
    args: &Args,
    written: u64,
    counts: Counts,
) -> Result<(), Failure> {
    if args.output == outfile::STDOUT {
        return Ok(());
    }
    let Counts { runs, txns, events } = counts;
    let file = args.output.as_str();
    let json = || {
        json!({
            "command": "export", "file": file, "bytes": written, "runs": runs, "transactions": txns, "events": events,
        })
    };
    session.output.result(json, |out| {
        writeln!(
            out,
            "{GOOD}wrote{GOOD:#} {}  {}, {}, {}, {}",
            clean(file),
            bytes(written),
            count(runs, "run"),
            count(txns, "transaction"),
            count(events, "event")
        )
    })
}
