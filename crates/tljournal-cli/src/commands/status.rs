use std::io::{self, Write};

use serde_json::{Value, json};
use tljournal::{Error, Status, TxnFilter, TxnId, TxnRecord};

use super::views::{state_style, txn_json};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BAD, BOLD, DIM, GOOD, WARN};
use crate::session::Session;
use crate::text::{clean, count};
use crate::time;

/// How many transactions of one kind are listed.
const NAMED_MAX: usize = 5;

const EXAMPLE: &str = r#"Examples:
  tljournal status
  tljournal status --short     for a prompt: PS1='$(tljournal status -s) \$ '
"#;

/// Show the state of the journal
///
/// The latest transaction, running processes, and what is unfinished or stuck. Changes nothing; works on a read-only
/// copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_STATUS))]
pub(crate) struct Args {
    /// Print one short word for a prompt: the number of the latest transaction, and problems
    #[arg(short, long)]
    short: bool,
}

struct Seen {
    home: String,
    at_home: bool,
    status: Status,
    latest: Option<TxnRecord>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = match session.inspect() {
        // A prompt is shown in every directory.
        Err(Failure::Usage(_) | Failure::Journal(Error::Usage(_))) if args.short => {
            return Ok(Exit::Nothing);
        }
        opened => opened?,
    };
    let history = inspection.history();
    let seen = Seen {
        home: session.home_if_found().unwrap_or_default().into_string(),
        at_home: inspection.is_at_home(),
        status: history.status()?,
        latest: history.transactions(&TxnFilter::latest(1))?.pop(),
    };
    session.output.result(
        || as_json(&seen),
        |out| match args.short {
            true => print_short(out, &seen.status),
            false => print(out, &seen),
        },
    )?;
    Ok(match seen.status.stuck.is_empty() {
        true => Exit::Done,
        false => Exit::Damaged,
    })
}

/// `42`, or `42 +1 ?2 !3`: one staging, two unfinished, three stuck.
fn print_short(out: &mut dyn Write, status: &Status) -> io::Result<()> {
    write!(out, "{}", status.latest)?;
    let marks = [
        ('+', &status.staging, DIM),
        ('?', &status.unfinished, WARN),
        ('!', &status.stuck, BAD),
    ];
    for (mark, txns, style) in marks.iter().filter(|(_, txns, _)| !txns.is_empty()) {
        write!(out, " {style}{mark}{}{style:#}", txns.len())?;
    }
    writeln!(out)
}

fn print(out: &mut dyn Write, seen: &Seen) -> io::Result<()> {
    let status = &seen.status;
    let copied = match seen.at_home {
        true => "",
        false => " (a copy: it was written elsewhere)",
    };
    writeln!(
        out,
        "journal    {BOLD}{}{BOLD:#}{copied}",
        clean(&seen.home)
    )?;
    match &seen.latest {
        None => writeln!(out, "latest     no transaction yet")?,
        Some(txn) => {
            let style = state_style(txn.state);
            let when = time::short(txn.ended_at.unwrap_or(txn.began_at));
            writeln!(
                out,
                "latest     txn {}  {style}{}{style:#}  {DIM}{when}{DIM:#}  {}",
                txn.number,
                txn.state.as_str(),
                clean(&txn.label)
            )?;
        }
    }
    writeln!(out, "runs       {} open", status.open_runs)?;
    ids(
        out,
        "staging",
        &status.staging,
        "running, or left by a killed run",
    )?;
    ids(
        out,
        "unfinished",
        &status.unfinished,
        "being applied, or left by a killed run: `tljournal recover` finishes it",
    )?;
    ids(out, "stuck", &status.stuck, "`tljournal show` explains it")?;
    if status.unsettled_trees > 0 {
        let trees = count(status.unsettled_trees as usize, "tree");
        writeln!(
            out,
            "unsettled  {WARN}{trees}{WARN:#}; `tljournal recover` syncs them"
        )?;
    }
    for promise in weaker_promises(status) {
        writeln!(out, "weaker     {WARN}{promise}{WARN:#}")?;
    }
    match status.unfinished.is_empty() && status.stuck.is_empty() {
        true => writeln!(
            out,
            "{GOOD}no unfinished transactions{GOOD:#}; `tljournal fsck` checks the files"
        ),
        false => writeln!(out, "{BAD}there are unfinished transactions{BAD:#}"),
    }
}

/// What the filesystem of the home does not support, and the consequences.
fn weaker_promises(status: &Status) -> Vec<&'static str> {
    let exchanges =
        "a replaced path is missing for an instant, for readers without the shared lock";
    let birth_times = "directories are identified by their inode numbers alone";
    let promises = [
        (status.exchanges, exchanges),
        (status.birth_times, birth_times),
    ];
    let weaker = promises.into_iter().filter(|(kept, _)| !kept);
    weaker.map(|(_, promise)| promise).collect()
}

fn ids(out: &mut dyn Write, word: &str, ids: &[TxnId], what: &str) -> io::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{word:<10} {WARN}{}{WARN:#}: {what}",
        count(ids.len(), "transaction")
    )?;
    for id in ids.iter().take(NAMED_MAX) {
        writeln!(out, "           {id}")?;
    }
    match ids.len().saturating_sub(NAMED_MAX) {
        0 => Ok(()),
        more => writeln!(out, "           and {more} more"),
    }
}

fn as_json(seen: &Seen) -> Value {
    let ids = |ids: &[TxnId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let status = &seen.status;
    json!({
        "command": "status",
        "home": seen.home,
        "at_home": seen.at_home,
        "latest": seen.latest.as_ref().map(txn_json),
        "open_runs": status.open_runs,
        "staging": ids(&status.staging),
        "unfinished": ids(&status.unfinished),
        "stuck": ids(&status.stuck),
        "unsettled_trees": status.unsettled_trees,
        "weaker_promises": weaker_promises(status),
    })
}
