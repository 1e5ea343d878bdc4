//! Edge cases: names, depths, mounts, and retained content.

use camino::Utf8PathBuf;
use tljournal::disk::{Dir, Disk, Verb};
use tljournal::{
    Digest, Error, Expect, Journal, Limits, Retention, TxnFilter, TxnRecord, UndoOptions,
    UsageError,
};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{Mounted, Strike, kill_at, nothing_kept, small};

use crate::ACTOR;

fn put(journal: &Journal, path: &str, text: impl Into<Vec<u8>>) {
    let steps = Steps::new("put").put(path, text);
    steps.try_commit(journal).unwrap();
}

fn latest(journal: &Journal) -> TxnRecord {
    let found = journal.history().transactions(&TxnFilter::default());
    found.unwrap().into_iter().next().unwrap()
}

fn is_reserved(said: &Result<(), Error>) -> bool {
    matches!(said, Err(Error::Usage(UsageError::Reserved { .. })))
}

#[test]
fn g8_names_of_what_is_staged_beside_its_target_are_reserved() {
    let world = World::new();
    let journal = world.open();
    for path in [".tljournal-x", "build/.tljournal-x", "out/.tljournal-x/y"] {
        let mut txn = journal.begin("put");
        let said = txn.put(path, "text", Expect::Any);
        assert!(is_reserved(&said), "{path}: {said:?}");
    }
}

#[test]
fn g8_a_removal_leaves_what_is_mounted_inside_alone() {
    let world = World::new();
    world.make_dir("a/b/c");
    let Some(_mounted) = Mounted::tmpfs(world.path("a/b/c")) else {
        return;
    };
    world.write("a/b/c/precious", "text");
    let dir = Dir::open(world.root(), Disk::default()).unwrap();
    dir.remove_tree("a").unwrap_err();
    assert_eq!(world.read("a/b/c/precious"), "text");
}

/// A rebuilt database is waiting to be used, and a process was killed that had created an empty one.
#[test]
fn g9_a_rebuilt_database_is_used_even_if_an_empty_one_is_in_its_place() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "text");
    journal.close().unwrap();
    let (database, new) = (world.path("build/.state.db"), "build/.state/rebuilt.db");
    std::fs::rename(&database, world.path(new)).unwrap();
    for companion in ["build/.state.db-wal", "build/.state.db-shm"] {
        let _ = std::fs::remove_file(world.path(companion));
    }
    world.write("build/.state.db", "");
    let journal = world.open();
    assert!(journal.history().entry("build/a").unwrap().is_some());
    assert!(!world.exists(new));
}

fn kept_in(world: &World, txn: &TxnRecord) -> Utf8PathBuf {
    let id = txn.id.to_string();
    world.path("build/.state/txn").join(id).join("0")
}

/// The journal never recorded it, so there is no digest to compare with.
#[test]
fn g9_retained_content_that_changed_since_its_removal_is_not_restored() {
    for tamper in [false, true] {
        let world = World::new();
        let journal = world.open();
        world.write("build/a", "theirs");
        let steps = Steps::new("rm").remove("build/a");
        steps.try_commit(&journal).unwrap();
        let removed = latest(&journal);
        if tamper {
            std::fs::write(kept_in(&world, &removed), "something else").unwrap();
        }
        let _undone = journal.undo(&removed, &UndoOptions::default());
        assert_eq!(world.exists("build/a"), !tamper);
    }
}

/// The record of the previous file is not about this one.
#[test]
fn g9_a_replaced_file_of_another_program_is_restored_unchanged() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "one");
    world.write("build/theirs", "an edit");
    std::fs::rename(world.path("build/theirs"), world.path("build/a")).unwrap();
    let expected = Expect::Digest(Digest::of(b"an edit"));
    let steps = Steps::new("put").put("build/a", "two").expecting(expected);
    steps.try_commit(&journal).unwrap();
    let undo = journal.undo(&latest(&journal), &UndoOptions::default());
    assert_eq!(undo.unwrap().steps.len(), 1);
    assert_eq!(world.read("build/a"), "an edit");
}

/// A process has locked something in a retained tree.
#[test]
fn g7_retained_content_locked_inside_stays() {
    let world = World::new();
    let journal = world.open();
    for version in ["one", "two"] {
        let steps = Steps::new("tree").tree("build/t", small(version));
        steps.try_commit(&journal).unwrap();
    }
    let replaced = latest(&journal);
    let held = std::fs::File::open(kept_in(&world, &replaced)).unwrap();
    held.lock_shared().unwrap();
    let done = journal.gc(&nothing_kept()).unwrap();
    assert_eq!((done.kept.len(), done.in_use.len()), (0, 1));
    assert_eq!(world.kept(), [replaced.id.to_string()]);
    drop(held);
    assert_eq!(journal.gc(&nothing_kept()).unwrap().kept.len(), 1);
}

/// The process that staged it knows more patterns of keys than the one that recovers.
#[test]
fn g13_staged_content_marked_as_a_key_is_not_retained_by_recovery() {
    for mark in ["", "!"] {
        let world = World::new();
        world.open().close().unwrap();
        let strike = Strike::before(Verb::SyncDir, "/.state/txn/");
        kill_at(ACTOR, &world, &strike, &["put=build/a=staged"]);
        let mut staged = world.path("build/.state/txn").read_dir_utf8().unwrap();
        let staged = staged.next().unwrap().unwrap().path().to_owned();
        std::fs::write(staged.join("paths"), format!("0{mark} build/a\n")).unwrap();
        assert_eq!(world.open().recovery().rolled_back, 1);
        assert_eq!(staged.join("0").exists(), mark.is_empty());
    }
}

/// Otherwise it would displace older content.
#[test]
fn content_above_the_limit_displaces_nothing() {
    let world = World::new();
    let kept = Limits {
        bytes: 1000,
        ..Retention::default().kept
    };
    let retention = Retention {
        kept,
        ..Retention::default()
    };
    let journal = world.options().retention(retention).work().unwrap();
    put(&journal, "build/a", "one");
    put(&journal, "build/a", "two");
    let small = latest(&journal).id.to_string();
    put(&journal, "build/b", "x".repeat(2000));
    put(&journal, "build/b", "y".repeat(2000));
    journal.close().unwrap();
    assert_eq!(world.kept(), [small]);
}
