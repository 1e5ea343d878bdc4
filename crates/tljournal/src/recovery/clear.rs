//! Clears what is over: after a transaction has ended nothing that goes wrong is an error of a command.

use std::collections::BTreeMap;

use super::decide::{Fate, decide};
use super::look::{Candidate, candidates, changes_within_reach};
use super::report::Recovery;
use crate::apply::{self, Keep, Remains};
use crate::catalog::TxnRow;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::txn_path;
use crate::model::{TxnId, TxnState};

/// Clears the directories of finished transactions that nobody holds any more.
pub(crate) fn sweep(engine: &Engine) -> Result<(), Error> {
    let _acting = engine.home.act_as_owner();
    let mut report = Recovery::default();
    for candidate in candidates(engine)? {
        if decide(&candidate.evidence) == Fate::Sweep {
            sweep_one(engine, &candidate, &mut report)?;
        }
    }
    engine.record_leftovers();
    Ok(())
}

/// Clears the directory of one finished transaction, unless it is needed still.
pub(super) fn sweep_one(
    engine: &Engine,
    candidate: &Candidate,
    report: &mut Recovery,
) -> Result<(), Error> {
    let Some(row) = engine.look(|catalog| catalog.txn(candidate.id))? else {
        return Ok(());
    };
    let ended = matches!(row.state, TxnState::Applied | TxnState::Aborted);
    if !ended || engine.look(|catalog| catalog.is_unsettled(row.row))? {
        return Ok(());
    }
    let keep = match row.state {
        TxnState::Applied => Keep::Replaced,
        _ => Keep::Nothing,
    };
    if clear(engine, &row, keep)? {
        report.swept += 1;
    }
    Ok(())
}

/// Deletes what a transaction left at its spots, if nobody holds it and it is not kept. Says whether it is
/// all gone.
pub(super) fn clear(engine: &Engine, row: &TxnRow, keep: Keep) -> Result<bool, Error> {
    let remains = attempt(engine, row.id, || {
        let Some(staging) = engine.home.claim_staging(row.id)? else {
            return Ok(Remains::Held);
        };
        // Looked up under its lock: whoever had it before may have come to keep what is there.
        if engine.look(|catalog| catalog.is_kept(row.row))? {
            return Ok(Remains::Held);
        }
        // What lies beyond this opener's reach is for another one to clear.
        let Some(changes) = changes_within_reach(engine, row)? else {
            return Ok(Remains::Held);
        };
        let (ids, none) = ((row.row, row.id), BTreeMap::new());
        apply::clear(engine, ids, &staging, &changes, &none, keep)
    })?;
    Ok(remains == Some(Remains::Nothing))
}

/// Deletes a directory that no row accounts for.
pub(super) fn remove_orphan(
    engine: &Engine,
    id: TxnId,
    report: &mut Recovery,
) -> Result<(), Error> {
    let remains = attempt(engine, id, || {
        // Looked up again under the lock: a row that is there now accounts for it.
        let Some(staging) = engine.home.claim_staging(id)? else {
            return Ok(Remains::Held);
        };
        if engine.look(|catalog| catalog.txn(id))?.is_some() {
            return Ok(Remains::Held);
        }
        let none = BTreeMap::new();
        apply::discard(engine, id, &staging, &[], &none, Keep::Nothing)
    })?;
    report.rolled_back += u32::from(remains == Some(Remains::Nothing));
    Ok(())
}

fn attempt<T>(
    engine: &Engine,
    id: TxnId,
    clear: impl FnOnce() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let (home, name) = (&engine.home, id.to_string());
    home.leftovers
        .attempt(&txn_path(id), (&home.txns, name.as_ref()), clear)
}
