use super::record::Progress;
use crate::script::{Model, Steps};
use crate::snapshot::Snapshot;
use crate::witness::Lack;
use crate::world::World;
use crate::{check_agreement, explain};

/// Work that power cuts interrupt.
///
/// The work of [`Steps`] is one transaction. Whoever embeds the engine writes the same for transactions of
/// their own: see the example `power_cuts` of this crate.
pub trait Subject: Sync {
    /// What the filesystem cannot do that the work happens on.
    fn lack(&self) -> Lack {
        Lack::default()
    }

    /// Brings a new project to where the work begins. All of this is durable.
    fn prepare(&self, world: &World);

    /// Does the work, with a journal that is opened through the world, and tells how far it is.
    fn work(&self, world: &World, progress: &Progress);

    /// What is wrong with a project that was recovered after a cut: one line for each thing. `done` steps
    /// were promised to last, and `begun` may have happened.
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

/// Whether the project is one of these, and the catalog agrees about the paths of a transaction. One line
/// for each thing that is wrong.
#[must_use]
pub fn check_one_of(world: &World, allowed: &[Snapshot], steps: &Steps) -> Vec<String> {
    let found = world.snapshot();
    let all: Vec<_> = allowed.iter().map(|one| found.differences(one)).collect();
    let mut wrong = Vec::new();
    if !all.iter().any(Vec::is_empty) {
        wrong.push(format!("it is nothing that was promised: {all:?}"));
    }
    match world.try_open() {
        Ok(journal) => wrong.extend(check_agreement(world, &journal, steps)),
        Err(error) => wrong.push(format!("it cannot be opened: {}", explain(&error))),
    }
    wrong
}
