//! Pins and locks, and what happens to pinned content.

use std::fs::File;

use tljournal::{
    Conflict, ConflictKind, Error, Journal, Limits, LockMode, OnPinned, Retention, TreeOptions,
    TxnFilter,
};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{nothing_kept, small, within};

fn would_deadlock<T>(said: &Result<T, Error>) -> bool {
    matches!(
        said,
        Err(Error::Conflict(Conflict {
            kind: ConflictKind::WouldDeadlock,
            ..
        }))
    )
}

fn tree(journal: &Journal, path: &str, version: &str) {
    let steps = Steps::new("tree").tree(path, small(version));
    steps.try_commit(journal).unwrap();
}

/// A child process that inherited the descriptor may run for a long time.
#[test]
fn g7_an_unpinned_tree_is_free_even_if_a_child_inherited_the_descriptor() {
    let world = World::new();
    let journal = world.open();
    tree(&journal, "build/t", "one");
    let pin = journal.pin("build/t").unwrap().unwrap();
    let inherited = pin.dir().clone();
    let other = File::open(world.path("build/t")).unwrap();
    other.try_lock().unwrap_err();
    drop(pin);
    other.try_lock().unwrap();
    drop(inherited);
}

/// The holder of the pin may wait for the lock that is held here.
#[test]
fn pins_are_not_waited_for_while_a_lock_is_held() {
    within("an install", || {
        let world = World::new();
        let journal = world.open();
        tree(&journal, "build/t", "one");
        let install = || {
            let options = TreeOptions {
                on_pinned: OnPinned::Wait,
                ..TreeOptions::default()
            };
            journal.install("build/t", small("two").source(), options)
        };
        let reader = File::open(world.path("build/t")).unwrap();
        reader.lock_shared().unwrap();
        let held = journal.lock("a", LockMode::Exclusive, "test", None);
        assert!(would_deadlock(&install()));
        assert_eq!(world.read("build/t/sub/f1"), "one");
        drop((held, reader));
        assert!(install().unwrap().changed);
    });
}

#[test]
fn an_exclusively_held_tree_is_not_waited_for_while_a_lock_is_held() {
    within("a pin", || {
        let world = World::new();
        let journal = world.open();
        tree(&journal, "build/t", "one");
        let alone = File::open(world.path("build/t")).unwrap();
        alone.lock().unwrap();
        let held = journal.lock("a", LockMode::Exclusive, "test", None);
        assert!(would_deadlock(&journal.pin("build/t")));
        drop((held, alone));
        assert!(journal.pin("build/t").unwrap().is_some());
    });
}

/// A removal includes the trees in the removed directory, at any depth.
#[test]
fn g7_a_pinned_tree_stays_complete_when_a_directory_above_it_is_removed() {
    let world = World::new();
    let journal = world.options().retention(nothing_kept());
    let journal = journal.work().unwrap();
    tree(&journal, "build/d/e/t", "one");
    let pin = journal.pin("build/d/e/t").unwrap().unwrap();
    let steps = Steps::new("rm").remove("build/d");
    steps.try_commit(&journal).unwrap();
    assert!(!world.exists("build/d"));
    let content = std::fs::read_to_string(format!("{}/sub/f1", pin.path()));
    assert_eq!(content.unwrap(), "one");
    drop(pin);
    journal.close().unwrap();
    assert_eq!(world.left_in_staging(), [""; 0]);
}

fn put(journal: &Journal, n: u32) {
    let steps = Steps::new("put").put("build/a", format!("{n}"));
    steps.try_commit(journal).unwrap();
}

/// A run may commit all day.
#[test]
fn a_long_run_retains_at_most_half_more_small_items_than_the_limit() {
    let world = World::in_memory();
    let kept = Limits {
        count: 8,
        ..Retention::default().kept
    };
    let retention = Retention {
        kept,
        ..Retention::default()
    };
    let journal = world.options().retention(retention).work().unwrap();
    for n in 0..40 {
        put(&journal, n);
        assert!(world.kept().len() <= 12, "{n}: {:?}", world.kept());
    }
    journal.close().unwrap();
    assert_eq!(world.kept().len(), 8);
}

#[test]
fn retained_content_in_use_is_not_deleted_nor_reported_so() {
    let world = World::new();
    let journal = world.open();
    put(&journal, 1);
    put(&journal, 2);
    let [id] = &world.kept()[..] else { panic!() };
    let dir = world.path("build/.state/txn").join(id);
    let held = File::open(&dir).unwrap();
    held.lock_shared().unwrap();
    for done in [
        journal.history().plan_gc(&nothing_kept()).unwrap(),
        journal.gc(&nothing_kept()).unwrap(),
    ] {
        assert_eq!(
            (done.kept.len(), done.in_use.len(), done.left_txns),
            (0, 1, 1)
        );
    }
    assert!(dir.join("0").exists());
    drop(held);
    for done in [
        journal.history().plan_gc(&nothing_kept()).unwrap(),
        journal.gc(&nothing_kept()).unwrap(),
    ] {
        assert_eq!(
            (done.kept.len(), done.in_use.len(), done.left_txns),
            (1, 0, 0)
        );
    }
    assert!(!dir.exists());
}

/// It was deleted by hand.
#[test]
fn missing_retained_content_is_recorded_as_deleted_by_gc() {
    let world = World::new();
    let journal = world.open();
    put(&journal, 1);
    put(&journal, 2);
    let [id] = &world.kept()[..] else { panic!() };
    std::fs::remove_dir_all(world.path("build/.state/txn").join(id)).unwrap();
    let done = journal.gc(&nothing_kept()).unwrap();
    assert_eq!((done.kept.len(), done.left_txns), (1, 0));
    let filter = TxnFilter {
        kept: true,
        ..TxnFilter::default()
    };
    assert!(journal.history().transactions(&filter).unwrap().is_empty());
}
