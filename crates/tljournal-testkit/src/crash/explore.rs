use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tljournal::disk::{Disk, Witness};

use super::check::Subject;
use super::image::{Body, Image};
use super::lay::{self, Shown, Standing};
use super::record::{Op, Progress, Recorder, Recording};
use super::state::Cut;
use crate::agreement::{check_at_rest, check_database};
use crate::random::Random;
use crate::sqlite::Watch;
use crate::world::{World, explain};

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

/// How many cuts are tried in one recovery.
const CUTS_IN_RECOVERY: usize = 8;

/// How many more cuts are looked at than states are wanted: many leave the same.
const LOOKED_AT: usize = 6;

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
pub struct Sync {
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
        let standing = Arc::new(Standing::default());
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

    /// Tries as much as the budget allows. `tick` is called after each state.
    pub fn explore(&self, budget: Budget, tick: &(dyn Fn() + std::marker::Sync)) -> Report {
        let search = Search::new(self.subject, budget, tick);
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
    pub fn syncs(&self) -> Vec<Sync> {
        let mut now = self.recording.start.clone();
        let mut syncs = Vec::new();
        for (at, op) in self.recording.ops.iter().enumerate() {
            let what = tell(&now, op);
            now.apply(op);
            if matches!(op, Op::Sync { .. } | Op::SyncAll) {
                syncs.push(Sync { at, what });
            }
        }
        syncs
    }

    /// Looks for a state that is not recovered as promised when one sync is sabotaged; `None` if there is
    /// none within the budget.
    #[must_use]
    pub fn sabotage(&self, sync: &Sync, how: Sabotage, budget: Budget) -> Option<Found> {
        let mut recording = self.recording.clone();
        recording.ops[sync.at] = Op::Nothing;
        let is_next = |op: &Op| matches!(op, Op::Sync { .. } | Op::SyncAll) || op.changes_names();
        let next = recording.ops[sync.at..].iter().position(is_next);
        let last = match (how, next) {
            (Sabotage::Late, Some(next)) => sync.at + next + 1,
            _ => recording.ops.len(),
        };
        let search = Search::new(self.subject, budget, &|| {});
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

/// Does something to a world while everything is written down.
fn recorded(
    world: &World,
    recorder: &Arc<Recorder>,
    act: impl FnOnce(&World, &Progress),
) -> Recording {
    let witness: Arc<dyn Witness> = recorder.clone();
    let watch = Watch::new(world.root(), witness.clone());
    let seen = World::at(world.root()).with_disk(Disk::witnessed(witness));
    act(&seen, &Progress::new(Some(recorder.clone())));
    drop(watch);
    recorder.finish()
}

/// Recovers a state and says what is wrong, with what the recovery did.
fn check(
    subject: &dyn Subject,
    state: &Image,
    boot: u64,
    (begun, done): (u32, u32),
) -> (Vec<String>, Recording) {
    let world = World::in_memory();
    let standing = lay::lay(state, world.root(), boot).expect("a state that can be laid out");
    let standing = Arc::new(standing);
    let recorder = Arc::new(Recorder::new(world.root(), standing.clone(), state.clone()));
    let mut wrong = Vec::new();
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let mut opened = Ok(());
        let recovery = recorded(&world, &recorder, |world, _| {
            opened = world.try_open().and_then(tljournal::Journal::close);
        });
        let seen = World::at(world.root()).with_disk(Disk::witnessed(Arc::new(Shown(standing))));
        match opened {
            Ok(()) => {
                wrong.extend(subject.check(&seen, done, begun));
                wrong.extend(check_at_rest(&seen));
                wrong.extend(check_database(&seen));
            }
            Err(error) => wrong.push(format!("it cannot be opened: {}", explain(&error))),
        }
        recovery
    }));
    let recovery = checked.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        wrong.push(format!("it panicked: {}", text.unwrap_or_default()));
        recorder.finish()
    });
    (wrong, recovery)
}

/// An exploration under way.
struct Search<'a> {
    subject: &'a dyn Subject,
    budget: Budget,
    tick: &'a (dyn Fn() + std::marker::Sync),
    seen: Mutex<Seen>,
    report: Mutex<Report>,
}

#[derive(Default)]
struct Seen {
    /// How many steps were promised to last when a state was checked.
    states: HashMap<u64, u32>,
    in_recovery: HashSet<u64>,
}

impl<'a> Search<'a> {
    fn new(
        subject: &'a dyn Subject,
        budget: Budget,
        tick: &'a (dyn Fn() + std::marker::Sync),
    ) -> Self {
        Self {
            subject,
            budget,
            tick,
            seen: Mutex::default(),
            report: Mutex::default(),
        }
    }

    fn finish(self, recording: &Recording) -> Report {
        let mut report = self
            .report
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let seen = self
            .seen
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        report.calls = recording.ops.len();
        report.states = seen.states.len();
        report.states_in_recovery = seen.in_recovery.len();
        report
            .found
            .sort_by(|one, other| one.replay.cmp(&other.replay));
        report
    }

    /// Every moment, from all cores.
    fn all(&self, recording: &Recording) {
        let moments = recording.ops.len() + 1;
        let each = (self.budget.states * LOOKED_AT).div_ceil(moments);
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= moments {
                    return;
                }
                let mut random = Random::new(self.budget.seed ^ (at as u64) << 20);
                for cut in shuffled(recording.cuts(at), each, &mut random) {
                    if self.seen().states.len() >= self.budget.states {
                        return;
                    }
                    self.try_cut(recording, &cut, &mut random);
                }
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(work);
            }
        });
    }

    /// The cuts at these moments that take what a sabotaged sync would have saved, until something is found.
    fn until_found(
        &self,
        sabotaged: &Recording,
        sound: &Recording,
        moments: RangeInclusive<usize>,
    ) {
        let mut cuts = Vec::new();
        for at in moments {
            let (lost, saved) = (sabotaged.pending(at), sound.pending(at));
            let takes_more = |cut: &Cut| {
                cut.lost
                    .iter()
                    .any(|name| lost.names.contains(name) && !saved.names.contains(name))
                    || cut
                        .content
                        .keys()
                        .any(|node| lost.content.get(node) != saved.content.get(node))
            };
            cuts.extend(sabotaged.cuts(at).into_iter().filter(takes_more));
        }
        let mut random = Random::new(self.budget.seed);
        for cut in shuffled(cuts, self.budget.states * LOOKED_AT, &mut random) {
            let enough = self.seen().states.len() >= self.budget.states;
            if enough || !self.report().found.is_empty() {
                return;
            }
            self.try_cut(sabotaged, &cut, &mut random);
        }
    }

    fn try_cut(&self, recording: &Recording, cut: &Cut, random: &mut Random) {
        self.report().cuts += 1;
        let state = recording.state(cut);
        let (begun, done) = recording.told(cut.at);
        let is_new = {
            let mut seen = self.seen();
            let promised = seen.states.insert(hash(&state), done);
            // The same state with more promised is checked again.
            promised.is_none_or(|promised| promised < done)
        };
        if !is_new {
            return;
        }
        let (wrong, recovery) = check(self.subject, &state, 1, (begun, done));
        (self.tick)();
        if !wrong.is_empty() {
            let replay = cut.to_string();
            return self.report().found.push(Found { replay, wrong });
        }
        if recovery.ops.is_empty() || self.report().recoveries >= self.budget.recoveries {
            return;
        }
        self.report().recoveries += 1;
        self.cut_recovery(cut, &recovery, (begun, done), random);
    }

    fn cut_recovery(&self, cut: &Cut, recovery: &Recording, told: (u32, u32), random: &mut Random) {
        for _ in 0..CUTS_IN_RECOVERY {
            let at = random.below(recovery.ops.len() as u64 + 1) as usize;
            let cuts = recovery.cuts(at);
            let Some(second) = random.pick(&cuts) else {
                continue;
            };
            let state = recovery.state(second);
            if !self.seen().in_recovery.insert(hash(&state)) {
                continue;
            }
            let (wrong, _) = check(self.subject, &state, 2, told);
            (self.tick)();
            if !wrong.is_empty() {
                let replay = format!("{cut} then {second}");
                self.report().found.push(Found { replay, wrong });
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to so many of these, chosen and ordered by chance.
fn shuffled(mut cuts: Vec<Cut>, count: usize, random: &mut Random) -> Vec<Cut> {
    for at in 0..cuts.len().min(count) {
        let other = at + random.below((cuts.len() - at) as u64) as usize;
        cuts.swap(at, other);
    }
    cuts.truncate(count);
    cuts
}

/// Where two images differ in more than times. SQLite's index of its log is shared memory, which a cut takes.
fn differences(one: &Image, other: &Image) -> Vec<String> {
    let look = |image: &Image| {
        let look = |(path, id): (String, usize)| {
            let node = &image.nodes[id];
            let content = match &node.body {
                Body::File(content) if !path.ends_with("-shm") => Some(content.clone()),
                _ => None,
            };
            (path, (node.identity, node.mode, content))
        };
        image
            .walk()
            .into_iter()
            .map(look)
            .collect::<BTreeMap<_, _>>()
    };
    let (one, other) = (look(one), look(other));
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differs = |path: &&&String| one.get(**path) != other.get(**path);
    paths
        .iter()
        .filter(differs)
        .map(|path| (*path).clone())
        .collect()
}

fn hash(state: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (path, id) in state.walk() {
        let node = &state.nodes[id];
        (path, node.identity, node.mode, node.mtime.as_nanos()).hash(&mut hasher);
        match &node.body {
            Body::Dir(_) => 0.hash(&mut hasher),
            Body::File(content) => content.hash(&mut hasher),
            Body::Link(target) => target.hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// One call in words.
fn tell(now: &Image, op: &Op) -> String {
    let paths = now.walk();
    let path = |node: usize| {
        let found = paths.iter().find(|(_, id)| *id == node);
        found.map_or_else(|| "(gone)".to_owned(), |(path, _)| starred(path))
    };
    let name = |name: &super::record::Name| format!("{}/{}", path(name.dir), starred(&name.name));
    match op {
        Op::Add { at, .. } => format!("add {}", name(at)),
        Op::Remove { at, .. } => format!("remove {}", name(at)),
        Op::Move { from, to, .. } => format!("rename {} to {}", name(from), name(to)),
        Op::Exchange { names, .. } => {
            format!("exchange {} and {}", name(&names[0]), name(&names[1]))
        }
        Op::Write { node, offset, data } => {
            format!("write {} bytes at {offset} of {}", data.len(), path(*node))
        }
        Op::Truncate { node, size } => format!("cut {} to {size} bytes", path(*node)),
        Op::Mode { node, mode } => format!("set the mode of {} to {mode:o}", path(*node)),
        Op::Mtime { node, .. } => format!("set the mtime of {}", path(*node)),
        Op::Sync { node } => format!("sync {}", path(*node)),
        Op::SyncAll => "sync everything".to_owned(),
        Op::Nothing => "nothing".to_owned(),
        Op::Told { begun, done } => format!("-- {begun} begun, {done} done"),
    }
}

/// A path without the ids in it.
fn starred(path: &str) -> String {
    let is_id =
        |part: &str| part.len() == 36 && part.bytes().filter(|byte| *byte == b'-').count() == 4;
    let parts = path
        .split('/')
        .map(|part| if is_id(part) { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
