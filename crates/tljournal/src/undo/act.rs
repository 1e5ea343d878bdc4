use std::sync::Arc;

use super::look::{self, Evidence};
use super::plan::decide;
use super::report::{Undo, UndoAction, UndoOptions, UndoStep};
use super::source;
use crate::catalog::TxnRecord;
use crate::engine::Engine;
use crate::error::{Conflict, ConflictKind, Error, UsageError};
use crate::model::{Expect, Kind, RelPath, Version};
use crate::recovery;
use crate::txn::{Payload, Transaction, TreeOptions};

/// Takes back what a transaction did.
pub(crate) fn undo(
    engine: &Arc<Engine>,
    txn: &TxnRecord,
    options: &UndoOptions,
) -> Result<Undo, Error> {
    refuse_unless_applied(txn)?;
    settle(engine, options)?;
    let label = format!("undo {}: {}", txn.number, txn.label);
    let evidence = look::of_txn(engine, txn.number)?;
    carry_out(engine, (label, Some(txn.number)), evidence, options)
}

/// Makes a path what it was right after a transaction.
pub(crate) fn restore(
    engine: &Arc<Engine>,
    path: RelPath,
    txn: &TxnRecord,
    options: &UndoOptions,
) -> Result<Undo, Error> {
    refuse_unless_applied(txn)?;
    settle(engine, options)?;
    let label = format!("restore {path} as of {}", txn.number);
    let evidence = vec![look::of_path(engine, path, txn.number)?];
    carry_out(engine, (label, None), evidence, options)
}

fn refuse_unless_applied(txn: &TxnRecord) -> Result<(), Error> {
    if txn.state == "applied" {
        return Ok(());
    }
    let (txn, state) = (txn.number, txn.state.clone());
    Err(UsageError::NotApplied { txn, state }.into())
}

/// What a rebuildable tree replaced is free, and kept, only once that tree is on the medium.
fn settle(engine: &Engine, options: &UndoOptions) -> Result<(), Error> {
    if options.dry_run || engine.look(|catalog| catalog.unsettled())?.is_empty() {
        return Ok(());
    }
    recovery::settle_trees(engine)?;
    recovery::sweep(engine)
}

fn carry_out(
    engine: &Arc<Engine>,
    (label, undoes): (String, Option<i64>),
    evidence: Vec<Evidence>,
    options: &UndoOptions,
) -> Result<Undo, Error> {
    let mut undo = Undo {
        label,
        steps: Vec::new(),
        txn: None,
    };
    for one in &evidence {
        undo.steps.push(step(engine, one, options)?);
    }
    if options.dry_run || undo.is_refused() || !undo.changes_anything() {
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
    let mut evidence = evidence;
    txn.guard(move |engine| still_holds(engine, &mut evidence));
    undo.txn = txn.prepare()?.commit()?.txn();
    Ok(undo)
}

fn step(engine: &Engine, evidence: &Evidence, options: &UndoOptions) -> Result<UndoStep, Error> {
    let (action, reason) = decide(&evidence.facts, options.force);
    let because = reason.map(|reason| evidence.because(engine, reason));
    let kept = evidence.kept.as_ref();
    let kept_by = match kept.filter(|_| action == UndoAction::Restore) {
        Some(kept) => engine
            .look(|catalog| catalog.txn(kept.txn))?
            .map(|row| row.row),
        None => None,
    };
    Ok(UndoStep {
        path: evidence.path.to_string(),
        action,
        because: because.transpose()?,
        wanted: evidence.wanted.clone(),
        kept_by,
    })
}

/// Stages old content, and makes sure that it is what was recorded.
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
            txn.tree(path, source::tree(kept, manifest.as_ref())?, tree)?;
        }
        (Some(wanted), Some(kept)) => {
            let payload = Payload::file(kept.path());
            let payload = payload.mode(wanted.mode).mtime(wanted.mtime);
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

/// Makes sure, under the commit lock, that what was planned still is what is to be done.
fn still_holds(engine: &Engine, evidence: &mut [Evidence]) -> Result<(), Error> {
    for one in evidence {
        let planned = one.facts;
        one.look_again(engine)?;
        if one.facts != planned {
            return Err(Conflict::at(&one.path, ConflictKind::Edited).into());
        }
    }
    Ok(())
}
