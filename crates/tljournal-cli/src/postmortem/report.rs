use crate::ending::End;
use tljournal::{EventRecord, RunRecord, Timestamp, TxnRecord, Voucher};

/// All that is told of a run that went wrong.
#[derive(Debug)]
pub(crate) struct Report {
    /// The journal's home, as the user knows it.
    pub(crate) home: String,
    /// Whether it is where it was written, and not a copy.
    pub(crate) at_home: bool,
    /// When it was looked at.
    pub(crate) made_at: Timestamp,
    /// The run itself.
    pub(crate) run: RunStory,
    /// The runs that it was started by, the outermost first; those that have a row.
    pub(crate) parents: Vec<RunStory>,
    /// Other runs that lived at that time, in the order in which they began; those that it started too.
    pub(crate) neighbours: Vec<RunStory>,
    /// Whether there were more of them than are told.
    pub(crate) more_neighbours: bool,
    /// The ends of the logs of its output.
    pub(crate) output: Vec<Tail>,
    /// What is not any more as the run left it.
    pub(crate) differences: Vec<Difference>,
    /// Whether there are more of them than are told.
    pub(crate) more_differences: bool,
    /// What it vouched for.
    pub(crate) tags: Vec<Voucher>,
    /// What lies there still of its transactions.
    pub(crate) kept: Vec<Kept>,
    /// What cannot be told here, and why.
    pub(crate) untold: Vec<String>,
    /// What to do next.
    pub(crate) next: Vec<Step>,
}

/// A run with what it did.
#[derive(Debug)]
pub(crate) struct RunStory {
    pub(crate) run: RunRecord,
    pub(crate) end: End,
    /// The last time at which it is known to have lived.
    pub(crate) last_seen: Timestamp,
    /// Its transactions, in the order in which they began.
    pub(crate) txns: Vec<TxnStory>,
    /// How many more there are, which began before these.
    pub(crate) more_txns: bool,
    /// What it waited for, for a second or longer.
    pub(crate) waits: Vec<WaitStory>,
    /// The locks that it held.
    pub(crate) holds: Vec<HoldStory>,
    /// What else happened to it, in order.
    pub(crate) events: Vec<EventRecord>,
}

/// A transaction with what it changed.
#[derive(Debug)]
pub(crate) struct TxnStory {
    pub(crate) txn: TxnRecord,
    /// What it did, and the paths that it changed, as the user knows them: the first of them. Those of other
    /// runs are not looked up.
    pub(crate) changes: Vec<(String, String)>,
    /// How many there are.
    pub(crate) changes_count: usize,
}

/// A wait.
#[derive(Debug)]
pub(crate) struct WaitStory {
    /// A named lock, a lock file, a tree, or `lock/commit`.
    pub(crate) what: String,
    pub(crate) from: Timestamp,
    /// `None` if the run ended before the wait.
    pub(crate) until: Option<Timestamp>,
    /// Whether it was for nothing.
    pub(crate) gave_up: bool,
    /// Who was waited for, as was seen then.
    pub(crate) holder: Option<String>,
    /// The runs that are known to have held it at that time.
    pub(crate) holders: Vec<i64>,
}

/// A hold on a lock.
#[derive(Debug)]
pub(crate) struct HoldStory {
    /// A named lock or a lock file.
    pub(crate) what: String,
    /// How, and for what.
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
    /// The run whose output it is: this one, or the nearest around it that has a log.
    pub(crate) run: i64,
    /// Where it is.
    pub(crate) path: String,
    pub(crate) lines: Vec<String>,
    /// Whether more comes before.
    pub(crate) cut: bool,
}

/// Something that is not any more as the run left it.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) path: String,
    /// The transaction that changed it since, if the journal knows of one.
    pub(crate) by: Option<TxnRecord>,
    /// What is different.
    pub(crate) what: String,
}

/// What lies there still of a transaction.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) txn: i64,
    /// Where.
    pub(crate) path: String,
    /// How much, if that is known.
    pub(crate) bytes: Option<u64>,
    /// What it had staged when it was given up; else what it replaced.
    pub(crate) staged: bool,
}

/// Something to do next.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) why: String,
}

impl RunStory {
    /// When it ended; of one that said nothing, when it was last seen.
    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        match self.end {
            End::Alive => None,
            End::FoundDead | End::SeenDead | End::Unknown => Some(self.last_seen),
            End::Well | End::Failed | End::Killed => self.run.ended_at,
        }
    }
}
