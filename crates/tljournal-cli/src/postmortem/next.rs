//! What to do next.

use tljournal::{EventKind, TxnState};

use super::report::{Report, Step};
use crate::ending::End;
use crate::session::Session;
use crate::text::quoted;

/// The largest number of steps.
const STEPS_MAX: usize = 6;

/// The useful steps, most urgent first.
pub(super) fn steps(session: &Session, report: &Report) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |command: String, why: &str| {
        steps.push(Step {
            command,
            why: why.to_owned(),
        });
    };
    let own = |rest: String| session.own_command(&rest);
    let (story, run) = (&report.run, report.run.run.number);
    let in_state = |states: &[TxnState]| {
        let mut txns = story.txns.iter().map(|story| &story.txn);
        txns.find(|txn| states.contains(&txn.state))
            .map(|txn| txn.number)
    };
    if let Some(txn) = in_state(&[TxnState::Stuck]) {
        add(own(format!("show {txn}")), "why it is stuck");
        add(
            own("fsck".to_owned()),
            "what is damaged, and what can be repaired",
        );
    }
    let left = in_state(&[TxnState::Staging, TxnState::Committed, TxnState::Aborting]).is_some();
    if report.at_home && story.end == End::SeenDead {
        let why = match left {
            true => "finishes its committed transactions, and rolls back the others",
            false => "records that it was killed",
        };
        add(own("recover".to_owned()), why);
    }
    let waits = story
        .waits
        .iter()
        .filter(|wait| wait.until.is_none() || wait.gave_up);
    let holders = waits.flat_map(|wait| &wait.holders);
    if let Some(holder) = holders.min() {
        add(
            own(format!("postmortem {holder}")),
            "who held what it waited for",
        );
    }
    let conflict = story
        .events
        .iter()
        .find(|event| event.kind == EventKind::Conflict);
    if let Some(path) = conflict.and_then(|event| event.path.as_deref()) {
        add(
            own(format!("blame {}", quoted(path))),
            "who wrote there before",
        );
    }
    if let Some(tail) = report.output.iter().find(|tail| tail.cut) {
        add(
            format!("less -R {}", quoted(&tail.path)),
            "all of its output",
        );
    }
    if let Some(difference) = report.differences.first() {
        let path = quoted(&difference.path);
        match &difference.by {
            Some(txn) => add(
                own(format!("show {}", txn.number)),
                "who changed what it left",
            ),
            None => add(
                own(format!("blame {path}")),
                "who wrote what has been changed since",
            ),
        }
    }
    if let Some(kept) = report.kept.iter().find(|kept| kept.staged) {
        add(
            format!("ls -lR {}", quoted(&kept.path)),
            "what it had staged",
        );
    }
    if !story.txns.is_empty() {
        add(own(format!("log --run {run}")), "all its transactions");
    }
    if story.end.is_bad() {
        let file = format!("postmortem-{run}.tar.zst");
        add(
            own(format!("postmortem {run} --bundle {file}")),
            "all of this for a bug report",
        );
    }
    steps.truncate(STEPS_MAX);
    steps
}
