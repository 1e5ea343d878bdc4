//! Cleanup after ended transactions: an error here never fails a command.

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

/// Deletes the directories of finished transactions that no process has locked.
pub(crate) fn sweep(engine: &Engine) -> Result<(), Error> {
    let _acting = engine.home.act_as_owner();
    let mut report = Recovery::default();
    let directories = engine.home.staged_ids()?;
    let rows = engine.look(|catalog| catalog.recovery_rows())?;
    for candidate in candidates(engine, &directories, &rows)? {
        if decide(&candidate.evidence) == Fate::Sweep {
            sweep_one(engine, &candidate, &mut report)?;
        }
    }
    engine.record_leftovers();
    Ok(())
}

/// Deletes the directory of one finished transaction, unless it is still needed.
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

/// Deletes what a transaction left at its staging slots, if no process has locked it and it is not retained. Returns
/// whether everything is gone.
pub(super) fn clear(engine: &Engine, row: &TxnRow, keep: Keep) -> Result<bool, Error> {
    let remains = attempt(engine, row.id, || {
        let Some(staging) = engine.home.claim_staging(row.id)? else {
            return Ok(Remains::Held);
        };
        // Read under the lock: the process that held it before may have retained the content.
        if engine.look(|catalog| catalog.is_kept(row.row))? {
            return Ok(Remains::Held);
        }
        // Places outside this opener's reach are left to another opener.
        let Some(changes) = changes_within_reach(engine, row)? else {
            return Ok(Remains::Held);
        };
        let (ids, none) = ((row.row, row.id), BTreeMap::new());
        apply::clear(engine, ids, &staging, &changes, &none, keep)
    })?;
    Ok(remains == Some(Remains::Nothing))
}

/// Deletes a directory of an unknown transaction.
pub(super) fn remove_orphan(
    engine: &Engine,
    id: TxnId,
    report: &mut Recovery,
) -> Result<(), Error> {
    let remains = attempt(engine, id, || {
        // Read again under the lock: the transaction may have a row now.
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
