//! The records that history returns, and the filters of its queries.

use crate::model::{Digest, EventKind, Image, Op, RelPath, RunId, Timestamp, TxnId, TxnState};

/// A transaction in history.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TxnRecord {
    /// Its short number.
    pub number: i64,
    /// Its id.
    pub id: TxnId,
    /// The label that its caller gave it.
    pub label: String,
    /// Its state.
    pub state: TxnState,
    /// When it began.
    pub began_at: Timestamp,
    /// When everything was staged and synced, and it requested the commit lock.
    pub staged_at: Option<Timestamp>,
    /// When it acquired the commit lock.
    pub locked_at: Option<Timestamp>,
    /// Its commit point.
    pub committed_at: Option<Timestamp>,
    /// When it was applied or aborted.
    pub ended_at: Option<Timestamp>,
    /// Its place in the order of commits.
    pub commit_no: Option<i64>,
    /// Why it was rolled back or is stuck.
    pub reason: Option<String>,
    /// The bytes retained of what it replaced, or of what it had staged when its run was killed; `None` if nothing is
    /// retained.
    pub kept: Option<u64>,
    /// The number of the transaction that it undoes.
    pub undoes: Option<i64>,
    /// Its run.
    pub run: RunRecord,
}

/// A run in history.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunRecord {
    /// Its short number.
    pub number: i64,
    /// Its id.
    pub id: RunId,
    /// The process id, in its own pid namespace.
    pub pid: u32,
    /// The host it ran on.
    pub host: String,
    /// The boot of that host.
    pub boot: String,
    /// The id of its user.
    pub uid: u32,
    /// The name of its user, if known.
    pub account: Option<String>,
    /// The kind of container that it ran in, and its id, if detectable.
    pub container: Option<String>,
    /// The directory that it was started in.
    pub cwd: String,
    /// Its arguments, without secrets.
    pub argv: String,
    /// The version of tljournal.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended: reported by the run itself, or when another process found that it had been killed.
    pub ended_at: Option<Timestamp>,
    /// Its outcome: `ok`, `exited 3`, `killed by signal 9`, `failed`, `found dead`.
    pub outcome: Option<String>,
    /// The error that it reported, redacted.
    pub error: Option<String>,
    /// Its label, if it has one.
    pub label: Option<String>,
    /// The run that started it, which may have no row.
    pub parent: Option<RunId>,
    /// Where the output of its command is stored, below the home: in this file, or in two with `.out` and `.err`
    /// appended.
    pub log: Option<String>,
}

/// One change of a transaction in history.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChangeRecord {
    /// The path, below the home (`in_home`) or below the root.
    pub path: String,
    /// Whether the path begins at the home.
    pub in_home: bool,
    /// The operation.
    pub op: Op,
    /// What was there before.
    pub before: Option<Image>,
    /// What was there afterwards.
    pub after: Option<Image>,
    /// Digest of a file's content, or of a tree's manifest.
    pub digest: Option<Digest>,
    /// The target of a symbolic link.
    pub target: Option<String>,
    /// Whether the content before was not the journal's own work.
    pub drift: bool,
}

/// An event in history.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventRecord {
    /// Its number, which increases.
    pub number: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The number of its run.
    pub run: Option<i64>,
    /// The number of its transaction.
    pub txn: Option<i64>,
    /// Its kind.
    pub kind: EventKind,
    /// Its path, for display.
    pub path: Option<String>,
    /// Its description, for display.
    pub detail: String,
}

/// A filter for transactions; all conditions that are set must hold.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter does nothing until it is passed to a query"]
pub struct TxnFilter {
    /// At most this many, latest first.
    pub limit: Option<u32>,
    /// Only transactions with lower numbers.
    pub before: Option<i64>,
    /// Only transactions that changed something at, above or below this path.
    pub path: Option<RelPath>,
    /// Only transactions of the run with this number.
    pub run: Option<i64>,
    /// Only transactions in one of these states; empty for any state.
    pub states: Vec<TxnState>,
    /// Only transactions that ended, or if unfinished began, at this time or later.
    pub since: Option<Timestamp>,
    /// Only transactions that began before this time.
    pub until: Option<Timestamp>,
    /// Only transactions whose label contains this text.
    pub label: Option<String>,
    /// Only transactions that retain something.
    pub kept: bool,
    /// Only transactions that undo the one with this number.
    pub undoes: Option<i64>,
}

impl TxnFilter {
    /// The latest `limit` transactions.
    pub fn latest(limit: u32) -> Self {
        Self {
            limit: Some(limit),
            ..Self::default()
        }
    }
}

/// A filter for runs; all conditions that are set must hold.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter does nothing until it is passed to a query"]
pub struct RunFilter {
    /// At most this many, latest first.
    pub limit: Option<u32>,
    /// Only runs with lower numbers.
    pub before: Option<i64>,
    /// Only runs that failed or were killed.
    pub failed: bool,
    /// Only runs without a recorded end.
    pub open: bool,
    /// Only runs that ended, or if still open began, at this time or later.
    pub since: Option<Timestamp>,
    /// Only runs that began before this time.
    pub until: Option<Timestamp>,
    /// Only runs started by this run.
    pub parent: Option<RunId>,
}

/// A filter for events; all conditions that are set must hold.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter does nothing until it is passed to a query"]
pub struct EventFilter {
    /// At most this many, latest first.
    pub limit: Option<u32>,
    /// Only events with lower numbers.
    pub before: Option<i64>,
    /// Only events of the transaction with this number.
    pub txn: Option<i64>,
    /// Only events of the run with this number.
    pub run: Option<i64>,
    /// Only events at this time or later.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
}
