use tljournal::{EventFilter, EventRecord, History, RunFilter, RunRecord, Timestamp, TxnFilter};

use super::{RunLife, Sink};
use crate::failure::Failure;

/// The number of rows per query.
const PAGE: u32 = 256;

/// The selection.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Only this run.
    pub(crate) run: Option<RunRecord>,
    /// Only what ended at this time or later, or has not ended.
    pub(crate) since: Option<Timestamp>,
    /// The current time.
    pub(crate) now: Timestamp,
}

/// The numbers of exported rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) runs: usize,
    pub(crate) txns: usize,
    pub(crate) events: usize,
}

/// Passes the selected rows to a sink.
pub(crate) fn walk(
    history: &History<'_>,
    wanted: &Wanted,
    sink: &mut dyn Sink,
) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    if let Some(run) = &wanted.run {
        one_run(history, wanted, run, sink, &mut counts)?;
        sink.end()?;
        return Ok(counts);
    }
    let mut filter = RunFilter {
        limit: Some(PAGE),
        since: wanted.since,
        ..RunFilter::default()
    };
    loop {
        let runs = history.runs(&filter)?;
        for run in &runs {
            one_run(history, wanted, run, sink, &mut counts)?;
        }
        match runs.last() {
            Some(last) => filter.before = Some(last.number),
            None => break,
        }
    }
    let of_none = |event: &EventRecord| event.run.is_none();
    events(history, wanted, None, &of_none, sink, &mut counts)?;
    sink.end()?;
    Ok(counts)
}

fn one_run(
    history: &History<'_>,
    wanted: &Wanted,
    run: &RunRecord,
    sink: &mut dyn Sink,
    counts: &mut Counts,
) -> Result<(), Failure> {
    counts.runs += 1;
    sink.run(&life(history, run, wanted.now)?)?;
    events(history, wanted, Some(run.number), &|_| true, sink, counts)?;
    let mut filter = TxnFilter {
        limit: Some(PAGE),
        run: Some(run.number),
        since: wanted.since,
        ..TxnFilter::default()
    };
    loop {
        let txns = history.transactions(&filter)?;
        for txn in &txns {
            counts.txns += 1;
            sink.txn(txn, &history.changes(txn.number)?)?;
        }
        match txns.last() {
            Some(last) => filter.before = Some(last.number),
            None => return Ok(()),
        }
    }
}

fn events(
    history: &History<'_>,
    wanted: &Wanted,
    run: Option<i64>,
    is_wanted: &dyn Fn(&EventRecord) -> bool,
    sink: &mut dyn Sink,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let mut filter = EventFilter {
        limit: Some(PAGE),
        run,
        since: wanted.since,
        ..EventFilter::default()
    };
    loop {
        let events = history.events(&filter)?;
        for event in events.iter().filter(|event| is_wanted(event)) {
            counts.events += 1;
            sink.event(event)?;
        }
        match events.last() {
            Some(last) => filter.before = Some(last.number),
            None => return Ok(()),
        }
    }
}

fn life(history: &History<'_>, run: &RunRecord, now: Timestamp) -> Result<RunLife, Failure> {
    let alive = run.ended_at.is_none() && history.is_alive(run.id)?;
    let until = match run.ended_at {
        Some(at) => at,
        None if alive => now,
        None => last_sign(history, run)?,
    };
    Ok(RunLife {
        run: run.clone(),
        until: until.max(run.started_at),
        alive,
    })
}

/// The last activity of a run without a recorded end.
fn last_sign(history: &History<'_>, run: &RunRecord) -> Result<Timestamp, Failure> {
    let latest = history.transactions(&TxnFilter {
        limit: Some(1),
        run: Some(run.number),
        ..TxnFilter::default()
    })?;
    let times = latest.iter().flat_map(|txn| {
        let times = [txn.ended_at, txn.committed_at, txn.locked_at, txn.staged_at];
        times.into_iter().flatten().chain([txn.began_at])
    });
    Ok(times.fold(run.started_at, Timestamp::max))
}
