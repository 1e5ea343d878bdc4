use std::fmt;
use std::sync::Arc;

use super::check::Subject;
use super::lay::{self, Standing};
use super::record::{Op, Recorder, Recording};
use super::search::{Search, check, differences, recorded};
use super::state::Cut;
use super::story::tell;
use crate::world::World;

/// How much of all that could happen is tried.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Chooses what is tried where not everything is.
    pub seed: u64,
    /// How many different states at most.
    pub states: usize,
    /// In how many of these recoveries a second cut comes, each at several moments.
    pub recoveries: usize,
}

/// A state that was not recovered as promised.
#[derive(Debug, Clone)]
pub struct Found {
    /// The cut, or the cut and the one in its recovery: what [`Explorer::replay`] takes.
    pub replay: String,
    /// What was wrong, line by line.
    pub wrong: Vec<String>,
}

/// What came of an exploration.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Calls that were recorded.
    pub calls: usize,
    /// Cuts that were looked at.
    pub cuts: usize,
    /// Different states among what they left, each recovered and checked.
    pub states: usize,
    /// Recoveries that were cut short themselves.
    pub recoveries: usize,
    /// Different states that this left, each recovered and checked.
    pub states_in_recovery: usize,
    /// The states that were not recovered as promised.
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

/// A sync that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordedSync {
    /// Which call it was.
    pub at: usize,
    /// What was synced: a path, with ids as `*`.
    pub what: String,
}

/// What is done to a sync to see whether anybody notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// It does nothing.
    Removed,
    /// It comes after the next sync, or the next change of a name.
    Late,
}

/// Explores the power cuts that may interrupt some work.
pub struct Explorer<'a> {
    subject: &'a dyn Subject,
    recording: Recording,
}

impl<'a> Explorer<'a> {
    /// Records the work once, on a filesystem in memory if there is one.
    ///
    /// # Panics
    /// When the work fails, or what was recorded is not what is there in the end.
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
        assert_eq!(missed, Vec::<String>::new(), "something was not recorded");
        Self { subject, recording }
    }

    /// Tries as much as the budget allows.
    #[must_use]
    pub fn explore(&self, budget: Budget) -> Report {
        let search = Search::new(self.subject, budget);
        search.all(&self.recording);
        search.finish(&self.recording)
    }

    /// Tries one cut again, and says what is wrong.
    ///
    /// # Errors
    /// When the text is no cut.
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

    /// Everything that was done, one line for each call, numbered as cuts count them.
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

    /// Looks for a state that is not recovered as promised when one sync is sabotaged; `None` if there is
    /// none within the budget.
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
