use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::history;
use crate::ambient;
use crate::apply;
use crate::catalog::{KeptRow, Sync};
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::{self, GcLog, Staging, TXN, txn_path};
use crate::lock;
use crate::look::Look;
use crate::model::{Limits, Retention, Timestamp, TxnId};
use crate::recovery;

/// The number of slices of history that the end of a run deletes, so that it does not block other processes for long;
/// later runs continue.
const SLICES: usize = 2;

/// What the retention limits delete, or would delete.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Gc {
    /// The retained content of these transactions, oldest first.
    pub kept: Vec<GcTxn>,
    /// Retained content beyond the limits that is in use.
    pub in_use: Vec<GcTxn>,
    /// The number of transactions deleted from history.
    pub history_txns: u64,
    /// The number of runs deleted from history.
    pub history_runs: u64,
    /// The logs of these runs.
    pub logs: Vec<GcLog>,
    /// Retained content of which something could not be deleted; `fsck` shows how to delete it.
    pub left_behind: Vec<GcTxn>,
    /// The number of transactions that still retain something.
    pub left_txns: u32,
    /// The bytes that they retain.
    pub left_bytes: u64,
}

/// A transaction that retains something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcTxn {
    /// Its number.
    pub number: i64,
    /// Its id, which is the name of the directory.
    pub id: TxnId,
    /// The label that its caller gave it.
    pub label: String,
    /// The bytes retained.
    pub bytes: u64,
}

/// Deletes the oldest retained content, history and logs until the limits hold.
pub(crate) fn collect(engine: &Engine, to: &Retention) -> Result<Gc, Error> {
    let mut done = Gc::default();
    // Content that could not be deleted the last time is marked as retained again, if it is complete.
    recovery::sweep(engine)?;
    thin_kept(engine, &to.kept, &mut done)?;
    history::thin(engine, &to.history, usize::MAX, &mut done)?;
    done.logs = thin_logs(engine, &to.logs)?;
    engine.record_leftovers();
    Ok(done)
}

/// What [`collect`] would delete.
pub(crate) fn plan(look: &Look<'_>, to: &Retention) -> Result<Gc, Error> {
    let mut would = Gc::default();
    let txns = look.own_dir(TXN)?;
    let goes = |row: &KeptRow| {
        let is_free = txns.as_ref().map(|txns| is_free(txns, row.id));
        // A directory that cannot be opened cannot be deleted either.
        Ok(match is_free.unwrap_or(Ok(true)) {
            Ok(true) => Fate::Gone,
            Ok(false) => Fate::InUse,
            Err(_) => Fate::LeftBehind,
        })
    };
    sort_out(look, &to.kept, &mut would, goes)?;
    history::plan(look, &to.history, &mut would)?;
    if let Some(state) = &look.state {
        let number = |run| look.ask(|catalog| catalog.number_of_run(run));
        would.logs = home::surplus_logs(state, &to.logs, number, |run| look.is_alive(run))?;
    }
    Ok(would)
}

/// Records that content was retained, and applies the limits after a large amount: a run may be long.
pub(crate) fn note(engine: &Engine, bytes: u64) -> Result<(), Error> {
    let limits = &engine.retention.kept;
    // A small amount counts at least as one share of the allowed number.
    let share = limits.bytes / u64::from(limits.count.max(1));
    let lately = engine
        .kept_lately
        .fetch_add(bytes.max(share), Ordering::AcqRel);
    if lately < limits.bytes / 2 {
        return Ok(());
    }
    engine.kept_lately.store(0, Ordering::Release);
    let _acting = engine.home.act_as_owner();
    thin_kept(engine, limits, &mut Gc::default())
}

/// Deletes what exceeds the journal's limits. Cheap if nothing does.
pub(crate) fn thin(engine: &Engine) -> Result<(), Error> {
    let _acting = engine.home.act_as_owner();
    let mut done = Gc::default();
    thin_kept(engine, &engine.retention.kept, &mut done)?;
    history::thin(engine, &engine.retention.history, SLICES, &mut done)?;
    if !done.kept.is_empty() || done.history_txns > 0 {
        tracing::debug!(
            kept = done.kept.len(),
            history = done.history_txns,
            "thinned"
        );
    }
    Ok(())
}

fn thin_kept(engine: &Engine, limits: &Limits, done: &mut Gc) -> Result<(), Error> {
    let goes = |row: &KeptRow| delete(engine, row);
    sort_out(&Look::of(engine), limits, done, goes)
}

/// The result for retained content beyond the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is deleted.
    Gone,
    /// A process holds it.
    InUse,
    /// Not all of it could be deleted.
    LeftBehind,
}

/// Sorts all retained content into the report; `goes` handles what exceeds the limits.
fn sort_out(
    look: &Look<'_>,
    limits: &Limits,
    found: &mut Gc,
    goes: impl Fn(&KeptRow) -> Result<Fate, Error>,
) -> Result<(), Error> {
    let rows = look.ask(|catalog| catalog.kept())?;
    let (surplus, stays) = split(rows, limits, ambient::now());
    found.left_txns = stays.len() as u32;
    found.left_bytes = stays.iter().map(|row| row.bytes).sum();
    for row in surplus {
        let goes = goes(&row)?;
        let txn = GcTxn {
            number: row.row,
            id: row.id,
            label: row.label,
            bytes: row.bytes,
        };
        match goes {
            Fate::Gone => found.kept.push(txn),
            Fate::LeftBehind => found.left_behind.push(txn),
            Fate::InUse => {
                found.left_txns += 1;
                found.left_bytes += row.bytes;
                found.in_use.push(txn);
            }
        }
    }
    Ok(())
}

/// Separates what is deleted from what stays: the latest that fits all limits. Both are oldest first by row number,
/// because clocks may be wrong.
fn split(mut rows: Vec<KeptRow>, limits: &Limits, now: Timestamp) -> (Vec<KeptRow>, Vec<KeptRow>) {
    rows.sort_by_key(|row| row.row);
    let ended = rows.iter().map(|row| row.ended_at);
    let ended = at_the_earliest(ended, now);
    let (mut count, mut bytes) = (0, 0_u64);
    let stays = rows.iter().zip(ended).rev().take_while(|(row, ended)| {
        count += 1;
        bytes = bytes.saturating_add(row.bytes);
        count <= limits.count
            && bytes <= limits.bytes
            && (limits.spares_from_age(count) || !is_older(*ended, limits.age, now))
    });
    let at = rows.len() - stays.count();
    let stays = rows.split_off(at);
    (rows, stays)
}

/// The earliest possible time of each of several things, given clock readings that may be wrong: none happened before
/// the one before it, and a time in the future is ignored.
fn at_the_earliest(times: impl Iterator<Item = Timestamp>, now: Timestamp) -> Vec<Timestamp> {
    let mut latest = None;
    let times = times.map(|time| {
        latest = latest.max(Some(time).filter(|time| *time <= now));
        latest.unwrap_or(now)
    });
    times.collect()
}

/// Whether something is older than the limit.
pub(super) fn is_older(time: Timestamp, age: Duration, now: Timestamp) -> bool {
    let age = i128::try_from(age.as_nanos()).unwrap_or(i128::MAX);
    now.as_nanos().saturating_sub(time.as_nanos()) > age
}

/// Deletes the retained content of a transaction, unless a process holds it.
fn delete(engine: &Engine, row: &KeptRow) -> Result<Fate, Error> {
    let (home, name) = (&engine.home, row.id.to_string());
    let left = |fate: Option<Fate>| fate.unwrap_or(Fate::LeftBehind);
    let unmark = || engine.record(Sync::Normal, |catalog| catalog.set_kept(row.row, None));
    let mut marked = None;
    // Renamed before the row is changed, and deleted afterwards, so that partly deleted content is not taken for
    // retained content after an interruption.
    let fate = left(home.leftovers.attempt(
        &txn_path(row.id),
        (&home.txns, name.as_ref()),
        || {
            let Some(staging) = home.claim_staging(row.id)? else {
                let is_gone = home.txns.stat(&name)?.is_none();
                return Ok(if is_gone { Fate::Gone } else { Fate::InUse });
            };
            if lock::is_locked_inside(&staging.dir)? {
                return Ok(Fate::InUse);
            }
            apply::give_up(marked.insert(staging))?;
            Ok(Fate::Gone)
        },
    )?);
    if fate == Fate::InUse {
        return Ok(fate);
    }
    unmark()?;
    let Some(staging) = marked.filter(|_| fate == Fate::Gone) else {
        return Ok(fate);
    };
    let none = BTreeMap::new();
    let remains = apply::discard(engine, row.id, &staging, &[], &none, apply::Keep::Nothing)?;
    Ok(match remains {
        apply::Remains::Nothing => Fate::Gone,
        apply::Remains::Held | apply::Remains::Kept(_) => Fate::LeftBehind,
    })
}

/// Deletes the oldest logs beyond the limits.
pub(crate) fn thin_logs(engine: &Engine, limits: &Limits) -> Result<Vec<GcLog>, Error> {
    let number = |run| engine.look(|catalog| catalog.number_of_run(run));
    let is_alive = |run| engine.runs.is_alive(run);
    engine.home.thin_logs(limits, number, is_alive)
}

/// Whether the retained content of a transaction, if it exists, is not locked by any process.
fn is_free(txns: &Dir, id: TxnId) -> Result<bool, Error> {
    match Staging::claim(txns, id)? {
        Some(staging) => Ok(!lock::is_locked_inside(&staging.dir)?),
        None => Ok(txns.stat(id.to_string())?.is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(row: i64, bytes: u64, secs: i64) -> KeptRow {
        KeptRow {
            row,
            id: ambient::fresh_txn_id(),
            label: String::new(),
            bytes,
            ended_at: Timestamp::new(secs, 0),
        }
    }

    fn left(limits: Limits) -> Vec<i64> {
        let rows = vec![
            row(3, 10, 300),
            row(1, 10, 100),
            row(2, 50, 200),
            row(4, 0, 400),
        ];
        let (gone, stays) = split(rows, &limits, Timestamp::new(500, 0));
        assert_eq!(gone.len() + stays.len(), 4);
        assert!(
            gone.iter()
                .all(|gone| stays.iter().all(|stays| gone.row < stays.row))
        );
        stays.iter().map(|row| row.row).collect()
    }

    #[test]
    fn the_latest_stay_within_every_limit() {
        let most = Limits {
            count: 9,
            bytes: 1000,
            age: Duration::from_secs(1000),
        };
        assert_eq!(left(most), [1, 2, 3, 4]);
        assert_eq!(left(Limits { count: 2, ..most }), [3, 4]);
        // An item that is too large takes the earlier ones with it: history has no gaps.
        assert_eq!(left(Limits { bytes: 40, ..most }), [3, 4]);
        let age = Duration::from_secs(300);
        assert_eq!(left(Limits { age, ..most }), [2, 3, 4]);
        assert_eq!(left(Limits { bytes: 0, ..most }), [4]);
        assert_eq!(left(Limits::NOTHING), [0; 0]);
    }

    /// The clock was ten years ahead or behind while some of it was recorded.
    #[test]
    fn the_latest_is_not_taken_for_the_oldest_when_the_clock_jumps() {
        const DAY: i64 = 24 * 60 * 60;
        let limits = Limits {
            count: 100,
            bytes: 1000,
            age: Duration::from_secs(14 * 24 * 60 * 60),
        };
        let numbers = |(_, stays): (Vec<KeptRow>, Vec<KeptRow>)| {
            let numbers: Vec<_> = stays.iter().map(|row| row.row).collect();
            numbers
        };
        let (now, past) = (Timestamp::new(5000 * DAY, 0), 1000 * DAY);
        for jump in [-4000 * DAY, 4000 * DAY] {
            let rows = |at: fn(i64, i64) -> i64| {
                let rows = (1..=20).map(|n| row(n, 1, at(n, jump)));
                rows.collect::<Vec<_>>()
            };
            // The clock jumps for the last ten, or for those in the middle, and then back.
            let last = rows(|n, jump| 5000 * DAY - 20 + n + if n > 10 { jump } else { 0 });
            assert_eq!(numbers(split(last, &limits, now)).len(), 20, "{jump}");
            let middle = rows(|n, jump| 5000 * DAY - 20 + n + if n % 3 == 0 { jump } else { 0 });
            assert_eq!(numbers(split(middle, &limits, now)).len(), 20, "{jump}");
        }
        // What came before something old is old, regardless of its recorded time.
        let mut rows: Vec<_> = (1..=20).map(|n| row(n, 1, past + n)).collect();
        rows[3].ended_at = Timestamp::new(6000 * DAY, 0);
        let left = numbers(split(rows.clone(), &limits, now));
        assert_eq!(
            left,
            [13, 14, 15, 16, 17, 18, 19, 20],
            "the latest eight stay"
        );
        let short = Limits {
            age: Duration::from_secs(60),
            ..limits
        };
        assert_eq!(numbers(split(rows, &short, now)), [0; 0]);
    }
}
