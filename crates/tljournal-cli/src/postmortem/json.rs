use serde_json::{Value, json};
use tljournal::{EventRecord, Timestamp};

use super::report::{HoldStory, Report, RunStory, Tail, TxnStory, WaitStory};
use crate::commands::views::{run_json, txn_json, voucher_json};
use crate::time::exact;

/// The whole report.
pub(crate) fn as_json(report: &Report) -> Value {
    let kept = report.kept.iter().map(|kept| {
        json!({"txn": kept.txn, "path": kept.path, "bytes": kept.bytes, "staged": kept.staged})
    });
    let differences = report.differences.iter().map(|difference| {
        json!({
            "path": difference.path,
            "what": difference.what,
            "by": difference.by.as_ref().map(txn_json),
        })
    });
    let next = report.next.iter();
    let next = next.map(|step| json!({"command": step.command, "why": step.why}));
    json!({
        "command": "postmortem",
        "home": report.home,
        "at_home": report.at_home,
        "made_at": exact(report.made_at),
        "run": story(&report.run),
        "parents": list(&report.parents, story),
        "neighbours": list(&report.neighbours, story),
        "more_neighbours": report.more_neighbours,
        "output": list(&report.output, tail),
        "differences": differences.collect::<Vec<_>>(),
        "more_differences": report.more_differences,
        "tags": list(&report.tags, voucher_json),
        "kept": kept.collect::<Vec<_>>(),
        "untold": report.untold,
        "next": next.collect::<Vec<_>>(),
    })
}

fn list<T>(of: &[T], as_json: impl Fn(&T) -> Value) -> Vec<Value> {
    of.iter().map(as_json).collect()
}

fn story(story: &RunStory) -> Value {
    let mut value = run_json(&story.run);
    value["end"] = story.end.word().into();
    value["last_seen"] = exact(story.last_seen).into();
    value["transactions"] = list(&story.txns, txn).into();
    value["more_transactions"] = story.more_txns.into();
    value["waits"] = list(&story.waits, wait).into();
    value["holds"] = list(&story.holds, hold).into();
    value["events"] = list(&story.events, event).into();
    value
}

fn txn(story: &TxnStory) -> Value {
    let changes = story.changes.iter();
    let changes = changes.map(|(op, path)| json!({"op": op, "path": path}));
    let mut value = txn_json(&story.txn);
    // The run is the subject of this object.
    value["run"] = story.txn.run.number.into();
    value["changes"] = changes.collect();
    value["changes_count"] = story.changes_count.into();
    value
}

fn wait(wait: &WaitStory) -> Value {
    json!({
        "what": wait.what,
        "from": exact(wait.from),
        "until": until(wait.until),
        "gave_up": wait.gave_up,
        "holder": wait.holder,
        "holders": wait.holders,
    })
}

fn hold(hold: &HoldStory) -> Value {
    json!({
        "what": hold.what,
        "detail": hold.detail,
        "from": exact(hold.from),
        "until": until(hold.until),
        "waiters": hold.waiters,
    })
}

fn event(event: &EventRecord) -> Value {
    json!({
        "at": exact(event.at),
        "txn": event.txn,
        "kind": event.kind.as_str(),
        "path": event.path,
        "detail": event.detail,
    })
}

fn tail(tail: &Tail) -> Value {
    json!({"run": tail.run, "path": tail.path, "lines": tail.lines, "cut": tail.cut})
}

fn until(time: Option<Timestamp>) -> Option<String> {
    time.map(exact)
}
