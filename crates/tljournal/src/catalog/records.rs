//! What history is told as, and what it is asked for.

use crate::model::{Digest, EventKind, Image, Op, RelPath, RunId, Timestamp, TxnId, TxnState};

/// A transaction, as history tells it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TxnRecord {
    /// Its short number.
    pub number: i64,
    /// Its id.
    pub id: TxnId,
    /// What its caller named it.
    pub label: String,
    /// Where it stands.
    pub state: TxnState,
    /// When it began.
    pub began_at: Timestamp,
    /// When all of it was staged and synced, and it asked for the commit lock.
    pub staged_at: Option<Timestamp>,
    /// When it had the commit lock.
    pub locked_at: Option<Timestamp>,
    /// Its commit point.
    pub committed_at: Option<Timestamp>,
    /// When it was applied or aborted.
    pub ended_at: Option<Timestamp>,
    /// Its place in the order of commits.
    pub commit_no: Option<i64>,
    /// Why it was taken back or is stuck.
    pub reason: Option<String>,
    /// How many bytes are kept of what it replaced, or of what it had staged when its run died; `None` if
    /// nothing is.
    pub kept: Option<u64>,
    /// The number of the transaction that it takes back.
    pub undoes: Option<i64>,
    /// The run that it belongs to.
    pub run: RunRecord,
}

/// A run, as history tells it.
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
    /// The name of its user, where that was known.
    pub account: Option<String>,
    /// The kind of container that it ran in, and which, as far as that showed.
    pub container: Option<String>,
    /// The directory that it was started in.
    pub cwd: String,
    /// Its arguments, without secrets.
    pub argv: String,
    /// The version of tljournal.
    pub version: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it said so or was found dead.
    pub ended_at: Option<Timestamp>,
    /// How it ended: `ok`, `exited 3`, `killed by signal 9`, `failed`, `found dead`.
    pub outcome: Option<String>,
    /// What it reported when it failed, without secrets.
    pub error: Option<String>,
    /// What it is for, if it said so.
    pub label: Option<String>,
    /// The run that it was started by; it may never have had a row.
    pub parent: Option<RunId>,
    /// Where the output of its command went, below the home: this file, or this with `.out` and `.err`.
    pub log: Option<String>,
}

/// One change of a transaction, as history tells it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChangeRecord {
    /// The path, below the home (`in_home`) or below the root.
    pub path: String,
    /// Whether the path begins at the home.
    pub in_home: bool,
    /// What it did.
    pub op: Op,
    /// What was there before.
    pub before: Option<Image>,
    /// What was there afterwards.
    pub after: Option<Image>,
    /// Digest of a file's content, or of a tree's manifest.
    pub digest: Option<Digest>,
    /// Where a symbolic link points.
    pub target: Option<String>,
    /// Whether what was there before was not the journal's own work.
    pub drift: bool,
}

/// Something worth knowing that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventRecord {
    /// Its number; later ones are higher.
    pub number: i64,
    /// When.
    pub at: Timestamp,
    /// The number of the run that it happened to.
    pub run: Option<i64>,
    /// The number of the transaction that it is about.
    pub txn: Option<i64>,
    /// What kind of thing.
    pub kind: EventKind,
    /// The path it is about, for people.
    pub path: Option<String>,
    /// What happened, for people.
    pub detail: String,
}

/// Which transactions history is asked for; those that fulfil everything that is set.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter finds nothing by itself"]
pub struct TxnFilter {
    /// At most so many, the latest first.
    pub limit: Option<u32>,
    /// Those with lower numbers only.
    pub before: Option<i64>,
    /// Those that changed something at, above or below this path.
    pub path: Option<RelPath>,
    /// Those of the run with this number.
    pub run: Option<i64>,
    /// Those in one of these states; in any, if there are none.
    pub states: Vec<TxnState>,
    /// Those that ended, or began if they have not ended, at this time or later.
    pub since: Option<Timestamp>,
    /// Those that began before this time.
    pub until: Option<Timestamp>,
    /// Those whose label contains this.
    pub label: Option<String>,
    /// Those of which something is kept.
    pub kept: bool,
    /// Those that take back the transaction with this number.
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

/// Which runs history is asked for; those that fulfil everything that is set.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter finds nothing by itself"]
pub struct RunFilter {
    /// At most so many, the latest first.
    pub limit: Option<u32>,
    /// Those with lower numbers only.
    pub before: Option<i64>,
    /// Those that ended otherwise than well: failed, killed, or found dead.
    pub failed: bool,
    /// Those that have not said that they ended.
    pub open: bool,
    /// Those that ended, or began if they have not ended, at this time or later.
    pub since: Option<Timestamp>,
    /// Those that began before this time.
    pub until: Option<Timestamp>,
    /// Those that were started by this run.
    pub parent: Option<RunId>,
}

/// Which events history is asked for; those that fulfil everything that is set.
#[derive(Debug, Clone, Default)]
#[must_use = "a filter finds nothing by itself"]
pub struct EventFilter {
    /// At most so many, the latest first.
    pub limit: Option<u32>,
    /// Those with lower numbers only.
    pub before: Option<i64>,
    /// Those about the transaction with this number.
    pub txn: Option<i64>,
    /// Those that happened to the run with this number.
    pub run: Option<i64>,
    /// Those at this time or later.
    pub since: Option<Timestamp>,
    /// Those before this time.
    pub until: Option<Timestamp>,
}
