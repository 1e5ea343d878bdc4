//! Power cuts on a filesystem whose `syncfs` makes nothing durable, as on FUSE: a rebuildable tree counts as synced
//! only when it is.

use tljournal::Timestamp;
use tljournal_testkit::crash::{Budget, Explorer, Progress, Subject, check_one_of};
use tljournal_testkit::{Lack, Model, Steps, TreeSpec, World};
use tljournal_tests::{Interrupted, case_named, counted};

/// A rebuildable tree of many files that is installed, and synced afterwards.
struct Settled(Steps);

impl Settled {
    fn new() -> Self {
        let time = Timestamp::new(1_700_000_000, 0);
        let tree = TreeSpec::new(0o755, time).dir("dir", 0o755, time);
        let tree = (0..40).fold(tree, |tree, n| {
            tree.file(&format!("dir/{n}"), 0o644, time, format!("content {n}"))
        });
        Self(Steps::new("tree").rebuildable("build/t", tree))
    }
}

impl Subject for Settled {
    fn lack(&self) -> Lack {
        Lack::of_syncfs()
    }

    fn prepare(&self, world: &World) {
        world.open().close().unwrap();
    }

    fn work(&self, world: &World, progress: &Progress) {
        let journal = world.open();
        progress.begin();
        self.0.try_commit(&journal).unwrap();
        journal.recover().unwrap();
        // The next transaction depends on it.
        progress.done();
        Steps::new("later")
            .put("build/x", "x")
            .try_commit(&journal)
            .unwrap();
        journal.close().unwrap();
    }

    fn check(&self, world: &World, done: u32, begun: u32) -> Vec<String> {
        let later = Steps::new("later").put("build/x", "x");
        let mut model = Model::default();
        model.commit(&Steps::new("nothing"));
        let mut states = vec![model.snapshot()];
        model.commit(&self.0);
        states.push(model.snapshot());
        model.commit(&later);
        let with_later = model.snapshot();
        let mut allowed = states[done as usize..=begun as usize].to_vec();
        allowed.extend((begun > 0).then_some(with_later));
        check_one_of(world, &allowed, &Steps::new("nothing"))
    }
}

fn explore(name: &str, subject: &dyn Subject, states: usize) -> Vec<String> {
    let budget = Budget {
        seed: 1,
        states,
        recoveries: states / 10,
    };
    let report = Explorer::record(subject).explore(budget);
    println!("{name}: {report}");
    counted(report.states + report.states_in_recovery, "crash states");
    report.found.iter().map(ToString::to_string).collect()
}

#[test]
fn g1_a_synced_rebuildable_tree_is_complete_after_every_cut() {
    let wrong = explore("settled-without-syncfs", &Settled::new(), 150);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn g1_g2_every_cut_leaves_all_or_nothing_where_syncfs_does_nothing() {
    let mut wrong = Vec::new();
    for name in [
        "several-without-syncfs",
        "tree-replace-without-syncfs",
        "rebuildable-replace-without-syncfs",
        "remove-tree-without-syncfs",
    ] {
        wrong.extend(explore(name, &Interrupted::new(case_named(name)), 60));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
