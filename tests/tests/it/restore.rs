//! Restoring paths.

use std::fs;
use std::time::Duration;

use tljournal::{
    Error, Journal, Limits, RelPath, Retention, TxnFilter, TxnRecord, Undo, UndoAction,
    UndoOptions, UsageError,
};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{tools, tools_reshaped};

fn commit(journal: &Journal, steps: Steps) {
    steps.try_commit(journal).unwrap();
}

fn put(journal: &Journal, path: &str, content: &str) {
    commit(
        journal,
        Steps::new(&format!("put {path}")).put(path, content),
    );
}

fn latest(journal: &Journal) -> TxnRecord {
    let latest = journal.history().transactions(&TxnFilter::latest(1));
    latest.unwrap().pop().unwrap()
}

fn numbered(journal: &Journal, number: i64) -> TxnRecord {
    let found = journal.history().transaction(&number.to_string());
    found.unwrap().unwrap()
}

fn undone(journal: &Journal, number: i64) {
    let done = journal.undo(&numbered(journal, number), &UndoOptions::default());
    let done = done.unwrap();
    assert!(!done.is_refused() && done.txn.is_some(), "{done:?}");
}

fn restore(journal: &Journal, path: &str, at: i64) -> Result<Undo, Error> {
    let path = RelPath::new(path).unwrap();
    journal.restore(&path, &numbered(journal, at), &UndoOptions::default())
}

/// The action at the only path.
fn only(undo: &Undo) -> UndoAction {
    let [step] = &undo.steps[..] else {
        panic!("{undo:?}")
    };
    step.action
}

#[test]
fn a_path_is_restored_to_its_state_after_any_transaction() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/other", "1");
    commit(
        &journal,
        Steps::new("2").put_as("build/a", "one", 0o640, tljournal::Timestamp::new(5, 6)),
    );
    put(&journal, "build/other", "3");
    put(&journal, "build/a", "two");
    commit(&journal, Steps::new("5").remove("build/a"));
    put(&journal, "build/a", "three");
    // Between the transactions that wrote it, it had the content of the previous one.
    for (at, content) in [(2, "one"), (3, "one"), (4, "two"), (6, "three"), (2, "one")] {
        drop(restore(&journal, "build/a", at).unwrap());
        assert_eq!(world.read("build/a"), content, "at {at}");
    }
    let meta = world.path("build/a").metadata().unwrap();
    use std::os::unix::fs::MetadataExt;
    let seen = (meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec());
    assert_eq!(seen, (0o640, 5, 6));
    for absent_at in [1, 5] {
        let done = restore(&journal, "build/a", absent_at).unwrap();
        assert_eq!(
            only(&done),
            if absent_at == 1 {
                UndoAction::Remove
            } else {
                UndoAction::Keep
            }
        );
        assert!(!world.exists("build/a"));
    }
    assert_eq!(latest(&journal).undoes, None);
}

#[test]
fn a_path_in_a_tree_and_one_that_was_never_written_are_refused() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, Steps::new("1").tree("build/tools", tools()));
    commit(
        &journal,
        Steps::new("2").tree("build/tools", tools_reshaped()),
    );
    let error = restore(&journal, "build/tools/bin/run", 1).unwrap_err();
    assert!(
        matches!(&error, Error::Usage(UsageError::InTree { tree, .. }) if tree == "build/tools"),
        "{error}"
    );
    let error = restore(&journal, "build/nothing", 1).unwrap_err();
    assert!(
        matches!(error, Error::Usage(UsageError::NeverWritten { .. })),
        "{error}"
    );
    drop(restore(&journal, "build/tools", 1).unwrap());
    assert_eq!(journal.verify("build/tools", true).unwrap(), []);
    let link = fs::read_link(world.path("build/tools/up")).unwrap();
    assert_eq!(link.to_str(), Some("../../elsewhere"));
}

#[test]
fn a_file_is_restored_from_a_directory_that_was_removed_around_it() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/dir/a", "one");
    world.write("build/dir/theirs", "theirs");
    commit(&journal, Steps::new("rm").remove("build/dir"));
    drop(restore(&journal, "build/dir/a", 1).unwrap());
    assert_eq!(world.read("build/dir/a"), "one");
    // The directory itself is restored with unrecorded content, if its place is free.
    undone(&journal, 3);
    commit(&journal, Steps::new("rm").remove("build/dir"));
    undone(&journal, 2);
    assert_eq!(world.read("build/dir/theirs"), "theirs");
    assert_eq!(world.read("build/dir/a"), "one");
}

/// The result of the last known transaction before it was taken for the state at that time.
#[test]
fn g9_a_state_whose_history_was_deleted_is_not_guessed() {
    let forget = |journal: &Journal| {
        let nothing = Limits::NOTHING;
        let retention = Retention {
            kept: nothing,
            history: Limits {
                age: Duration::MAX,
                ..nothing
            },
            ..Retention::default()
        };
        journal.gc(&retention).unwrap();
    };
    type Act = fn(&Journal);
    let middle: [(&str, Act, Act); 3] = [
        ("changed", |j| put(j, "build/p", "two"), |_| {}),
        (
            "changed again",
            |j| put(j, "build/p", "two"),
            |j| put(j, "build/p", "four"),
        ),
        (
            "removed",
            |j| commit(j, Steps::new("rm").remove("build/p")),
            |_| {},
        ),
    ];
    for (what, second, last) in middle {
        let world = World::new();
        let journal = world.open();
        // The first one stays, because another entry refers to it.
        commit(
            &journal,
            Steps::new("1").put("build/p", "one").put("build/q", "q"),
        );
        second(&journal);
        put(&journal, "build/r", "3");
        if what != "removed" {
            drop(restore(&journal, "build/p", 1).unwrap());
        }
        forget(&journal);
        last(&journal);
        let before = world.snapshot();
        let refused = restore(&journal, "build/p", 3);
        // It may be known that the content differed, without knowing the content.
        let is_refused = match &refused {
            Ok(undo) => undo.is_refused(),
            Err(error) => matches!(error, Error::Usage(UsageError::Forgotten { .. })),
        };
        assert!(is_refused, "{what}: {refused:?}");
        before.assert_matches(&world.snapshot());
        // A state that cannot have changed since is known.
        let known = restore(&journal, "build/q", 3).unwrap();
        assert_eq!(only(&known), UndoAction::Keep, "{what}");
    }
}

/// Its content at its removal was restored, regardless of the requested time.
#[test]
fn g9_a_plain_directory_is_not_restored_to_a_time_before_its_files_were_changed() {
    let world = World::new();
    let journal = world.open();
    for content in ["one", "two"] {
        put(&journal, "build/d/a", content);
    }
    commit(&journal, Steps::new("rm").remove("build/d"));
    let refused = restore(&journal, "build/d", 1);
    assert!(
        matches!(refused, Err(Error::Usage(UsageError::InParts { .. }))),
        "{refused:?}"
    );
    drop(restore(&journal, "build/d", 2).unwrap());
    assert_eq!(world.read("build/d/a"), "two");
}

/// The directory that was removed together with a path was taken for the path.
#[test]
fn a_file_that_was_removed_with_its_directory_is_restored_as_a_file() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/d/a", "one");
    world.write("build/d/theirs", "by hand");
    commit(&journal, Steps::new("rm").remove("build/d"));
    drop(restore(&journal, "build/d/theirs", 1).unwrap());
    assert_eq!(world.read("build/d/theirs"), "by hand");
    let never = restore(&journal, "build/d/nothing", 1);
    assert!(
        matches!(never, Err(Error::Usage(UsageError::NeverWritten { .. }))),
        "{never:?}"
    );
}
