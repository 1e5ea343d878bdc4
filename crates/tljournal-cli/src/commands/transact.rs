//! One transaction from begin to the printed receipt, for every command that changes something.

use serde_json::json;
use tljournal::{Journal, RelPath, Transaction};

use crate::args::ChangeArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{BOLD, DIM};
use crate::session::Session;
use crate::text::clean;

/// The label of a transaction and its intended changes, for the receipt.
pub(super) struct Plan {
    pub(super) command: &'static str,
    pub(super) label: String,
    pub(super) exit_code: bool,
    /// Verb and path of every change, in the requested order.
    pub(super) changes: Vec<(&'static str, RelPath)>,
}

impl Plan {
    /// A plan with the caller's label, or else a description of the changes.
    pub(super) fn new(
        command: &'static str,
        args: ChangeArgs,
        label: impl FnOnce() -> String,
        changes: Vec<(&'static str, RelPath)>,
    ) -> Self {
        Self {
            command,
            label: args.label.unwrap_or_else(label),
            exit_code: args.exit_code,
            changes,
        }
    }
}

/// The committed changes.
struct Done {
    changed: Vec<bool>,
    /// Number and id, if a transaction was needed.
    txn: Option<(Option<i64>, String)>,
}

/// Opens the journal, fills a transaction, commits it and prints the receipt.
pub(super) fn transact(
    session: &Session,
    plan: &Plan,
    fill: impl FnOnce(&mut Transaction) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let journal = session.work()?;
    let done = commit(&journal, plan, fill)?;
    session.close(journal);
    print(session, plan, &done)?;
    let nothing = done.changed.iter().all(|changed| !changed);
    Ok(match nothing && plan.exit_code {
        true => Exit::Nothing,
        false => Exit::Done,
    })
}

fn commit(
    journal: &Journal,
    plan: &Plan,
    fill: impl FnOnce(&mut Transaction) -> Result<(), Failure>,
) -> Result<Done, Failure> {
    let mut txn = journal.begin(&plan.label);
    fill(&mut txn)?;
    let receipt = txn.prepare()?.commit()?;
    let paths = plan.changes.iter();
    let changed = paths
        .map(|(_, path)| receipt.changed(path.as_str()))
        .collect();
    let txn = receipt.txn().map(|id| {
        let id = id.to_string();
        // Only the number for display: a receipt works without it.
        let record = journal.history().transaction(&id).ok().flatten();
        (record.map(|record| record.number), id)
    });
    Ok(Done { changed, txn })
}

fn print(session: &Session, plan: &Plan, done: &Done) -> Result<(), Failure> {
    let each = || plan.changes.iter().zip(&done.changed);
    let json = || {
        let changes: Vec<_> = each()
            .map(|((verb, path), changed)| json!({"op": verb, "path": path.as_str(), "changed": changed}))
            .collect();
        json!({
            "command": plan.command,
            "changed": done.changed.contains(&true),
            "txn": done.txn.as_ref().map(|(number, id)| json!({"number": number, "id": id})),
            "changes": changes,
        })
    };
    session.output.result(json, |out| {
        let txn = match &done.txn {
            Some((Some(number), _)) => format!(" {DIM}(txn {number}){DIM:#}"),
            Some((None, id)) => format!(" {DIM}(txn {id}){DIM:#}"),
            None => String::new(),
        };
        for ((verb, path), changed) in each() {
            let path = clean(path.as_str());
            match changed {
                true => writeln!(out, "{BOLD}{verb}{BOLD:#} {path}{txn}")?,
                false => writeln!(out, "unchanged {path}")?,
            }
        }
        Ok(())
    })
}
