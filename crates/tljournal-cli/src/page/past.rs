use std::collections::{HashMap, HashSet};

use tljournal::{
    ChangeRecord, Error, EventFilter, EventRecord, History, Inspection, RunFilter, RunRecord,
    Timestamp, TxnFilter, TxnRecord, Voucher,
};

use super::tables::CHANGES_MAX;
use super::words::{TEXT_MAX, nanos};
use crate::ending::End;

/// The largest number of events read.
const EVENTS_MAX: u32 = 1_000;
/// The limit for transactions in bytes, so that the page stays below 5 MB.
const BYTES_MAX: usize = 4_250_000;
/// The size of a transaction and of a change on the page, without texts.
const TXN_BYTES: usize = 250;
const CHANGE_BYTES: usize = 60;
/// The time before and after a run that is shown with it, in seconds.
const AROUND: i64 = 60;

/// The part of history for a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// At most this many runs, the latest.
    pub(crate) runs: u32,
    /// At most this many transactions, the latest.
    pub(crate) txns: u32,
}

/// The first changes of each transaction by its number, and their total number.
type Changes = HashMap<i64, (Vec<ChangeRecord>, usize)>;

/// The rows of a page, earliest first.
#[derive(Debug)]
pub(crate) struct Past {
    pub(super) runs: Vec<RunRecord>,
    pub(super) txns: Vec<TxnRecord>,
    pub(super) changes: Changes,
    pub(super) events: Vec<EventRecord>,
    /// The numbers of the runs that are running.
    pub(super) alive: HashSet<i64>,
    /// Whether it is known that other runs without an end were killed.
    pub(super) tells_who_lives: bool,
    pub(super) vouchers: Vec<Voucher>,
    /// Whether something is omitted.
    pub(super) cut: bool,
    /// The time of reading.
    pub(super) now: Timestamp,
}

impl Past {
    /// Reads history; if `run` is given, only around that run.
    pub(crate) fn read(
        inspection: &Inspection,
        wanted: Wanted,
        run: Option<&RunRecord>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let history = &inspection.history();
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
        runs.sort_by_key(|run| (nanos(run.started_at), run.number));
        let mut txns = history.transactions(&TxnFilter {
            limit: Some(wanted.txns),
            // All transactions of each shown run.
            since: since.and_then(|_| Some(runs.first()?.started_at)),
            until,
            ..TxnFilter::default()
        })?;
        let mut cut = runs.len() == wanted.runs as usize || txns.len() == wanted.txns as usize;
        let shown: HashSet<_> = runs.iter().map(|run| run.number).collect();
        txns.retain(|txn| shown.contains(&txn.run.number));
        txns.sort_by_key(|txn| (nanos(txn.began_at), txn.number));
        let (changes, fitting) = changes(history, &txns)?;
        cut |= fitting < txns.len();
        txns.drain(..txns.len() - fitting);
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
            changes,
            vouchers: history.vouchers()?,
            runs,
            txns,
            events,
            tells_who_lives: inspection.tells_who_lives(),
            alive,
            cut,
            now,
        })
    }

    /// The latest run that failed or was killed.
    pub(crate) fn latest_failed(&self) -> Option<&RunRecord> {
        let went_wrong = |run: &&RunRecord| {
            let end = self.end_of(run);
            end.is_failure() || end == End::FoundDead
        };
        self.runs.iter().rev().find(went_wrong)
    }

    /// The end of a run.
    pub(super) fn end_of(&self, run: &RunRecord) -> End {
        let lives = || self.alive.contains(&run.number);
        End::of(run, self.tells_who_lives.then(lives))
    }
}

/// The time in which a run was running, with a margin.
fn around(run: &RunRecord) -> (Option<Timestamp>, Option<Timestamp>) {
    let moved = |at: Timestamp, by: i64| Timestamp::new(at.secs().saturating_add(by), at.nanos());
    (
        Some(moved(run.started_at, -AROUND)),
        run.ended_at.map(|at| moved(at, AROUND)),
    )
}

/// The changes of the transactions, latest first, while the page has room; and the number of transactions read.
fn changes(history: &History<'_>, txns: &[TxnRecord]) -> Result<(Changes, usize), Error> {
    let mut room = BYTES_MAX;
    let mut found = HashMap::new();
    for txn in txns.iter().rev() {
        let mut changes = history.changes(txn.number)?;
        let count = changes.len();
        changes.truncate(CHANGES_MAX);
        let named = changes
            .iter()
            .map(|change| shown(&change.path) + CHANGE_BYTES);
        let reason = txn.reason.as_deref().map_or(0, shown);
        // The label and the reason occur in the picture too.
        let bytes = TXN_BYTES + 2 * (shown(&txn.label) + reason) + named.sum::<usize>();
        let Some(less) = room.checked_sub(bytes) else {
            break;
        };
        room = less;
        found.insert(txn.number, (changes, count));
    }
    let fitting = found.len();
    Ok((found, fitting))
}

/// The approximate length of a text in HTML, where special characters are longer.
fn shown(text: &str) -> usize {
    let length = |c: char| match c {
        '<' | '>' | '&' | '"' | '\'' => 5,
        c if c.is_control() => 6,
        c => c.len_utf8(),
    };
    text.chars().take(TEXT_MAX).map(length).sum()
}
