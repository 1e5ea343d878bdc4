use std::io::{self, Write};

use serde_json::{Value, json};
use tljournal::{ChangeRecord, EventFilter, EventRecord, Image, Kind, TxnRecord};

use super::views::{image_json, mode, state_style, txn_json};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BOLD, DIM, WARN};
use crate::session::Session;
use crate::text::{bytes, clean};
use crate::time;

/// How many events of one transaction are shown.
const EVENTS_MAX: u32 = 1000;

/// Show a transaction with its changes and events
///
/// Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::OF_SHOW)]
pub(crate) struct Args {
    /// Its number, its id, or the beginning of its id, at least four digits
    #[arg(value_name = "TXN")]
    name: String,
}

struct Found {
    txn: TxnRecord,
    /// With the paths as the user knows them.
    changes: Vec<(String, ChangeRecord)>,
    events: Vec<EventRecord>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = session.inspect()?;
    let history = inspection.history();
    let Some(txn) = history.transaction(&args.name)? else {
        return Err(Failure::Nothing(format!(
            "there is no transaction `{}`; `tljournal log` lists them",
            args.name
        )));
    };
    let changes = history.changes(txn.number)?;
    let mut events = history.events(&EventFilter {
        txn: Some(txn.number),
        limit: Some(EVENTS_MAX),
        ..EventFilter::default()
    })?;
    events.reverse();
    let changes = changes
        .into_iter()
        .map(|change| (session.shown(&change.path, change.in_home), change))
        .collect();
    let found = Found {
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
    let style = state_style(&txn.state);
    let state = clean(&txn.state);
    writeln!(
        out,
        "{BOLD}txn {}{BOLD:#}  {style}{state}{style:#}  {DIM}{}{DIM:#}",
        txn.number, txn.id
    )?;
    writeln!(out, "label  {}", clean(&txn.label))?;
    writeln!(out, "began  {}", time::exact(txn.began_at))?;
    if let Some(ended) = txn.ended_at {
        writeln!(out, "ended  {}", time::exact(ended))?;
    }
    let run = &txn.run;
    let outcome = match (&run.outcome, run.ended_at) {
        (Some(outcome), _) => format!("ended: {}", clean(outcome)),
        (None, Some(_)) => "ended".to_owned(),
        (None, None) => "has not said that it ended".to_owned(),
    };
    writeln!(
        out,
        "run    process {} on {}, {outcome}",
        run.pid,
        clean(&run.host)
    )?;
    writeln!(out, "       {DIM}{}{DIM:#}", clean(&run.argv))?;
    if let Some(reason) = &txn.reason {
        writeln!(out, "{WARN}reason{WARN:#} {}", clean(reason))?;
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
            clean(&event.kind),
            path.unwrap_or_default(),
            clean(&event.detail)
        )?;
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
            true => format!("  {WARN}what was there was not the journal's own{WARN:#}"),
            false => String::new(),
        };
        writeln!(
            out,
            "  {:<7} {}{}  {DIM}{}{DIM:#}{drift}",
            word(&change.op),
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

/// The word that the command line uses for what a change does.
fn word(op: &str) -> &str {
    match op {
        "parent" => "mkdir",
        "tree" => "install",
        "remove" => "rm",
        other => other,
    }
}

fn outline(change: &ChangeRecord) -> String {
    let image = |image: &Image| match image.kind {
        Kind::File => format!("{}, mode {}", bytes(image.size), mode(image.mode)),
        Kind::Dir => format!("directory, mode {}", mode(image.mode)),
        other => other.as_str().to_owned(),
    };
    match (&change.before, &change.after) {
        _ if change.op == "parent" => "directory".to_owned(),
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
                "op": change.op,
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
                "kind": event.kind,
                "path": event.path,
                "detail": event.detail,
            })
        })
        .collect();
    json!({
        "command": "show",
        "txn": txn_json(&found.txn),
        "changes": changes,
        "events": events,
    })
}
