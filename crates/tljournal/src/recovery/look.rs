use std::collections::BTreeSet;

use crate::catalog::{RecoveryRows, TxnRow};
use crate::engine::Engine;
use crate::error::Error;
use crate::home::txn_path;
use crate::model::{Change, Op, RunId, Spot, TxnId, TxnState};

/// The facts about a transaction that decide its fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The state in its row; `None` if it has no row.
    pub(super) state: Option<TxnState>,
    /// Whether its run is running and its directory is locked.
    pub(super) owner_lives: bool,
    /// Whether all its changes lie within this opener's root and territory.
    pub(super) within_reach: bool,
    /// Whether it has a directory.
    pub(super) directory: bool,
}

/// A transaction with its row.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) id: TxnId,
    pub(super) row: Option<TxnRow>,
    pub(super) evidence: Evidence,
}

/// All transactions that may need recovery: those with a directory and those that are unfinished. The directories were
/// listed before the rows were read, so that transactions that begin afterwards are not included.
pub(super) fn candidates(
    engine: &Engine,
    directories: &[TxnId],
    rows: &RecoveryRows,
) -> Result<Vec<Candidate>, Error> {
    let mut directories: BTreeSet<_> = directories.iter().copied().collect();
    // A directory that could not be deleted is not tried again.
    directories.retain(|id| !engine.home.leftovers.is_tried(&txn_path(*id)));
    // The directories of retained content stay.
    for (_, kept) in &rows.kept {
        directories.remove(kept);
    }
    let open = &rows.open;
    let mut found = Vec::new();
    for id in directories
        .iter()
        .filter(|id| open.iter().all(|row| row.id != **id))
    {
        let row = engine.look(|catalog| catalog.txn(*id))?;
        found.push(candidate(engine, *id, row, true)?);
    }
    for row in open {
        let directory = directories.contains(&row.id);
        found.push(candidate(engine, row.id, Some(row.clone()), directory)?);
    }
    Ok(found)
}

fn candidate(
    engine: &Engine,
    id: TxnId,
    row: Option<TxnRow>,
    directory: bool,
) -> Result<Candidate, Error> {
    let within_reach = match &row {
        Some(row) if row.state.is_unfinished() => changes_within_reach(engine, row)?.is_some(),
        _ => true,
    };
    let owner_lives = match &row {
        Some(row) => owner_lives(engine, row.run, id, row.state)?,
        // The row is written before its directory is created, so no running transaction has this directory. One that
        // cannot be locked is recorded when it is to be removed.
        None => matches!(directory_is_free(engine, id), Ok(false)),
    };
    let state = row.as_ref().map(|row| row.state);
    let evidence = Evidence {
        state,
        owner_lives,
        within_reach,
        directory,
    };
    Ok(Candidate { id, row, evidence })
}

/// The owner is running if its run is and its directory is locked. Only a running run can be between writing the row
/// and locking a new directory.
fn owner_lives(engine: &Engine, run: RunId, id: TxnId, state: TxnState) -> Result<bool, Error> {
    let run_lives = engine.runs.is_alive(run)?;
    match state {
        TxnState::Staging => Ok(run_lives),
        // A directory that cannot be opened, such as another user's, may be in use.
        _ => Ok(run_lives && !matches!(directory_is_free(engine, id), Ok(true))),
    }
}

fn directory_is_free(engine: &Engine, id: TxnId) -> Result<bool, Error> {
    match engine.home.txns.stat(id.to_string())? {
        None => Ok(true),
        Some(_) => Ok(engine.home.claim_staging(id)?.is_some()),
    }
}

/// Whether the recorded staging slot next to the target is in a directory on the way to the target.
fn spot_is_near(change: &Change) -> bool {
    match &change.spot {
        Spot::Home | Spot::Beside(None) => true,
        Spot::Beside(Some(dir)) => change.place.path.below(dir).is_some(),
    }
}

/// The changes of a transaction, if all of them lie within this opener's root and territory.
pub(super) fn changes_within_reach(
    engine: &Engine,
    row: &TxnRow,
) -> Result<Option<Vec<Change>>, Error> {
    let changes = engine.look(|catalog| catalog.changes(row.row))?;
    Ok(changes.filter(|changes| {
        changes
            .iter()
            .all(|change| is_within_reach(engine, change) && spot_is_near(change))
    }))
}

/// Whether this opener may make a change, including the parent directories of its own changes.
fn is_within_reach(engine: &Engine, change: &Change) -> bool {
    engine.home.may_touch(&change.place)
        || change.op == Op::Parent && engine.home.is_above_territory(&change.place)
}
