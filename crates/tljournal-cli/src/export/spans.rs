//! The spans of transactions and waits.

use tljournal::{EventKind, EventRecord, Timestamp, TxnRecord};

/// A phase of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// The phases of a transaction, within its duration and in order, whatever its row says.
pub(super) fn phases(txn: &TxnRecord, until: Timestamp) -> Vec<Phase> {
    let ends = [
        ("staging", txn.staged_at),
        ("waiting", txn.locked_at),
        ("committing", txn.committed_at),
        ("applying", txn.ended_at),
    ];
    let end = end(txn, until);
    let mut from = txn.began_at;
    let mut phases = Vec::new();
    for (name, to) in ends {
        let Some(to) = to else {
            continue;
        };
        let to = to.clamp(from, end);
        // A transaction that ended without a commit point was rolled back.
        let name = match name {
            "applying" if txn.committed_at.is_none() => "taking back",
            name => name,
        };
        phases.push(Phase { name, from, to });
        from = to;
    }
    phases
}

/// The end of a transaction; for an unfinished one its last known time, or `until` if it is still running.
pub(super) fn end(txn: &TxnRecord, until: Timestamp) -> Timestamp {
    let end = txn.ended_at.unwrap_or(until);
    end.max(txn.began_at)
}

/// The start of a long wait, if the event ends one.
pub(super) fn waited_since(event: &EventRecord) -> Option<Timestamp> {
    let over = matches!(event.kind, EventKind::Waited | EventKind::GaveUp);
    let seconds = event.detail.split(" s ").next().filter(|_| over)?;
    let seconds: f64 = seconds.trim().parse().ok()?;
    let sane = (0.0..1e7).contains(&seconds).then_some(seconds)?;
    let whole = event.at.secs().checked_sub(sane.ceil() as i64)?;
    let rest = ((sane.ceil() - sane) * 1e9) as u32;
    let nanos = event.at.nanos() + rest;
    Some(Timestamp::new(
        whole.checked_add(i64::from(nanos / 1_000_000_000))?,
        nanos % 1_000_000_000,
    ))
}

/// Microseconds since 1970.
pub(super) fn micros(at: Timestamp) -> i64 {
    let micros = at.as_nanos().div_euclid(1_000);
    // Limited to the integers that JSON numbers represent exactly.
    const FAR: i128 = 1 << 53;
    micros.clamp(-FAR, FAR) as i64
}

/// Nanoseconds since 1970, unsigned as in the protocol.
pub(super) fn unsigned_nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanos().max(0)).unwrap_or(u64::MAX)
}
