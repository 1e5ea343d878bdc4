use std::io::{self, Write};

use serde_json::{Value, json};
use tljournal::{
    Because, Error, History, Journal, OnPinned, TxnRecord, Undo, UndoAction, UndoOptions, UndoStep,
};

use super::views::{the_txn, version, version_json};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BAD, BOLD, DIM, GOOD, WARN};
use crate::session::Session;
use crate::terminal::width;
use crate::text::clean;

const AFTER: &str = "\
Examples:
  tljournal undo 12 --dry-run    what would be restored and removed
  tljournal undo 12              as one transaction, which can itself be undone
  tljournal undo 12 --force      even if later changes are lost; they are retained in turn
";

/// Undo a transaction
///
/// Restores what it replaced or removed from retained content, with modes and times, and removes what it created. All
/// or nothing: it is refused if later changes would be lost, or if the content is no longer available. Directories
/// that were created on the way stay.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_UNDO))]
pub(crate) struct Args {
    /// Its number, its id, or the beginning of its id, at least four digits
    #[arg(value_name = "TXN")]
    name: String,
    #[command(flatten)]
    how: How,
}

/// The options of an undo or restore.
#[derive(Debug, clap::Args)]
pub(crate) struct How {
    /// Only show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do it even if later changes are lost, and report them
    #[arg(long)]
    force: bool,
    /// What to do about pinned trees: exchange, wait or fail
    #[arg(long, value_name = "WHAT", default_value = "exchange", value_parser = ["exchange", "wait", "fail"])]
    on_pinned: String,
}

impl How {
    /// Plans or executes an undo or restore, and prints it.
    pub(super) fn run(
        &self,
        session: &Session,
        command: &str,
        txn: &str,
        plan: impl FnOnce(&History<'_>, &TxnRecord, &UndoOptions) -> Result<Undo, Error>,
        act: impl FnOnce(&Journal, &TxnRecord, &UndoOptions) -> Result<Undo, Error>,
    ) -> Result<Exit, Failure> {
        if self.dry_run {
            let journal = session.plan()?;
            let txn = the_txn(&journal.history(), txn)?;
            let would = plan(&journal.history(), &txn, &self.options())?;
            return tell(session, (&would, None), (command, &txn), self);
        }
        let journal = session.work()?;
        let txn = the_txn(&journal.history(), txn)?;
        let undone = act(&journal, &txn, &self.options());
        let made = made(&journal, &undone);
        session.close(journal);
        tell(session, (&undone?, made?), (command, &txn), self)
    }

    fn options(&self) -> UndoOptions {
        UndoOptions {
            force: self.force,
            on_pinned: match self.on_pinned.as_str() {
                "wait" => OnPinned::Wait,
                "fail" => OnPinned::Fail,
                _ => OnPinned::Exchange,
            },
        }
    }
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    args.how.run(
        session,
        "undo",
        &args.name,
        |history, txn, options| history.plan_undo(txn, options),
        |journal, txn, options| journal.undo(txn, options),
    )
}

/// The transaction that was made, if there is one.
fn made(journal: &Journal, undone: &Result<Undo, Error>) -> Result<Option<TxnRecord>, Failure> {
    let id = undone.as_ref().ok().and_then(|undo| undo.txn);
    let made = id.map(|id| journal.history().transaction(&id.to_string()));
    Ok(made.transpose()?.flatten())
}

/// Prints what was done, or would be.
fn tell(
    session: &Session,
    (undo, made): (&Undo, Option<TxnRecord>),
    (command, of): (&str, &TxnRecord),
    how: &How,
) -> Result<Exit, Failure> {
    let json = || {
        json!({
            "command": command,
            "undoes": (command == "undo").then_some(of.number),
            "label": undo.label,
            "dry_run": how.dry_run,
            "refused": undo.is_refused(),
            "changed": undo.txn.is_some(),
            "txn": made.as_ref().map(|txn| json!({"number": txn.number, "id": txn.id.to_string()})),
            "steps": undo.steps.iter().map(step_json).collect::<Vec<_>>(),
        })
    };
    session.output.result(json, |out| print(out, undo, how))?;
    if undo.is_refused() {
        let refused = undo
            .steps
            .iter()
            .filter(|step| step.action == UndoAction::Refuse);
        let can_force = refused
            .clone()
            .all(|step| matches!(step.because, Some(Because::Later { .. } | Because::Edited)));
        let paths: Vec<_> = refused.map(|step| format!("`{}`", step.path)).collect();
        let forcing =
            "--force does it nevertheless; the current content is then retained, except for keys";
        return Err(Failure::Refused {
            what: format!("nothing was changed, because of {}", paths.join(", ")),
            hint: can_force.then_some(forcing),
        });
    }
    Ok(Exit::Done)
}

fn print(out: &mut dyn Write, undo: &Undo, how: &How) -> io::Result<()> {
    let label = clean(&undo.label);
    match (&undo.txn, undo.is_refused(), undo.changes_anything()) {
        (Some(txn), ..) => writeln!(out, "{BOLD}{label}{BOLD:#}  {DIM}{txn}{DIM:#}")?,
        (None, true, _) => writeln!(out, "{BAD}refused{BAD:#}: {BOLD}{label}{BOLD:#}")?,
        (None, false, true) if how.dry_run => writeln!(out, "would {BOLD}{label}{BOLD:#}")?,
        (None, false, _) => writeln!(out, "nothing to do: {BOLD}{label}{BOLD:#}")?,
    }
    let paths = undo.steps.iter().map(|step| width(&clean(&step.path)));
    let paths = paths.max().unwrap_or(0);
    for step in &undo.steps {
        let style = match step.action {
            UndoAction::Restore => GOOD,
            UndoAction::Remove => WARN,
            UndoAction::Keep => DIM,
            UndoAction::Refuse => BAD,
        };
        let path = clean(&step.path);
        let pad = paths - width(&path);
        let line = format!(
            "  {style}{:<7}{style:#}  {path}{:pad$}  {}",
            step.action.as_str(),
            "",
            what(step)
        );
        writeln!(out, "{}", line.trim_end())?;
        if let (UndoAction::Restore | UndoAction::Remove, Some(lost)) = (step.action, &step.because)
        {
            writeln!(
                out,
                "           {WARN}lost there{WARN:#}: {}",
                clean(&lost.to_string())
            )?;
        }
    }
    Ok(())
}

/// The restored version and its source, or why it is not restored.
fn what(step: &UndoStep) -> String {
    match (step.action, &step.because) {
        (UndoAction::Keep | UndoAction::Refuse, Some(why)) => clean(&why.to_string()),
        (UndoAction::Restore, _) => {
            let what = step.wanted.as_ref().map(version).unwrap_or_default();
            match step.kept_by {
                Some(txn) => format!("{what}  {DIM}kept by txn {txn}{DIM:#}"),
                None => what,
            }
        }
        _ => String::new(),
    }
}

fn step_json(step: &UndoStep) -> Value {
    let because = step.because.as_ref();
    let later = match because {
        Some(Because::Later { txn, .. }) => Some(*txn),
        _ => None,
    };
    json!({
        "path": step.path,
        "action": step.action.as_str(),
        "because": because.map(ToString::to_string),
        "later_txn": later,
        "wanted": step.wanted.as_ref().map(version_json),
        "kept_by": step.kept_by,
    })
}
