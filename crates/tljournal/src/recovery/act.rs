use std::collections::BTreeSet;

use super::clear::{clear, remove_orphan, sweep_one};
use super::decide::{Fate, decide};
use super::look::{Candidate, candidates, changes_within_reach};
use super::report::Recovery;
use super::settle;
use crate::apply::{Committed, Ending, Keep, Known};
use crate::catalog::{OpenRun, RecoveryRows, Sync};
use crate::engine::Engine;
use crate::error::{Conflict, ConflictKind, Damage, Error};
use crate::lock::Mode;
use crate::model::{EventKind, Place, TxnId, TxnState};

/// Finishes or rolls back the transactions of runs that have ended. Takes the commit lock only if a transaction is
/// past its commit point.
pub(crate) fn recover(engine: &Engine) -> Result<Recovery, Error> {
    // The directories first: a transaction that begins afterwards is ignored.
    let directories = engine.home.staged_ids()?;
    let rows = engine.look(|catalog| catalog.recovery_rows())?;
    recover_from(engine, directories, &rows)
}

/// The same, with the directories of transactions, and the rows that were read after them.
pub(crate) fn recover_from(
    engine: &Engine,
    directories: Vec<TxnId>,
    rows: &RecoveryRows,
) -> Result<Recovery, Error> {
    let _acting = engine.home.act_as_owner();
    let span = tracing::info_span!("recover", home = %engine.home.dir.path());
    let _in_span = span.enter();
    let mut report = Recovery::default();
    let found = candidates(engine, &directories, rows)?;
    let past_commit = |candidate: &Candidate| {
        matches!(decide(&candidate.evidence), Fate::Finish | Fate::TakeBack)
    };
    if found.iter().any(past_commit) {
        let _lock = engine.commit_lock(Mode::Exclusive, "recovery", None)?;
        finish_into(engine, &mut report)?;
    }
    for candidate in &found {
        match decide(&candidate.evidence) {
            Fate::RollBack => roll_back(engine, candidate, &mut report)?,
            Fate::Sweep | Fate::Finish | Fate::TakeBack => {
                sweep_one(engine, candidate, &mut report)?;
            }
            Fate::RemoveOrphan => remove_orphan(engine, candidate.id, &mut report)?,
            Fate::Leave => {}
        }
    }
    mark_dead_runs(engine, &rows.runs, &mut report)?;
    forget_lost_kept(engine, &directories, &rows.kept, &mut report)?;
    if !rows.unsettled.is_empty() {
        settle::check_after_reboot(engine, &mut report)?;
    }
    engine.record_leftovers();
    if !report.is_empty() {
        tracing::info!(?report, "recovered");
        let detail = format!("{report:?}");
        let run = engine.run_row();
        engine.record(Sync::Normal, |catalog| {
            catalog.put_event((run, None), &EventKind::Recovered, None, &detail)
        })?;
    }
    Ok(report)
}

/// Finishes every transaction past its commit point. The caller holds the commit lock, so none of them is being
/// applied, whether its run is running or not.
pub(crate) fn finish_unfinished(engine: &Engine) -> Result<(), Error> {
    let _acting = engine.home.act_as_owner();
    finish_into(engine, &mut Recovery::default())
}

fn finish_into(engine: &Engine, report: &mut Recovery) -> Result<(), Error> {
    for row in engine.look(|catalog| catalog.unfinished())? {
        if !row.state.is_unfinished() {
            continue;
        }
        let Some(changes) = changes_within_reach(engine, &row)? else {
            continue;
        };
        let work = Committed {
            row: row.row,
            id: row.id,
            changes: &changes,
        };
        tracing::info!(txn = %row.id, label = row.label, state = row.state.as_str(), "finishing");
        let torn = match row.state {
            TxnState::Committed => settle::is_torn(engine, (row.row, row.id), &changes),
            _ => Ok(false),
        };
        let ended = torn.and_then(|torn| match row.state {
            TxnState::Committed if torn => {
                work.give_up(engine, "a power cut tore a tree that it was to install")
            }
            TxnState::Committed => work.finish(engine, &Known::default()),
            _ => work.take_back(engine).map(|()| match changes.first() {
                Some(change) => Ending::TakenBack(change.place.clone()),
                None => Ending::Applied,
            }),
        });
        match ended {
            Ok(Ending::Applied) => report.finished += 1,
            Ok(Ending::TakenBack(_)) => report.taken_back += 1,
            // All its files are kept and the state is reported; other transactions continue.
            Err(Error::Damaged(Damage::Stuck { .. })) => report.stuck += 1,
            // The transaction stays unfinished, and a transaction that overlaps it is refused.
            Err(error @ (Error::Disk(_) | Error::Conflict(_) | Error::Source(_))) => {
                tracing::warn!(txn = %row.id, %error, "cannot finish a transaction now");
                report.stuck += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Refuses places that are changed by a stuck transaction, or by an unfinished one outside this opener's reach.
pub(crate) fn refuse_stuck(engine: &Engine, places: &[&Place]) -> Result<(), Error> {
    for row in engine.look(|catalog| catalog.unfinished())? {
        let changed = engine.look(|catalog| catalog.places(row.row))?;
        let hit = places
            .iter()
            .find(|place| changed.iter().any(|changed| changed.overlaps(place)));
        if let Some(place) = hit {
            let kind = ConflictKind::Stuck { txn: row.id };
            return Err(Conflict::at(engine.home.shown(place), kind).into());
        }
    }
    Ok(())
}

fn roll_back(engine: &Engine, candidate: &Candidate, report: &mut Recovery) -> Result<(), Error> {
    let Some(row) = &candidate.row else {
        return Ok(());
    };
    // The row is changed first, so that an owner that was wrongly considered dead could not commit.
    let moved = engine.record(Sync::Normal, |catalog| {
        let reason = Some("its run ended before it was committed");
        catalog.move_txn(row.row, TxnState::Staging, TxnState::Aborted, reason)
    })?;
    if moved {
        report.rolled_back += 1;
        clear(engine, row, Keep::Staged)?;
    }
    Ok(())
}

/// Clears the mark of retained content whose directory is missing: the change of the row is not synced when retained
/// content is deleted, so a power cut may undo it.
fn forget_lost_kept(
    engine: &Engine,
    directories: &[TxnId],
    kept: &[(i64, TxnId)],
    report: &mut Recovery,
) -> Result<(), Error> {
    if kept.iter().all(|(_, id)| directories.contains(id)) {
        return Ok(());
    }
    // A row is never marked before its directory exists, a directory is never created again, and its row is unmarked
    // before it is deleted.
    let there: BTreeSet<_> = engine.home.staged_ids()?.into_iter().collect();
    for (row, id) in kept.iter().filter(|(_, id)| !there.contains(id)) {
        if engine.look(|catalog| catalog.is_kept(*row))? {
            tracing::info!(txn = %id, "the retained content of a transaction is missing");
            engine.record(Sync::Normal, |catalog| catalog.set_kept(*row, None))?;
            report.kept_gone += 1;
        }
    }
    Ok(())
}

fn mark_dead_runs(engine: &Engine, open: &[OpenRun], report: &mut Recovery) -> Result<(), Error> {
    let mut dead = Vec::new();
    for run in open {
        if !engine.runs.is_alive(run.id)? {
            tracing::info!(run = %run.id, pid = run.pid, "a run ended without reporting its end");
            dead.push(run.row);
        }
    }
    if dead.is_empty() {
        return Ok(());
    }
    report.dead_runs += dead.len() as u32;
    engine.record(Sync::Normal, |catalog| {
        dead.iter()
            .try_for_each(|row| catalog.end_run(*row, "found dead"))
    })
}
