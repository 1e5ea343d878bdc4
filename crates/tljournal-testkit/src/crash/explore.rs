use std::fmt;
use std::sync::Arc;

use super::check::Subject;
use super::lay::{self, Standing};
use super::record::{Op, Recorder, Recording};
use super::search::{Search, check, differences, recorded};
use super::state::Cut;
use super::story::tell;
use crate::world::World;

/// How much of the search space is tried.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Selects the cases if not all are tried.
    pub seed: u64,
    /// The largest number of different states.
    pub states: usize,
    /// The number of recoveries that are interrupted by a second cut, each at several moments.
    pub recoveries: usize,
}

/// A state that was not recovered correctly.
#[derive(Debug, Clone)]
pub struct Found {
    /// The cut, or the cut and the one during recovery, as input of [`Explorer::replay`].
    pub replay: String,
    /// The problems, one per line.
    pub wrong: Vec<String>,
}

/// The result of an exploration.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Recorded calls.
    pub calls: usize,
    /// Cuts that were considered.
    pub cuts: usize,
    /// Different states after these cuts, each recovered and checked.
    pub states: usize,
    /// Recoveries that were interrupted.
    pub recoveries: usize,
    /// Different states after interrupted recoveries, each recovered and checked.
    pub states_in_recovery: usize,
    /// States that were not recovered correctly.
    pub found: Vec<Found>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls, {} different states after {} power cuts, {} more after {} cuts in recoveries, {} wrong",
            self.calls,
            self.states,
            self.cuts,
            self.states_in_recovery,
            self.recoveries,
            self.found.len()
        )
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.replay)?;
        self.wrong
            .iter()
            .try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// A recorded sync.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordedSync {
    /// The number of the call.
    pub at: usize,
    /// The path that was synced, with ids replaced by `*`.
    pub what: String,
}

/// How a sync is sabotaged, to see whether a test detects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// It does nothing.
    Removed,
    /// It comes after the next sync, or the next change of a name.
    Late,
}

/// Explores the power cuts that can interrupt some work.
pub struct Explorer<'a> {
    subject: &'a dyn Subject,
    recording: Recording,
}

impl<'a> Explorer<'a> {
    /// Records the work once, on a filesystem in memory if available.
    ///
    /// # Panics
    /// When the work fails, or the recording differs from the final state.
    pub fn record(subject: &'a dyn Subject) -> Self {
        let world = World::in_memory();
        subject.prepare(&world);
        let standing = Arc::new(Standing::lacking(subject.lack()));
        let start = lay::read(world.root(), &standing).expect("a world that can be read");
        let recorder = Arc::new(Recorder::new(world.root(), standing, start));
        let recording = recorded(&world, &recorder, |world, progress| {
            subject.work(world, progress);
        });
        let there =
            lay::read(world.root(), &Standing::default()).expect("a world that can be read");
        let missed = differences(&recording.end, &there);
        assert_eq!(missed, Vec::<String>::new(), "the recording is incomplete");
        Self { subject, recording }
    }

    /// Explores within the budget.
    #[must_use]
    pub fn explore(&self, budget: Budget) -> Report {
        let search = Search::new(self.subject, budget);
        search.all(&self.recording);
        search.finish(&self.recording)
    }

    /// Tries one cut again, and returns the problems.
    ///
    /// # Errors
    /// When the text is not a cut.
    pub fn replay(&self, text: &str) -> Result<Vec<String>, String> {
        let (first, second) = match text.split_once(" then ") {
            Some((first, second)) => (first.parse::<Cut>()?, Some(second.parse::<Cut>()?)),
            None => (text.parse()?, None),
        };
        if first.at > self.recording.ops.len() {
            return Err(format!("only {} calls were made", self.recording.ops.len()));
        }
        let told = self.recording.told(first.at);
        let (wrong, recovery) = check(self.subject, &self.recording.state(&first), 1, told);
        match second {
            None => Ok(wrong),
            Some(second) => Ok(check(self.subject, &recovery.state(&second), 2, told).0),
        }
    }

    /// The recorded calls, one per line, numbered as in cuts.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        let mut now = self.recording.start.clone();
        let mut story = Vec::new();
        for (index, op) in self.recording.ops.iter().enumerate() {
            let text = tell(&now, op);
            now.apply(op);
            story.push(format!("{} {text}", index + 1));
        }
        story
    }

    /// The syncs of the work, in order.
    #[must_use]
    pub fn syncs(&self) -> Vec<RecordedSync> {
        let mut now = self.recording.start.clone();
        let mut syncs = Vec::new();
        for (at, op) in self.recording.ops.iter().enumerate() {
            let what = tell(&now, op);
            now.apply(op);
            if op.is_sync() {
                syncs.push(RecordedSync { at, what });
            }
        }
        syncs
    }

    /// Searches for a state that is not recovered correctly when one sync is sabotaged; `None` if there is none
    /// within the budget.
    #[must_use]
    pub fn sabotage(&self, sync: &RecordedSync, how: Sabotage, budget: Budget) -> Option<Found> {
        let mut recording = self.recording.clone();
        recording.ops[sync.at] = Op::Nothing;
        let is_next = |op: &Op| op.is_sync() || op.changes_names();
        let next = recording.ops[sync.at..].iter().position(is_next);
        let last = match (how, next) {
            (Sabotage::Late, Some(next)) => sync.at + next + 1,
            _ => recording.ops.len(),
        };
        let search = Search::new(self.subject, budget);
        search.until_found(&recording, &self.recording, sync.at + 1..=last);
        search.finish(&recording).found.pop()
    }
}

impl fmt::Debug for Explorer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explorer")
            .field("calls", &self.recording.ops.len())
            .finish_non_exhaustive()
    }
}
