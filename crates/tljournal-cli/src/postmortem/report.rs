use crate::ending::End;
use tljournal::{EventRecord, RunRecord, Timestamp, TxnRecord, Voucher};

/// The report about a run that failed or was killed.
#[derive(Debug)]
pub(crate) struct Report {
    /// The path of the journal's home.
    pub(crate) home: String,
    /// Whether it is the original, not a copy.
    pub(crate) at_home: bool,
    /// When it was made.
    pub(crate) made_at: Timestamp,
    /// The run.
    pub(crate) run: RunStory,
    /// The runs around it, outermost first, as far as they have rows.
    pub(crate) parents: Vec<RunStory>,
    /// Concurrent runs by their start, including those that it started.
    pub(crate) neighbours: Vec<RunStory>,
    /// Whether some are omitted.
    pub(crate) more_neighbours: bool,
    /// The ends of the logs of its output.
    pub(crate) output: Vec<Tail>,
    /// What has changed since the run.
    pub(crate) differences: Vec<Difference>,
    /// Whether some are omitted.
    pub(crate) more_differences: bool,
    /// Its claims.
    pub(crate) tags: Vec<Voucher>,
    /// Content of its transactions that is still on disk.
    pub(crate) kept: Vec<Kept>,
    /// What is unknown here, and why.
    pub(crate) untold: Vec<String>,
    /// What to do next.
    pub(crate) next: Vec<Step>,
}

/// A run with what it did.
#[derive(Debug)]
pub(crate) struct RunStory {
    pub(crate) run: RunRecord,
    pub(crate) end: End,
    /// Its last known activity.
    pub(crate) last_seen: Timestamp,
    /// Its transactions, by their start.
    pub(crate) txns: Vec<TxnStory>,
    /// Whether earlier ones are omitted.
    pub(crate) more_txns: bool,
    /// Its waits of a second or longer.
    pub(crate) waits: Vec<WaitStory>,
    /// The locks it held.
    pub(crate) holds: Vec<HoldStory>,
    /// Its other events, in order.
    pub(crate) events: Vec<EventRecord>,
}

/// A transaction with what it changed.
#[derive(Debug)]
pub(crate) struct TxnStory {
    pub(crate) txn: TxnRecord,
    /// The first of its operations and paths, as the user knows them. Empty for other runs.
    pub(crate) changes: Vec<(String, String)>,
    /// The number of changes.
    pub(crate) changes_count: usize,
}

/// A wait.
#[derive(Debug)]
pub(crate) struct WaitStory {
    /// A named lock, a lock file, a tree, or `lock/commit`.
    pub(crate) what: String,
    pub(crate) from: Timestamp,
    /// `None` if the run ended during the wait.
    pub(crate) until: Option<Timestamp>,
    /// Whether it was given up.
    pub(crate) gave_up: bool,
    /// The holder as it was seen then.
    pub(crate) holder: Option<String>,
    /// The runs known to have held it at that time.
    pub(crate) holders: Vec<i64>,
}

/// A hold on a lock.
#[derive(Debug)]
pub(crate) struct HoldStory {
    /// A named lock or a lock file.
    pub(crate) what: String,
    /// The mode and purpose.
    pub(crate) detail: String,
    pub(crate) from: Timestamp,
    /// `None` if it was held until the run ended.
    pub(crate) until: Option<Timestamp>,
    /// The runs that waited for it meanwhile.
    pub(crate) waiters: Vec<i64>,
}

/// The end of a log.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The run of the output: this one, or the nearest around it with a log.
    pub(crate) run: i64,
    /// Its path.
    pub(crate) path: String,
    pub(crate) lines: Vec<String>,
    /// Whether earlier lines are omitted.
    pub(crate) cut: bool,
}

/// Something that has changed since the run.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) path: String,
    /// The transaction that changed it, if there is one.
    pub(crate) by: Option<TxnRecord>,
    /// The difference.
    pub(crate) what: String,
}

/// Content of a transaction that is still on disk.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) txn: i64,
    /// Its path.
    pub(crate) path: String,
    /// Its size, if known.
    pub(crate) bytes: Option<u64>,
    /// Whether it was staged when the transaction was given up; otherwise it was replaced.
    pub(crate) staged: bool,
}

/// A suggested next step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) why: String,
}

impl RunStory {
    /// When it ended; for a killed run its last activity.
    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        match self.end {
            End::Alive => None,
            End::FoundDead | End::SeenDead | End::Unknown => Some(self.last_seen),
            End::Well | End::Failed | End::Killed => self.run.ended_at,
        }
    }
}
