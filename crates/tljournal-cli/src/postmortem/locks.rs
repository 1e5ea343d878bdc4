//! Lock holders and waiters.

use tljournal::{EventKind, EventRecord, Timestamp};

use super::report::{HoldStory, RunStory, WaitStory};

/// The recorded name of the commit lock.
const COMMIT: &str = "lock/commit";

/// Whether an event is about a lock: then it is shown as a wait or a hold.
pub(super) fn is_of_lock(event: &EventRecord) -> bool {
    matches!(
        event.kind,
        EventKind::Waiting
            | EventKind::Waited
            | EventKind::GaveUp
            | EventKind::Holds
            | EventKind::Released
    )
}

/// The waits and holds from the events of one run, in order.
pub(super) fn of(events: &[EventRecord]) -> (Vec<WaitStory>, Vec<HoldStory>) {
    let (mut waits, mut holds): (Vec<WaitStory>, Vec<HoldStory>) = Default::default();
    for event in events {
        let what = event.path.clone().unwrap_or_default();
        match &event.kind {
            EventKind::Waiting => waits.push(WaitStory {
                what,
                from: event.at,
                until: None,
                gave_up: false,
                holder: Some(event.detail.clone()),
                holders: Vec::new(),
            }),
            EventKind::Waited | EventKind::GaveUp => {
                let open = |wait: &&mut WaitStory| wait.what == what && wait.until.is_none();
                if let Some(wait) = waits.iter_mut().rev().find(open) {
                    wait.until = Some(event.at);
                    wait.gave_up = event.kind == EventKind::GaveUp;
                }
            }
            EventKind::Holds => holds.push(HoldStory {
                what,
                detail: event.detail.clone(),
                from: event.at,
                until: None,
                waiters: Vec::new(),
            }),
            EventKind::Released => {
                let open = |hold: &&mut HoldStory| hold.what == what && hold.until.is_none();
                if let Some(hold) = holds.iter_mut().find(open) {
                    hold.until = Some(event.at);
                }
            }
            _ => {}
        }
    }
    (waits, holds)
}

/// Finds the runs that held what a run waited for, and those that waited for what it held.
pub(super) fn connect(run: &mut RunStory, others: &[RunStory]) {
    let end = run.ended_at();
    for wait in &mut run.waits {
        let holders = others
            .iter()
            .filter(|other| held(other, &wait.what, wait.from));
        wait.holders = holders.map(|other| other.run.number).collect();
    }
    for hold in &mut run.holds {
        let until = hold.until.or(end);
        let waits = |other: &&RunStory| {
            let mut waits = other.waits.iter().filter(|wait| wait.what == hold.what);
            waits.any(|wait| {
                let over = wait.until.or(other.ended_at());
                overlap((wait.from, over), (hold.from, until))
            })
        };
        hold.waiters = others
            .iter()
            .filter(waits)
            .map(|other| other.run.number)
            .collect();
    }
}

/// Whether a run held something at a time.
fn held(run: &RunStory, what: &str, at: Timestamp) -> bool {
    let moment = (at, Some(at));
    if what == COMMIT {
        return run.txns.iter().any(|story| {
            let until = story.txn.ended_at.or(run.ended_at());
            story
                .txn
                .locked_at
                .is_some_and(|locked| overlap((locked, until), moment))
        });
    }
    // A run that populates a tree is recognized by its transaction.
    let populates = format!("populate {what}");
    let mut txns = run.txns.iter().filter(|story| story.txn.label == populates);
    let end = run.ended_at();
    if txns.any(|story| overlap((story.txn.began_at, story.txn.ended_at.or(end)), moment)) {
        return true;
    }
    let mut holds = run.holds.iter().filter(|hold| hold.what == what);
    holds.any(|hold| overlap((hold.from, hold.until.or(end)), moment))
}

/// Whether two spans overlap; one without an end continues.
fn overlap(one: (Timestamp, Option<Timestamp>), other: (Timestamp, Option<Timestamp>)) -> bool {
    let before = |end: Option<Timestamp>, begin| end.is_some_and(|end| end < begin);
    !before(one.1, other.0) && !before(other.1, one.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_overlap_if_they_have_a_moment_in_common() {
        let at = |secs| Timestamp::new(secs, 0);
        let span = |from, until: Option<i64>| (at(from), until.map(at));
        for (one, other, expected) in [
            (span(1, Some(3)), span(3, Some(4)), true),
            (span(1, Some(3)), span(4, Some(5)), false),
            (span(1, None), span(9, Some(9)), true),
            (span(9, None), span(1, Some(8)), false),
            (span(1, None), span(2, None), true),
        ] {
            assert_eq!(overlap(one, other), expected, "{one:?} {other:?}");
            assert_eq!(overlap(other, one), expected, "{other:?} {one:?}");
        }
    }
}
