use std::sync::Arc;

use super::look::{self, Evidence};
use super::plan::decide;
use super::report::{Because, Undo, UndoAction, UndoOptions, UndoStep};
use super::source;
use crate::catalog::TxnRecord;
use crate::engine::Engine;
use crate::error::{Conflict, ConflictKind, Error, UsageError};
use crate::journal::History;
use crate::look::Look;
use crate::model::{Expect, Kind, RelPath, TxnState, Version};
use crate::recovery;
use crate::txn::{OnPinned, Payload, Transaction, TreeOptions};

/// A plan, with the observations it is based on.
struct Planned {
    undo: Undo,
    undoes: Option<i64>,
    evidence: Vec<Evidence>,
}

/// The plan for undoing a transaction.
pub(crate) fn plan_undo(
    history: &History<'_>,
    txn: &TxnRecord,
    options: &UndoOptions,
) -> Result<Undo, Error> {
    Ok(planned_undo(history, txn, options)?.undo)
}

/// The plan for restoring a path to its state right after a transaction.
pub(crate) fn plan_restore(
    history: &History<'_>,
    path: RelPath,
    txn: &TxnRecord,
    options: &UndoOptions,
) -> Result<Undo, Error> {
    Ok(planned_restore(history, path, txn, options)?.undo)
}

/// Undoes a transaction.
pub(crate) fn undo(
    engine: &Arc<Engine>,
    txn: &TxnRecord,
    options: &UndoOptions,
) -> Result<Undo, Error> {
    let _acting = engine.home.act_as_owner();
    settle(engine)?;
    let planned = planned_undo(&History::of(engine), txn, options)?;
    carry_out(engine, planned, options)
}

/// Restores a path to its state right after a transaction.
pub(crate) fn restore(
    engine: &Arc<Engine>,
    path: RelPath,
    txn: &TxnRecord,
    options: &UndoOptions,
) -> Result<Undo, Error> {
    let _acting = engine.home.act_as_owner();
    settle(engine)?;
    let planned = planned_restore(&History::of(engine), path, txn, options)?;
    carry_out(engine, planned, options)
}

fn planned_undo(
    history: &History<'_>,
    txn: &TxnRecord,
    options: &UndoOptions,
) -> Result<Planned, Error> {
    refuse_unless_applied(txn)?;
    let label = format!("undo {}: {}", txn.number, txn.label);
    let evidence = look::of_txn(history, txn.number)?;
    plan(&history.look, (label, Some(txn.number)), evidence, options)
}

fn planned_restore(
    history: &History<'_>,
    path: RelPath,
    txn: &TxnRecord,
    options: &UndoOptions,
) -> Result<Planned, Error> {
    refuse_unless_applied(txn)?;
    let label = format!("restore {path} as of {}", txn.number);
    let evidence = vec![look::of_path(history, path, txn.number)?];
    plan(&history.look, (label, None), evidence, options)
}

fn plan(
    look: &Look<'_>,
    (label, undoes): (String, Option<i64>),
    evidence: Vec<Evidence>,
    options: &UndoOptions,
) -> Result<Planned, Error> {
    let steps = evidence.iter().map(|one| step(look, one, options));
    let undo = Undo {
        label,
        steps: steps.collect::<Result<_, _>>()?,
        txn: None,
    };
    Ok(Planned {
        undo,
        undoes,
        evidence,
    })
}

fn refuse_unless_applied(txn: &TxnRecord) -> Result<(), Error> {
    if txn.state == TxnState::Applied {
        return Ok(());
    }
    let (txn, state) = (txn.number, txn.state);
    Err(UsageError::NotApplied { txn, state }.into())
}

/// What a rebuildable tree replaced is marked as retained only once that tree is on the medium.
fn settle(engine: &Engine) -> Result<(), Error> {
    if engine.look(|catalog| catalog.unsettled())?.is_empty() {
        return Ok(());
    }
    recovery::settle_trees(engine)?;
    recovery::sweep(engine)
}

fn carry_out(engine: &Arc<Engine>, planned: Planned, options: &UndoOptions) -> Result<Undo, Error> {
    let Planned {
        mut undo,
        undoes,
        mut evidence,
    } = planned;
    if undo.is_refused() || !undo.changes_anything() {
        return Ok(undo);
    }
    let mut txn = Transaction::new(engine.clone(), &undo.label);
    txn.undoes = undoes;
    for (one, step) in evidence.iter().zip(&undo.steps) {
        match step.action {
            UndoAction::Restore => put_back(engine, &mut txn, one, options)?,
            UndoAction::Remove => {
                txn.remove_with(&one.path, Expect::Any, options.on_pinned)?;
            }
            UndoAction::Keep | UndoAction::Refuse => {}
        }
    }
    txn.guard(move |engine| still_holds(engine, &mut evidence));
    undo.txn = txn.prepare()?.commit()?.txn();
    Ok(undo)
}

fn step(look: &Look<'_>, evidence: &Evidence, options: &UndoOptions) -> Result<UndoStep, Error> {
    let (mut action, reason) = decide(&evidence.facts, options.force);
    let mut because = reason
        .map(|reason| evidence.because(look, reason))
        .transpose()?;
    let acts = matches!(action, UndoAction::Restore | UndoAction::Remove);
    if acts
        && options.on_pinned == OnPinned::Fail
        && let Some(holder) = evidence.pinned_by(look)?
    {
        (action, because) = (UndoAction::Refuse, Some(Because::Pinned { holder }));
    }
    let kept = evidence.kept.as_ref();
    let kept_by = match kept.filter(|_| action == UndoAction::Restore) {
        Some(kept) => look
            .ask(|catalog| catalog.txn(kept.txn))?
            .map(|row| row.row),
        None => None,
    };
    Ok(UndoStep {
        path: evidence.path.to_string(),
        action,
        because,
        wanted: evidence.wanted.clone(),
        kept_by,
    })
}

/// Stages old content, and checks that its digest is the recorded one.
fn put_back(
    engine: &Engine,
    txn: &mut Transaction,
    evidence: &Evidence,
    options: &UndoOptions,
) -> Result<(), Error> {
    let path = &evidence.path;
    match (&evidence.wanted, &evidence.kept) {
        (
            Some(Version {
                kind: Kind::Link,
                target: Some(target),
                ..
            }),
            _,
        ) => {
            return txn.link(path, target, Expect::Any);
        }
        (
            Some(
                wanted @ Version {
                    kind: Kind::Dir, ..
                },
            ),
            Some(kept),
        ) => {
            let manifest = match &wanted.digest {
                Some(digest) => engine.look(|catalog| catalog.manifest(digest))?,
                None => None,
            };
            let tree = TreeOptions {
                on_pinned: options.on_pinned,
                ..TreeOptions::default()
            };
            let modes = engine.home.recorded_modes();
            let source = source::tree(kept, manifest.as_ref(), modes)?;
            txn.tree(path, source, tree)?;
        }
        (Some(wanted), Some(kept)) => {
            let content = kept.open()?;
            let mode = engine.home.recorded_modes().of(wanted.mode, &kept.stat);
            let payload = Payload::opened(content, mode, wanted.mtime)?;
            let payload = payload.like(kept.stat, kept.attributes()?);
            txn.put(path, payload, Expect::Any)?;
        }
        _ => return Ok(()),
    }
    let recorded = evidence.wanted.as_ref().and_then(|wanted| wanted.digest);
    match recorded.is_none() || txn.digest_of(path) == recorded {
        true => Ok(()),
        false => Err(Conflict::at(path, ConflictKind::KeptDamaged).into()),
    }
}

/// Checks, under the commit lock, that the plan is still valid.
fn still_holds(engine: &Engine, evidence: &mut [Evidence]) -> Result<(), Error> {
    let look = Look::of(engine);
    for one in evidence {
        let planned = one.facts;
        one.look_again(&look)?;
        if one.facts != planned {
            return Err(Conflict::at(&one.path, ConflictKind::Edited).into());
        }
    }
    Ok(())
}
