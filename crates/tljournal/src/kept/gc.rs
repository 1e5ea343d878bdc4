use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::history;
use crate::ambient;
use crate::apply;
use crate::catalog::{KeptRow, Sync};
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::{self, GcLog, Staging, TXN};
use crate::lock;
use crate::look::Look;
use crate::model::{Limits, Retention, Timestamp, TxnId};

/// How many slices of history are forgotten at the end of a run, so that nobody waits long for it: the next ones
/// go on.
const SLICES: usize = 2;

/// What was, or would be, deleted because there is more of it than there may be.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Gc {
    /// The kept content of these transactions, the oldest first.
    pub kept: Vec<GcTxn>,
    /// Kept content that would go too, but somebody holds it.
    pub in_use: Vec<GcTxn>,
    /// How many transactions history does not tell of any more.
    pub history_txns: u64,
    /// How many runs history does not tell of any more.
    pub history_runs: u64,
    /// The logs of these runs.
    pub logs: Vec<GcLog>,
    /// Why something could not be deleted; the rest was.
    pub refused: Option<Arc<Error>>,
    /// Of how many transactions something is kept now.
    pub left_txns: u32,
    /// How many bytes that are.
    pub left_bytes: u64,
}

/// A transaction of which something is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcTxn {
    /// Its number.
    pub number: i64,
    /// Its id, which is the name of the directory.
    pub id: TxnId,
    /// What its caller named it.
    pub label: String,
    /// How much is kept.
    pub bytes: u64,
}

/// Deletes the oldest of what is kept, of history and of logs, so far that the limits hold.
pub(crate) fn collect(engine: &Engine, to: &Retention) -> Result<Gc, Error> {
    let mut done = Gc::default();
    thin_kept(engine, &to.kept, &mut done)?;
    history::thin(engine, &to.history, usize::MAX, &mut done)?;
    let is_alive = |run| engine.runs.is_alive(run);
    done.logs = home::thin_logs(&engine.home.state, &to.logs, is_alive)?;
    Ok(done)
}

/// Says what [`collect`] would delete.
pub(crate) fn plan(look: &Look<'_>, to: &Retention) -> Result<Gc, Error> {
    let mut would = Gc::default();
    let txns = look.own_dir(TXN)?;
    let goes = |row: &KeptRow| match &txns {
        Some(txns) => is_free(txns, row.id),
        None => Ok(true),
    };
    sort_out(look, &to.kept, &mut would, goes)?;
    history::plan(look, &to.history, &mut would)?;
    if let Some(state) = &look.state {
        would.logs = home::surplus_logs(state, &to.logs, |run| look.is_alive(run))?;
    }
    Ok(would)
}

/// Notes that something came to be kept, and thins if that was much: a run may be long.
pub(crate) fn note(engine: &Engine, bytes: u64) -> Result<(), Error> {
    let limits = &engine.retention.kept;
    // Something small counts as its share of how many there may be.
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

/// Deletes what is more than the journal was opened to keep. Cheap when nothing is.
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
    if let Some(error) = &done.refused {
        tracing::warn!(%error, "what is kept is not thinned to its limits");
    }
    Ok(())
}

fn thin_kept(engine: &Engine, limits: &Limits, done: &mut Gc) -> Result<(), Error> {
    let goes = |row: &KeptRow| delete(engine, row);
    sort_out(&Look::of(engine), limits, done, goes)
}

/// Notes of everything that is kept whether it goes, as `goes` says of what is more than there may be. Goes on after
/// what the system refuses.
fn sort_out(
    look: &Look<'_>,
    limits: &Limits,
    found: &mut Gc,
    goes: impl Fn(&KeptRow) -> Result<bool, Error>,
) -> Result<(), Error> {
    let rows = look.ask(|catalog| catalog.kept())?;
    let (surplus, stays) = split(rows, limits, ambient::now());
    found.left_txns = stays.len() as u32;
    found.left_bytes = stays.iter().map(|row| row.bytes).sum();
    for row in surplus {
        let goes = match goes(&row) {
            Err(error @ Error::Disk(_)) => {
                tracing::debug!(txn = %row.id, %error, "what is kept cannot be deleted");
                found.refused.get_or_insert_with(|| Arc::new(error));
                false
            }
            goes => goes?,
        };
        let txn = GcTxn {
            number: row.row,
            id: row.id,
            label: row.label,
            bytes: row.bytes,
        };
        if goes {
            found.kept.push(txn);
        } else {
            found.left_txns += 1;
            found.left_bytes += row.bytes;
            found.in_use.push(txn);
        }
    }
    Ok(())
}

/// Parts what has to go from what may stay: the latest, as long as all limits hold. Both oldest first.
fn split(mut rows: Vec<KeptRow>, limits: &Limits, now: Timestamp) -> (Vec<KeptRow>, Vec<KeptRow>) {
    rows.sort_by_key(|row| row.row);
    let (mut count, mut bytes) = (0, 0_u64);
    let stays = rows.iter().rev().take_while(|row| {
        count += 1;
        bytes = bytes.saturating_add(row.bytes);
        count <= limits.count && bytes <= limits.bytes && !is_older(row.ended_at, limits.age, now)
    });
    let at = rows.len() - stays.count();
    let stays = rows.split_off(at);
    (rows, stays)
}

/// Whether something is older than it may be.
pub(super) fn is_older(time: Timestamp, age: Duration, now: Timestamp) -> bool {
    let age = i128::try_from(age.as_nanos()).unwrap_or(i128::MAX);
    now.as_nanos().saturating_sub(time.as_nanos()) > age
}

/// Deletes what is kept of a transaction; false if somebody holds it.
fn delete(engine: &Engine, row: &KeptRow) -> Result<bool, Error> {
    let unmark = || engine.record(Sync::Normal, |catalog| catalog.set_kept(row.row, None));
    let Some(staging) = engine.home.claim_staging(row.id)? else {
        let is_gone = engine.home.txns.stat(row.id.to_string())?.is_none();
        if is_gone {
            unmark()?;
        }
        return Ok(is_gone);
    };
    if lock::is_locked_inside(&staging.dir)? {
        return Ok(false);
    }
    // Renamed before the row says so, and deleted afterwards: if this is cut short nobody takes half of it
    // for something that is kept, or to be kept.
    apply::give_up(&staging)?;
    unmark()?;
    let none = BTreeMap::new();
    apply::discard(engine, row.id, &staging, &[], &none, apply::Keep::Nothing)?;
    Ok(true)
}

/// Whether nobody holds what is kept of a transaction, if it is there.
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
        // One that is too large takes those before it along: history is not kept in pieces.
        assert_eq!(left(Limits { bytes: 40, ..most }), [3, 4]);
        let age = Duration::from_secs(300);
        assert_eq!(left(Limits { age, ..most }), [2, 3, 4]);
        assert_eq!(left(Limits::NOTHING), [0; 0]);
    }
}
