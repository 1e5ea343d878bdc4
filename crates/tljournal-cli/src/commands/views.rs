//! How records are printed, for programs and for people.

use anstyle::Style;
use serde_json::{Value, json};
use tljournal::{
    Digest, History, Image, Kind, Op, RunRecord, TxnRecord, TxnState, Version, Voucher,
};

use crate::failure::Failure;
use crate::output::{BAD, DIM, GOOD, WARN};
use crate::text::{bytes, clean};
use crate::time;

/// Permission bits in octal.
pub(crate) fn mode(bits: u32) -> String {
    format!("{bits:04o}")
}

/// The style of a transaction's state.
pub(crate) fn state_style(state: TxnState) -> Style {
    match state {
        TxnState::Applied => GOOD,
        TxnState::Stuck => BAD,
        TxnState::Aborted => DIM,
        TxnState::Staging | TxnState::Committed | TxnState::Aborting => WARN,
    }
}

/// The symbol of a transaction in the graph.
pub(crate) fn mark(state: TxnState, utf8: bool) -> &'static str {
    match (state, utf8) {
        (TxnState::Applied, true) => "●",
        (TxnState::Applied, false) => "*",
        (TxnState::Aborted, true) => "○",
        (TxnState::Aborted, false) => "o",
        (TxnState::Stuck, _) => "x",
        (_, true) => "◌",
        (_, false) => ".",
    }
}

/// The name of a run: its label, or its command line without the directory of the program.
pub(crate) fn run_name(run: &RunRecord) -> String {
    let typed = || match run.argv.split_once(' ') {
        Some((command, rest)) => format!("{} {rest}", base(command)),
        None => base(&run.argv).to_owned(),
    };
    run.label.clone().unwrap_or_else(typed)
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The largest depth of nested runs that is followed.
const DEPTH_MAX: u32 = 64;

/// The outermost known run around this one, or the run itself.
pub(crate) fn outermost(history: &History<'_>, run: &RunRecord) -> Result<RunRecord, Failure> {
    let mut outermost = run.clone();
    for _ in 0..DEPTH_MAX {
        let parent = outermost.parent.map(|id| history.run(&id.to_string()));
        match parent.transpose()?.flatten() {
            Some(parent) => outermost = parent,
            None => break,
        }
    }
    Ok(outermost)
}

/// The run that the user names.
pub(crate) fn the_run(history: &History<'_>, name: &str) -> Result<RunRecord, Failure> {
    history.run(name)?.ok_or_else(|| {
        let name = name.escape_debug();
        Failure::Nothing(format!(
            "there is no run `{name}`; `tljournal runs` lists them"
        ))
    })
}

/// The transaction that the user names.
pub(crate) fn the_txn(history: &History<'_>, name: &str) -> Result<TxnRecord, Failure> {
    history.transaction(name)?.ok_or_else(|| {
        let name = name.escape_debug();
        Failure::Nothing(format!(
            "there is no transaction `{name}`; `tljournal log` lists them"
        ))
    })
}

pub(crate) fn txn_json(txn: &TxnRecord) -> Value {
    json!({
        "number": txn.number,
        "id": txn.id.to_string(),
        "label": txn.label,
        "state": txn.state.as_str(),
        "began_at": time::exact(txn.began_at),
        "staged_at": txn.staged_at.map(time::exact),
        "locked_at": txn.locked_at.map(time::exact),
        "committed_at": txn.committed_at.map(time::exact),
        "ended_at": txn.ended_at.map(time::exact),
        "commit_no": txn.commit_no,
        "reason": txn.reason,
        "kept": txn.kept,
        "undoes": txn.undoes,
        "run": run_json(&txn.run),
    })
}

pub(crate) fn run_json(run: &RunRecord) -> Value {
    json!({
        "number": run.number,
        "id": run.id.to_string(),
        "pid": run.pid,
        "host": run.host,
        "boot": run.boot,
        "uid": run.uid,
        "account": run.account,
        "container": run.container,
        "cwd": run.cwd,
        "argv": run.argv,
        "version": run.version,
        "started_at": time::exact(run.started_at),
        "ended_at": run.ended_at.map(time::exact),
        "outcome": run.outcome,
        "error": run.error,
        "label": run.label,
        "parent": run.parent.map(|parent| parent.to_string()),
        "log": run.log,
    })
}

pub(crate) fn voucher_json(voucher: &Voucher) -> Value {
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

pub(crate) fn image_json(image: &Image) -> Value {
    json!({
        "kind": image.kind.as_str(),
        "size": image.size,
        "mode": mode(image.mode),
        "mtime": time::exact(image.mtime),
    })
}

/// The command line's word for an operation.
pub(crate) fn word(op: Op) -> &'static str {
    match op {
        Op::Parent => "mkdir",
        Op::Tree | Op::Fill => "install",
        Op::Remove => "rm",
        other => other.as_str(),
    }
}

/// A digest, shortened for display.
pub(crate) fn short(digest: Digest) -> String {
    digest
        .to_string()
        .chars()
        .take("sha256:".len() + 12)
        .collect()
}

/// A version of a path, in one line.
pub(crate) fn version(version: &Version) -> String {
    let digest = version.digest.map(short).unwrap_or_default();
    let text = match version.kind {
        Kind::File => format!("{}, {}, {digest}", bytes(version.size), mode(version.mode)),
        Kind::Dir => format!("directory, {}, {digest}", mode(version.mode)),
        Kind::Link => {
            let target = version.target.as_deref().unwrap_or("?");
            format!("link to {}", clean(target))
        }
        Kind::Other => "special file".to_owned(),
    };
    text.trim_end_matches(", ").to_owned()
}

pub(crate) fn version_json(version: &Version) -> Value {
    json!({
        "kind": version.kind.as_str(),
        "size": version.size,
        "mode": mode(version.mode),
        "mtime": time::exact(version.mtime),
        "digest": version.digest.map(|digest| digest.to_string()),
        "target": version.target,
    })
}
