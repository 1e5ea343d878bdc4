//! What runs did.

use tljournal::{
    EventFilter, EventKind, EventRecord, Inspection, Op, RunFilter, RunRecord, Timestamp,
    TxnFilter, TxnRecord,
};

use super::locks;
use super::report::{RunStory, TxnStory};
use crate::commands::views::word;
use crate::ending::End;
use crate::failure::Failure;
use crate::session::Session;

/// The number of transactions shown for a run.
const TXNS_MAX: u32 = 50;
/// The number of events read for a run.
const EVENTS_MAX: u32 = 1000;
/// The number of changed paths shown for a transaction.
const PATHS_MAX: usize = 20;
/// The number of runs without an end that are read.
const OPEN_MAX: u32 = 100;

/// The latest run that failed or was killed.
pub(crate) fn latest_that_went_wrong(
    inspection: &Inspection,
) -> Result<Option<RunRecord>, Failure> {
    Ok(that_went_wrong(inspection, 1)?.into_iter().next())
}

/// The latest such runs, latest first.
pub(crate) fn that_went_wrong(
    inspection: &Inspection,
    limit: u32,
) -> Result<Vec<RunRecord>, Failure> {
    let history = inspection.history();
    let mut failed = RunFilter::default();
    (failed.failed, failed.limit) = (true, Some(limit));
    let mut found = history.runs(&failed)?;
    let mut open = RunFilter::default();
    (open.open, open.limit) = (true, Some(OPEN_MAX));
    for run in history.runs(&open)? {
        if End::seen_from(inspection, &run)?.is_bad() {
            found.push(run);
        }
    }
    found.sort_by_key(|run| -run.number);
    found.truncate(limit as usize);
    Ok(found)
}

/// A run with what it did; with changed paths if they are shown.
pub(super) fn story(
    inspection: &Inspection,
    run: RunRecord,
    shown_by: Option<&Session>,
) -> Result<RunStory, Failure> {
    let history = inspection.history();
    let mut filter = TxnFilter::latest(TXNS_MAX);
    filter.run = Some(run.number);
    let mut records = history.transactions(&filter)?;
    records.reverse();
    let more_txns = records.len() == TXNS_MAX as usize
        && history.count_transactions(run.number)? > u64::from(TXNS_MAX);
    let txns = records
        .into_iter()
        .map(|txn| txn_story(inspection, txn, shown_by));
    let txns = txns.collect::<Result<Vec<_>, Failure>>()?;
    let mut about = EventFilter::default();
    (about.run, about.limit) = (Some(run.number), Some(EVENTS_MAX));
    let mut events = history.events(&about)?;
    events.reverse();
    let end = End::seen_from(inspection, &run)?;
    let last_seen = last_seen(inspection, &run, &txns, &events)?;
    let (waits, holds) = locks::of(&events);
    events.retain(|event| !locks::is_of_lock(event));
    Ok(RunStory {
        end,
        last_seen,
        txns,
        more_txns,
        waits,
        holds,
        events,
        run,
    })
}

fn txn_story(
    inspection: &Inspection,
    txn: TxnRecord,
    shown_by: Option<&Session>,
) -> Result<TxnStory, Failure> {
    let (mut changes, mut changes_count) = (Vec::new(), 0);
    if let Some(session) = shown_by {
        let all = inspection.history().changes(txn.number)?;
        let own = all
            .iter()
            .filter(|change| !matches!(change.op, Op::Parent | Op::Dir | Op::Part));
        let own: Vec<_> = own.collect();
        changes_count = own.len();
        let told = own.into_iter().take(PATHS_MAX).map(|change| {
            (
                word(change.op).to_owned(),
                session.shown(&change.path, change.in_home),
            )
        });
        changes = told.collect();
    }
    Ok(TxnStory {
        txn,
        changes,
        changes_count,
    })
}

/// The last activity of a run, from its own records.
fn last_seen(
    inspection: &Inspection,
    run: &RunRecord,
    txns: &[TxnStory],
    events: &[EventRecord],
) -> Result<Timestamp, Failure> {
    let mut seen = vec![run.started_at];
    for TxnStory { txn, .. } in txns {
        // The end may have been recorded by another process, much later.
        seen.extend(
            [
                Some(txn.began_at),
                txn.staged_at,
                txn.locked_at,
                txn.committed_at,
            ]
            .into_iter()
            .flatten(),
        );
    }
    let own = events.iter().filter(|event| locks::is_of_lock(event));
    seen.extend(own.map(|event| match event.kind == EventKind::Waiting {
        // It was recorded after waiting this long.
        true => Timestamp::new(event.at.secs() + 1, event.at.nanos()),
        false => event.at,
    }));
    for end in inspection.log_ends(run.id, 0)? {
        // In a copy it may be the time of copying.
        let found = run.ended_at.is_none_or(|ended| end.written_at <= ended);
        seen.extend((found && end.written_at >= run.started_at).then_some(end.written_at));
    }
    Ok(seen.into_iter().max().unwrap_or(run.started_at))
}
