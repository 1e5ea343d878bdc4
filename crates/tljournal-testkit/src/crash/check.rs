use super::record::Progress;
use crate::script::{Model, Steps};
use crate::snapshot::Snapshot;
use crate::witness::Lack;
use crate::world::World;
use crate::{check_agreement, explain};

/// Work that power cuts interrupt.
///
/// The work of [`Steps`] is one transaction. A program that embeds the engine implements this trait for its own
/// transactions: see the example `power_cuts` of this crate.
pub trait Subject: Sync {
    /// The missing features of the filesystem for this work.
    fn lack(&self) -> Lack {
        Lack::default()
    }

    /// Prepares a new project for the work. All of it is durable.
    fn prepare(&self, world: &World);

    /// Does the work with a journal opened through the world, and reports its progress.
    fn work(&self, world: &World, progress: &Progress);

    /// Checks a project that was recovered after a cut, and returns one line for each problem. `done` steps must have
    /// survived, and `begun` steps may have happened.
    fn check(&self, world: &World, done: u32, begun: u32) -> Vec<String>;
}

impl Subject for Steps {
    fn prepare(&self, _: &World) {}

    fn work(&self, world: &World, progress: &Progress) {
        let journal = world.open();
        progress.begin();
        if let Err(error) = self.try_commit(&journal) {
            panic!("the transaction failed: {}", explain(&error));
        }
        progress.done();
        journal.close().expect("a journal that closes");
    }

    fn check(&self, world: &World, done: u32, begun: u32) -> Vec<String> {
        let mut model = Model::default();
        model.commit(&Self::new("nothing"));
        let before = model.snapshot();
        model.commit(self);
        let all = [before, model.snapshot()];
        check_one_of(world, &all[done as usize..=begun as usize], self)
    }
}

/// Checks that the project is one of these states, and that the catalog matches the paths of a transaction. Returns
/// one line for each problem.
#[must_use]
pub fn check_one_of(world: &World, allowed: &[Snapshot], steps: &Steps) -> Vec<String> {
    let found = world.snapshot();
    let all: Vec<_> = allowed.iter().map(|one| found.differences(one)).collect();
    let mut wrong = Vec::new();
    if !all.iter().any(Vec::is_empty) {
        wrong.push(format!(
            "the project is in none of the allowed states: {all:?}"
        ));
    }
    match world.try_open() {
        Ok(journal) => wrong.extend(check_agreement(world, &journal, steps)),
        Err(error) => wrong.push(format!("the journal cannot be opened: {}", explain(&error))),
    }
    wrong
}
