use std::io::{self, Write};

use serde_json::{Value, json};
use tljournal::{
    ChangeRecord, EventFilter, EventRecord, Image, Kind, Op, RunRecord, TxnFilter, TxnRecord,
    TxnState,
};

use super::views::{image_json, mode, state_style, the_txn, txn_json, word};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BOLD, DIM, WARN};
use crate::session::Session;
use crate::text::{bytes, clean};
use crate::time;

/// The largest number of events shown for a transaction.
const EVENTS_MAX: u32 = 1000;

const AFTER: &str = "\
Examples:
  tljournal show 12        when it staged, waited and applied, its run, its changes
  tljournal show 0198f2a0 --json
";

/// Show a transaction with its changes and events
///
/// Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_SHOW))]
pub(crate) struct Args {
    /// Its number, its id, or the beginning of its id, at least four digits
    #[arg(value_name = "TXN")]
    name: String,
}

struct Found {
    txn: TxnRecord,
    /// The numbers of the transactions that undid it.
    undone_by: Vec<i64>,
    /// With paths as the user knows them.
    changes: Vec<(String, ChangeRecord)>,
    events: Vec<EventRecord>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = session.inspect()?;
    let history = inspection.history();
    let txn = the_txn(&history, &args.name)?;
    let changes = history.changes(txn.number)?;
    let mut events = history.events(&EventFilter {
        txn: Some(txn.number),
        limit: Some(EVENTS_MAX),
        ..EventFilter::default()
    })?;
    events.reverse();
    let mut undoing = TxnFilter::latest(EVENTS_MAX);
    undoing.undoes = Some(txn.number);
    undoing.states = vec![TxnState::Applied];
    let undone_by = history.transactions(&undoing)?;
    let changes = changes
        .into_iter()
        .map(|change| (session.shown(&change.path, change.in_home), change))
        .collect();
    let found = Found {
        undone_by: undone_by.iter().map(|txn| txn.number).collect(),
        txn,
        changes,
        events,
    };
    session
        .output
        .result(|| as_json(&found), |out| print(out, &found))?;
    Ok(Exit::Done)
}

fn print(out: &mut dyn Write, found: &Found) -> io::Result<()> {
    let txn = &found.txn;
    let style = state_style(txn.state);
    let state = txn.state.as_str();
    writeln!(
        out,
        "{BOLD}txn {}{BOLD:#}  {style}{state}{style:#}  {DIM}{}{DIM:#}",
        txn.number, txn.id
    )?;
    writeln!(out, "label     {}", clean(&txn.label))?;
    print_run(out, &txn.run)?;
    print_times(out, txn)?;
    if let Some(undone) = txn.undoes {
        writeln!(out, "undoes    txn {undone}")?;
    }
    for undoing in &found.undone_by {
        writeln!(out, "undone    by txn {undoing}")?;
    }
    match txn.kept {
        Some(kept) if txn.state == TxnState::Aborted => {
            writeln!(out, "kept      {} of what it had staged", bytes(kept))?;
        }
        Some(kept) => writeln!(
            out,
            "kept      {} of what it replaced; `tljournal undo {}` brings it back",
            bytes(kept),
            txn.number
        )?,
        None => {}
    }
    if let Some(reason) = &txn.reason {
        writeln!(out, "{WARN}reason{WARN:#}    {}", clean(reason))?;
    }
    print_changes(out, &found.changes)?;
    if !found.events.is_empty() {
        writeln!(out, "events")?;
    }
    for event in &found.events {
        let path = event
            .path
            .as_deref()
            .map(|path| format!("`{}`: ", clean(path)));
        writeln!(
            out,
            "  {DIM}{}{DIM:#}  {}  {}{}",
            time::short(event.at),
            clean(event.kind.as_str()),
            path.unwrap_or_default(),
            clean(&event.detail)
        )?;
    }
    Ok(())
}

fn print_run(out: &mut dyn Write, run: &RunRecord) -> io::Result<()> {
    let outcome = match (&run.outcome, run.ended_at) {
        (Some(outcome), _) => clean(outcome),
        (None, Some(_)) => "ended".to_owned(),
        (None, None) => "has no recorded end".to_owned(),
    };
    let label = run
        .label
        .as_deref()
        .map(|label| format!("  {}", clean(label)));
    writeln!(
        out,
        "run       {}{}  {DIM}process {} on {}{DIM:#}  {outcome}",
        run.number,
        label.unwrap_or_default(),
        run.pid,
        clean(&run.host)
    )?;
    writeln!(out, "          {DIM}{}{DIM:#}", clean(&run.argv))
}

/// The times of staging, waiting for the commit lock, and applying.
fn print_times(out: &mut dyn Write, txn: &TxnRecord) -> io::Result<()> {
    let ago = time::ago(txn.began_at, time::now());
    let began = time::exact(txn.began_at);
    writeln!(out, "began     {began}  {DIM}{ago}{DIM:#}")?;
    let steps = [
        ("staging", Some(txn.began_at), txn.staged_at),
        ("waiting", txn.staged_at, txn.locked_at),
        ("applying", txn.locked_at, txn.ended_at),
    ];
    for (step, from, to) in steps {
        if let (Some(from), Some(to)) = (from, to) {
            writeln!(out, "{step:<8}  {}", time::took(from, to))?;
        }
    }
    if let Some(ended) = txn.ended_at {
        writeln!(out, "ended     {}", time::exact(ended))?;
    }
    Ok(())
}

fn print_changes(out: &mut dyn Write, changes: &[(String, ChangeRecord)]) -> io::Result<()> {
    if !changes.is_empty() {
        writeln!(out, "changes")?;
    }
    for (path, change) in changes {
        let target = change
            .target
            .as_deref()
            .map(|target| format!(" -> {}", clean(target)));
        let drift = match change.drift {
            true => format!("  {WARN}the previous content was not the journal's own{WARN:#}"),
            false => String::new(),
        };
        writeln!(
            out,
            "  {:<7} {}{}  {DIM}{}{DIM:#}{drift}",
            word(change.op),
            clean(path),
            target.unwrap_or_default(),
            outline(change),
        )?;
        if let Some(digest) = change.digest {
            writeln!(out, "          {DIM}{digest}{DIM:#}")?;
        }
    }
    Ok(())
}

fn outline(change: &ChangeRecord) -> String {
    let image = |image: &Image| match image.kind {
        Kind::File => format!("{}, mode {}", bytes(image.size), mode(image.mode)),
        Kind::Dir => format!("directory, mode {}", mode(image.mode)),
        other => other.as_str().to_owned(),
    };
    match (&change.before, &change.after) {
        _ if change.op == Op::Parent => "directory".to_owned(),
        (None, Some(after)) => format!("new: {}", image(after)),
        (Some(before), Some(after)) if image(before) == image(after) => image(after),
        (Some(before), Some(after)) => format!("{}, was {}", image(after), image(before)),
        (Some(before), None) => format!("was {}", image(before)),
        (None, None) => "nothing was there".to_owned(),
    }
}

fn as_json(found: &Found) -> Value {
    let changes: Vec<_> = found
        .changes
        .iter()
        .map(|(path, change)| {
            json!({
                "op": change.op.as_str(),
                "path": path,
                "before": change.before.as_ref().map(image_json),
                "after": change.after.as_ref().map(image_json),
                "digest": change.digest.map(|digest| digest.to_string()),
                "target": change.target,
                "drift": change.drift,
            })
        })
        .collect();
    let events: Vec<_> = found
        .events
        .iter()
        .map(|event| {
            json!({
                "at": time::exact(event.at),
                "kind": event.kind.as_str(),
                "path": event.path,
                "detail": event.detail,
            })
        })
        .collect();
    json!({
        "command": "show",
        "txn": txn_json(&found.txn),
        "undone_by": found.undone_by,
        "changes": changes,
        "events": events,
    })
}
