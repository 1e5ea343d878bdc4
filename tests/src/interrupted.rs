use std::sync::OnceLock;

use tljournal_testkit::check_clean;
use tljournal_testkit::crash::{Progress, Subject, check_one_of};
use tljournal_testkit::{Lack, Snapshot, Steps, World};

use crate::cases::{Case, End};

/// The transaction of a case, interrupted by power cuts.
#[derive(Debug)]
pub struct Interrupted {
    case: Case,
    allowed: OnceLock<Vec<Snapshot>>,
}

impl Interrupted {
    /// For one case.
    #[must_use]
    pub fn new(case: Case) -> Self {
        let allowed = OnceLock::new();
        Self { case, allowed }
    }
}

impl Subject for Interrupted {
    fn lack(&self) -> Lack {
        self.case.lack.unwrap_or_default()
    }

    fn prepare(&self, world: &World) {
        self.case.prepare(world);
        self.allowed.get_or_init(|| self.case.allowed(world));
    }

    fn work(&self, world: &World, progress: &Progress) {
        let journal = world.open();
        progress.begin();
        self.case.run(&journal).expect("a transaction that works");
        progress.done();
        journal.close().expect("a journal that closes");
    }

    fn check(&self, world: &World, done: u32, begun: u32) -> Vec<String> {
        let allowed = self.allowed.get().map_or(&[][..], Vec::as_slice);
        let allowed = match self.case.end {
            End::RollBack => allowed,
            _ if self.case.is_rebuildable() => allowed,
            _ => &allowed[done as usize..=begun as usize],
        };
        match self.case.is_meddled_with() {
            // Changes by another program are not in the catalog.
            true => check_one_of(world, allowed, &Steps::new("nothing")),
            false => {
                let mut wrong = check_one_of(world, allowed, &self.case.steps);
                wrong.extend(check_clean(world));
                wrong
            }
        }
    }
}
