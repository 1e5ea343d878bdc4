//! Regressions: what must be on the medium, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tljournal::disk::Verb;
use tljournal::{Expect, Payload};
use tljournal_testkit::{Steps, When, World};
use tljournal_tests::{
    Hook, Mounted, Record, Seen, Strike, kill_at, small, synced_before_publishing, tear,
};

use crate::ACTOR;

/// Marks every unsynced tree as written during an earlier boot.
fn reboot(world: &World) {
    let database = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
    database
        .execute("UPDATE entry SET boot = 'earlier' WHERE unsettled = 1", [])
        .unwrap();
}

fn covers(syncs: &[Seen], part: &str) -> bool {
    syncs
        .iter()
        .any(|(verb, path, _)| *verb == Verb::SyncFilesystem || path.as_str().ends_with(part))
}

/// A moved payload had no open file, so only directories were synced: after a power cut both of its names led to an
/// empty file.
#[test]
fn g2_content_of_a_moved_file_is_synced_before_the_commit() {
    let world = World::new();
    let record = Arc::new(Record::default());
    let journal = world.open_witnessed(&record).unwrap();
    world.write("build/src.txt", "precious");
    let mut txn = journal.begin("move");
    let payload = Payload::moved(world.path("build/src.txt"));
    txn.put("build/dst.txt", payload, Expect::Any).unwrap();
    txn.prepare().unwrap().commit().unwrap();
    let calls = record.take();
    let syncs = synced_before_publishing(&calls, "/build/dst.txt");
    assert!(covers(&syncs, "/0"), "{calls:#?}");
    assert_eq!(world.read("build/dst.txt"), "precious");
    assert!(!world.exists("build/src.txt"));
}

/// A rebuildable tree that was in place, but whose row was not updated, was considered finished: recovery accepted
/// the empty files that a power cut had left, and deleted the good tree before it.
#[test]
fn g1_a_torn_rebuildable_tree_is_never_accepted_as_finished() {
    let world = World::new();
    let journal = world.open();
    Steps::new("one")
        .tree("build/tools", small("one"))
        .try_commit(&journal)
        .unwrap();
    journal.close().unwrap();
    let strike = Strike::after(Verb::Exchange, "build/tools");
    kill_at(ACTOR, &world, &strike, &["quick=build/tools=two"]);
    assert_eq!(world.read("build/tools/sub/f1"), "two");
    tear(&world, "build/tools");
    let journal = world.open();
    assert_eq!(world.read("build/tools/sub/f1"), "one");
    assert_eq!(world.read("build/tools/sub/f2"), "one".repeat(1000));
    assert_eq!(journal.verify("build/tools", true).unwrap(), []);
    assert_eq!(journal.recovery().finished, 0);
}

/// The same without a previous tree: it must be removed, not torn.
#[test]
fn g1_a_torn_new_rebuildable_tree_is_removed() {
    let world = World::new();
    world.open().close().unwrap();
    let strike = Strike::after(Verb::RenameNew, "build/tools");
    kill_at(ACTOR, &world, &strike, &["quick=build/tools=two"]);
    tear(&world, "build/tools");
    let journal = world.open();
    assert!(!world.exists("build/tools"), "{:?}", journal.recovery());
}

/// A torn tree whose commit is recorded is replaced by the previous one after a reboot.
#[test]
fn g1_a_rebuildable_tree_that_is_torn_after_a_reboot_is_replaced_by_the_previous_one() {
    let world = World::new();
    let journal = world.open();
    for (version, quick) in [("one", false), ("two", true)] {
        let steps = Steps::new(version);
        let steps = match quick {
            true => steps.rebuildable("build/tools", small(version)),
            false => steps.tree("build/tools", small(version)),
        };
        steps.try_commit(&journal).unwrap();
    }
    journal.close().unwrap();
    tear(&world, "build/tools");
    reboot(&world);
    let journal = world.open();
    assert_eq!(journal.recovery().trees_put_back, 1);
    assert_eq!(world.read("build/tools/sub/f1"), "one");
}

/// A tree that was staged, found equal to the installed one, and needed after all was committed without a sync.
#[test]
fn g2_a_tree_that_was_found_equal_and_is_needed_after_all_is_synced_before_the_commit() {
    let world = World::new();
    let record = Arc::new(Record::default());
    let journal = world.open_witnessed(&record).unwrap();
    let steps = Steps::new("tools").tree("build/tools", small("one"));
    steps.try_commit(&journal).unwrap();
    let _first = record.take();
    let prepared = steps.prepare(&journal).unwrap();
    world.write("build/tools/extra", "another edit");
    let receipt = prepared.commit().unwrap();
    assert!(receipt.changed("build/tools"));
    let calls = record.take();
    let syncs = synced_before_publishing(&calls, "/build/tools");
    assert!(
        covers(&syncs, "/sub/f1") && covers(&syncs, "/sub/f2"),
        "{calls:#?}"
    );
    assert!(!world.exists("build/tools/extra"));
}

/// Two rebuildable trees followed each other at one path before the first was synced: the second one replaced an
/// unsynced one, and the last good tree was deleted.
#[test]
fn g1_an_unsynced_tree_is_synced_before_it_is_replaced() {
    let world = World::new();
    let first = world.open();
    let one = Steps::new("one").tree("build/t", small("one"));
    one.try_commit(&first).unwrap();
    let record = Arc::new(Record::default());
    let second = world.open_witnessed(&record).unwrap();
    let two = Steps::new("two").rebuildable("build/t", small("two"));
    let prepared = two.prepare(&second).unwrap();
    let three = Steps::new("three").rebuildable("build/t", small("three"));
    three.try_commit(&first).unwrap();
    let _before = record.take();
    prepared.commit().unwrap();
    let calls = record.take();
    let syncs = synced_before_publishing(&calls, "/build/t");
    assert!(
        syncs.iter().any(|(verb, ..)| *verb == Verb::SyncFilesystem),
        "{calls:#?}"
    );
    first.close().unwrap();
    second.close().unwrap();
    tear(&world, "build/t");
    reboot(&world);
    let journal = world.open();
    assert_eq!(journal.recovery().trees_put_back, 1);
    assert_eq!(world.read("build/t/sub/f1"), "three");
}

/// The deletion of staged content was not detected: the commit returned Ok without any file.
#[test]
fn g2_a_commit_whose_staged_content_vanished_fails_and_changes_nothing() {
    let world = World::new();
    let journal = world.open();
    for path in ["build/new", "new"] {
        let steps = Steps::new("new").put(path, "content");
        let prepared = steps.prepare(&journal).unwrap();
        for id in world.left_in_staging() {
            std::fs::remove_file(world.path("build/.state/txn").join(id).join("0")).unwrap();
        }
        assert!(prepared.commit().is_err(), "{path}");
        assert!(!world.exists(path));
        assert!(journal.history().entry(path).unwrap().is_none());
    }
    let steps = Steps::new("again").put("build/new", "content");
    steps.try_commit(&journal).unwrap();
    assert_eq!(world.read("build/new"), "content");
}

/// The same next to a target on another filesystem, where `git clean` finds it.
#[test]
fn g2_a_commit_whose_content_next_to_its_target_vanished_fails_and_changes_nothing() {
    let world = World::new();
    world.make_dir("out");
    let Some(_mounted) = Mounted::tmpfs(world.path("out")) else {
        return;
    };
    let journal = world.open();
    let steps = Steps::new("new").put("out/new", "content");
    let prepared = steps.prepare(&journal).unwrap();
    let mut cleaned = 0;
    for entry in std::fs::read_dir(world.path("out")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
        cleaned += 1;
    }
    assert_eq!(cleaned, 1);
    assert!(prepared.commit().is_err());
    assert!(!world.exists("out/new"));
    assert!(journal.history().entry("out/new").unwrap().is_none());
}

/// The reserve for a full disk was created once in the life of a journal and never again after its use.
#[test]
fn g11_the_reserve_is_created_again_by_the_next_opening() {
    let world = World::new();
    world.open().close().unwrap();
    let reserve = world.path("build/.state/reserve");
    let size = reserve.metadata().unwrap().len();
    assert!(size > 0);
    std::fs::remove_file(&reserve).unwrap();
    world.open().close().unwrap();
    assert_eq!(reserve.metadata().unwrap().len(), size);
}

/// A change that could not be staged left its number and its partial file to the next change, which failed because
/// the file existed.
#[test]
fn a_transaction_continues_after_a_change_that_could_not_be_staged() {
    let world = World::new();
    let armed = Arc::new(AtomicBool::new(false));
    let full = armed.clone();
    let hook = Hook(move |when, call: &tljournal::disk::Call<'_>| {
        let staged = call.path.as_str().contains("/.state/txn/");
        let writes = when == When::Before && call.verb == Verb::Write && staged;
        match writes && full.swap(false, Ordering::AcqRel) {
            true => Err(rustix::io::Errno::NOSPC.into()),
            false => Ok(()),
        }
    });
    let journal = world.open_witnessed(&Arc::new(hook)).unwrap();
    let mut txn = journal.begin("two");
    armed.store(true, Ordering::Release);
    let failed = txn.put("build/a", Payload::from("first"), Expect::Any);
    assert!(failed.is_err());
    txn.put("build/a", Payload::from("second"), Expect::Any)
        .unwrap();
    txn.put("build/b", Payload::from("third"), Expect::Any)
        .unwrap();
    txn.prepare().unwrap().commit().unwrap();
    assert_eq!(world.read("build/a"), "second");
    assert_eq!(world.read("build/b"), "third");
    assert_eq!(world.left_in_staging(), [""; 0]);
}
