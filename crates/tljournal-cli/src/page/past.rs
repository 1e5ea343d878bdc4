use std::collections::{HashMap, HashSet};

use tljournal::{
    ChangeRecord, Error, EventFilter, EventRecord, History, RunFilter, RunRecord, Timestamp,
    TxnFilter, TxnRecord, Voucher,
};

use super::words::nanos;

/// How many events are read.
const EVENTS_MAX: u32 = 5_000;
/// How many changes are read in all, and of one transaction.
const CHANGES_MAX: usize = 20_000;
/// What happened so long before and after a run belongs to its story, in seconds.
const AROUND: i64 = 60;

/// Which part of history a page is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// At most so many runs, the latest.
    pub(crate) runs: u32,
    /// At most so many transactions, the latest.
    pub(crate) txns: u32,
}

/// The rows that a page is made of, the earliest first.
#[derive(Debug)]
pub(crate) struct Past {
    pub(super) runs: Vec<RunRecord>,
    pub(super) txns: Vec<TxnRecord>,
    /// By the number of the transaction.
    pub(super) changes: HashMap<i64, Vec<ChangeRecord>>,
    pub(super) events: Vec<EventRecord>,
    /// The numbers of the runs that live.
    pub(super) alive: HashSet<i64>,
    pub(super) vouchers: Vec<Voucher>,
    /// Whether there is more that is not shown.
    pub(super) cut: bool,
    /// When all of this was so.
    pub(super) now: Timestamp,
}

impl Past {
    /// Reads history; what happened around `run` only, if there is one.
    pub(crate) fn read(
        history: &History<'_>,
        wanted: Wanted,
        run: Option<&RunRecord>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let (since, until) = match run {
            Some(run) => around(run),
            None => (None, None),
        };
        let mut runs = history.runs(&RunFilter {
            limit: Some(wanted.runs),
            since,
            until,
            ..RunFilter::default()
        })?;
        let mut txns = history.transactions(&TxnFilter {
            limit: Some(wanted.txns),
            since,
            until,
            ..TxnFilter::default()
        })?;
        let cut = runs.len() == wanted.runs as usize || txns.len() == wanted.txns as usize;
        let shown: HashSet<_> = runs.iter().map(|run| run.number).collect();
        txns.retain(|txn| shown.contains(&txn.run.number));
        runs.sort_by_key(|run| (nanos(run.started_at), run.number));
        txns.sort_by_key(|txn| (nanos(txn.began_at), txn.number));
        let mut alive = HashSet::new();
        for run in runs.iter().filter(|run| run.ended_at.is_none()) {
            if history.is_alive(run.id)? {
                alive.insert(run.number);
            }
        }
        let mut events = history.events(&EventFilter {
            limit: Some(EVENTS_MAX),
            since: runs.first().map(|run| run.started_at),
            until,
            ..EventFilter::default()
        })?;
        events.reverse();
        Ok(Self {
            changes: changes(history, &txns)?,
            vouchers: history.vouchers()?,
            runs,
            txns,
            events,
            alive,
            cut,
            now,
        })
    }

    /// The latest run that did not end well.
    pub(crate) fn latest_failed(&self) -> Option<&RunRecord> {
        let failed = |run: &&RunRecord| {
            let outcome = run.outcome.as_deref();
            outcome.is_some_and(|outcome| !matches!(outcome, "ok" | "exited 0"))
        };
        self.runs.iter().rev().find(failed)
    }
}

/// The time in which a run lived, and a little more.
fn around(run: &RunRecord) -> (Option<Timestamp>, Option<Timestamp>) {
    let moved = |at: Timestamp, by: i64| Timestamp::new(at.secs().saturating_add(by), at.nanos());
    (
        Some(moved(run.started_at, -AROUND)),
        run.ended_at.map(|at| moved(at, AROUND)),
    )
}

/// The changes of the latest transactions, as many as a page can hold.
fn changes(
    history: &History<'_>,
    txns: &[TxnRecord],
) -> Result<HashMap<i64, Vec<ChangeRecord>>, Error> {
    let mut room = CHANGES_MAX;
    let mut found = HashMap::new();
    for txn in txns.iter().rev() {
        if room == 0 {
            break;
        }
        let of_txn = history.changes(txn.number)?;
        room = room.saturating_sub(of_txn.len());
        found.insert(txn.number, of_txn);
    }
    Ok(found)
}
