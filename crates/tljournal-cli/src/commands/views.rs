//! How records are written, for programs and for people.

use anstyle::Style;
use serde_json::{Value, json};
use tljournal::{Image, RunRecord, TxnRecord, Voucher};

use crate::output::{BAD, DIM, GOOD, WARN};
use crate::time;

/// Permission bits as they are typed.
pub(super) fn mode(bits: u32) -> String {
    format!("{bits:04o}")
}

/// The look of a transaction's state.
pub(super) fn state_style(state: &str) -> Style {
    match state {
        "applied" => GOOD,
        "stuck" => BAD,
        "aborted" => DIM,
        _ => WARN,
    }
}

pub(super) fn txn_json(txn: &TxnRecord) -> Value {
    json!({
        "number": txn.number,
        "id": txn.id.to_string(),
        "label": txn.label,
        "state": txn.state,
        "began_at": time::exact(txn.began_at),
        "ended_at": txn.ended_at.map(time::exact),
        "commit_no": txn.commit_no,
        "reason": txn.reason,
        "run": run_json(&txn.run),
    })
}

pub(super) fn run_json(run: &RunRecord) -> Value {
    json!({
        "id": run.id.to_string(),
        "pid": run.pid,
        "host": run.host,
        "argv": run.argv,
        "started_at": time::exact(run.started_at),
        "ended_at": run.ended_at.map(time::exact),
        "outcome": run.outcome,
        "label": run.label,
        "parent": run.parent.map(|parent| parent.to_string()),
        "log": run.log,
    })
}

pub(super) fn voucher_json(voucher: &Voucher) -> Value {
    json!({
        "path": voucher.path,
        "digest": voucher.digest.to_string(),
        "since": time::exact(voucher.since),
        "valid": voucher.is_valid(),
        "alive": voucher.alive,
        "revoked": voucher.revoked,
        "run": voucher.run.to_string(),
        "process": voucher.process.as_ref().map(run_json),
    })
}

pub(super) fn image_json(image: &Image) -> Value {
    json!({
        "kind": image.kind.as_str(),
        "size": image.size,
        "mode": mode(image.mode),
        "mtime": time::exact(image.mtime),
    })
}
