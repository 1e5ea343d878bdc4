use std::collections::BTreeSet;

use crate::catalog::TxnRow;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::txn_path;
use crate::model::{Change, Op, RunId, Spot, TxnId, TxnState};

/// What is known of a transaction that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Evidence {
    /// What its row says; `None` if it has none.
    pub(super) state: Option<TxnState>,
    /// Whether its run lives and its directory is locked.
    pub(super) owner_lives: bool,
    /// Whether everything it changes lies within this opener's root and territory.
    pub(super) within_reach: bool,
    /// Whether it has a directory.
    pub(super) directory: bool,
}

/// A transaction that was found, with its row.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) id: TxnId,
    pub(super) row: Option<TxnRow>,
    pub(super) evidence: Evidence,
}

/// Everything that may have been left behind: what has a directory, and what is not finished.
pub(super) fn candidates(engine: &Engine) -> Result<Vec<Candidate>, Error> {
    // The directories first: a transaction that begins afterwards is not of interest.
    let mut directories: BTreeSet<_> = engine.home.staged_ids()?.into_iter().collect();
    // What could not be cleared away costs nothing.
    directories.retain(|id| !engine.home.leftovers.is_tried(&txn_path(*id)));
    // What is kept is meant to be there.
    for (_, kept) in engine.look(|catalog| catalog.kept_txns())? {
        directories.remove(&kept);
    }
    let open = engine.look(|catalog| {
        let mut rows = catalog.unfinished()?;
        rows.extend(catalog.staging()?);
        Ok(rows)
    })?;
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
        found.push(candidate(engine, row.id, Some(row), directory)?);
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
        // A row is written before its directory is made, so this is nobody's who lives. One that cannot be
        // locked is noted when it is to be removed.
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

/// A transaction lives while its run does, and it has not let go of its directory. Only a run that
/// lives can still be between the row and the lock of a new directory.
fn owner_lives(engine: &Engine, run: RunId, id: TxnId, state: TxnState) -> Result<bool, Error> {
    let run_lives = engine.runs.is_alive(run)?;
    match state {
        TxnState::Staging => Ok(run_lives),
        // One that cannot be locked, such as another user's, may be at work.
        _ => Ok(run_lives && !matches!(directory_is_free(engine, id), Ok(true))),
    }
}

fn directory_is_free(engine: &Engine, id: TxnId) -> Result<bool, Error> {
    match engine.home.txns.stat(id.to_string())? {
        None => Ok(true),
        Some(_) => Ok(engine.home.claim_staging(id)?.is_some()),
    }
}

/// Whether what a row says is staged beside its target lies on the way to it.
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

/// Whether this opener may make a change: also the parents of what it may make itself.
fn is_within_reach(engine: &Engine, change: &Change) -> bool {
    engine.home.may_touch(&change.place)
        || change.op == Op::Parent && engine.home.is_above_territory(&change.place)
}
