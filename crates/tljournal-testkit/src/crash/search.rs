use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tljournal::disk::{Disk, Witness};

use super::check::Subject;
use super::explore::{Budget, Found, Report};
use super::image::{Body, Image};
use super::lay;
use super::record::{Progress, Recorder, Recording};
use super::state::Cut;
use crate::agreement::{check_at_rest, check_database};
use crate::random::Random;
use crate::sqlite::Watch;
use crate::world::{World, explain};

/// The number of cuts that are tried in one recovery.
const CUTS_IN_RECOVERY: usize = 8;

/// How many times more cuts are considered than states are wanted, because many lead to the same state.
const LOOKED_AT: usize = 6;

/// Runs `act` on a world and records everything.
pub(super) fn recorded(
    world: &World,
    recorder: &Arc<Recorder>,
    act: impl FnOnce(&World, &Progress),
) -> Recording {
    let witness: Arc<dyn Witness> = recorder.clone();
    let watch = Watch::new(world.root(), witness.clone());
    let seen = World::at(world.root()).with_disk(Disk::witnessed(witness));
    act(&seen, &Progress::new(recorder.clone()));
    drop(watch);
    recorder.finish()
}

/// Recovers a state and returns the problems, with a recording of the recovery.
pub(super) fn check(
    subject: &dyn Subject,
    state: &Image,
    boot: u64,
    (begun, done): (u32, u32),
) -> (Vec<String>, Recording) {
    let world = World::in_memory();
    let standing =
        lay::lay(state, world.root(), boot, subject.lack()).expect("a state that can be laid out");
    let standing = Arc::new(standing);
    let recorder = Arc::new(Recorder::new(world.root(), standing.clone(), state.clone()));
    let mut wrong = Vec::new();
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let mut opened = Ok(());
        let recovery = recorded(&world, &recorder, |world, _| {
            opened = world.try_open().and_then(|journal| {
                // Syncs rebuildable trees, after which the trees that they replaced are no longer needed.
                journal.recover()?;
                journal.close()
            });
        });
        let seen = World::at(world.root()).with_disk(Disk::witnessed(standing));
        match opened {
            Ok(()) => {
                wrong.extend(subject.check(&seen, done, begun));
                wrong.extend(check_at_rest(&seen));
                wrong.extend(check_database(&seen));
            }
            Err(error) => wrong.push(format!("the journal cannot be opened: {}", explain(&error))),
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

/// An exploration in progress.
pub(super) struct Search<'a> {
    subject: &'a dyn Subject,
    budget: Budget,
    seen: Mutex<Seen>,
    report: Mutex<Report>,
}

#[derive(Default)]
struct Seen {
    /// The number of durable steps with which each state was checked.
    states: HashMap<u64, u32>,
    in_recovery: HashSet<u64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(subject: &'a dyn Subject, budget: Budget) -> Self {
        Self {
            subject,
            budget,
            seen: Mutex::default(),
            report: Mutex::default(),
        }
    }

    pub(super) fn finish(self, recording: &Recording) -> Report {
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

    /// Tries the moments in an order derived from the seed, on all cores, until the budget is used up.
    pub(super) fn all(&self, recording: &Recording) {
        let moments = recording.ops.len() + 1;
        let each = (self.budget.states * LOOKED_AT).div_ceil(moments);
        let mut random = Random::new(self.budget.seed);
        let order = shuffled((0..moments).collect(), moments, &mut random);
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return;
                };
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

    /// Tries the cuts at these moments that lose what a sabotaged sync would have saved, until a problem is found.
    pub(super) fn until_found(
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
            // A state is checked again if more steps must have survived.
            promised.is_none_or(|promised| promised < done)
        };
        if !is_new {
            return;
        }
        let (wrong, recovery) = check(self.subject, &state, 1, (begun, done));
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

/// Up to `count` of these, selected and ordered randomly.
fn shuffled<T>(mut cuts: Vec<T>, count: usize, random: &mut Random) -> Vec<T> {
    for at in 0..cuts.len().min(count) {
        let other = at + random.below((cuts.len() - at) as u64) as usize;
        cuts.swap(at, other);
    }
    cuts.truncate(count);
    cuts
}

/// The differences of two images, ignoring times. SQLite's index of its log is shared memory, which is always lost.
pub(super) fn differences(one: &Image, other: &Image) -> Vec<String> {
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
