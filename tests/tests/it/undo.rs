//! Undoing transactions.

use std::fs;

use tljournal::disk::Verb;
use tljournal::{
    Because, ConflictKind, Error, Journal, NotKept, TxnFilter, TxnRecord, TxnState, Undo,
    UndoAction, UndoOptions, UsageError,
};
use tljournal_testkit::{Meddle, Snapshot, Steps, What, World, check_database};
use tljournal_tests::{End, Mounted, WITHOUT_CALLS, all_cases, aside, nothing_kept, only, small};

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

/// Undoes a transaction, which must be possible.
fn undone(journal: &Journal, number: i64) {
    let done = undo(journal, number);
    assert!(!done.is_refused() && done.txn.is_some(), "{done:?}");
}

fn undo(journal: &Journal, number: i64) -> Undo {
    let txn = numbered(journal, number);
    journal.undo(&txn, &UndoOptions::default()).unwrap()
}

fn forced() -> UndoOptions {
    UndoOptions {
        force: true,
        ..UndoOptions::default()
    }
}

/// The differences, except for directories that were created on the way and stay, and for the times of those in which
/// something was changed.
fn lasting(found: &Snapshot, expected: &Snapshot, steps: &Steps) -> Vec<String> {
    let (mut found, mut expected) = (found.clone(), expected.clone());
    for path in steps.paths() {
        found = found.ignoring_parents_of(path);
        expected = expected.ignoring_parents_of(path);
    }
    for path in found.paths() {
        let seen = found.get(path).unwrap();
        if expected.get(path).is_none() && seen.what == What::Dir {
            expected = expected.with(path, seen.clone());
        }
    }
    found.differences(&expected)
}

#[test]
fn g5_every_kind_of_transaction_is_undone_and_redone_to_the_nanosecond() {
    let mut undone = 0;
    for case in all_cases() {
        let plain = case.act.is_none() && case.end == End::Commit && case.meddle.is_none();
        if !plain || WITHOUT_CALLS.contains(&case.name) || case.name == "tree-unchanged" {
            continue;
        }
        let world = World::new();
        case.prepare(&world);
        let before = world.snapshot().ignoring_link_times();
        let journal = case.reopen(&world);
        let last = journal.history().status().unwrap().latest;
        case.run(&journal).unwrap();
        let txn = latest(&journal);
        assert!(txn.number > last, "{}", case.name);
        let after = world.snapshot().ignoring_link_times();

        let done = undo(&journal, txn.number);
        assert!(done.txn.is_some(), "{}: {done:?}", case.name);
        let found = world.snapshot().ignoring_link_times();
        let wrong = lasting(&found, &before, &case.steps);
        assert!(wrong.is_empty(), "{} undone: {wrong:?}", case.name);
        let undoing = latest(&journal);
        assert_eq!(undoing.undoes, Some(txn.number), "{}", case.name);
        assert_eq!(undoing.label, format!("undo {}: {}", txn.number, txn.label));

        let done = undo(&journal, undoing.number);
        assert!(done.txn.is_some(), "{}: {done:?}", case.name);
        let found = world.snapshot().ignoring_link_times();
        let wrong = lasting(&found, &after, &case.steps);
        assert!(wrong.is_empty(), "{} redone: {wrong:?}", case.name);
        journal.close().unwrap();
        assert_eq!(check_database(&world), [""; 0]);
        undone += 1;
    }
    assert!(undone > 10, "{undone}");
}

#[test]
fn a_dry_run_reports_the_same_and_changes_nothing() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, Steps::new("1").tree("build/tools", small("1")));
    commit(
        &journal,
        Steps::new("2")
            .tree("build/tools", small("2"))
            .put("build/new", "new"),
    );
    let before = (world.snapshot(), world.kept());
    let planned = journal
        .history()
        .plan_undo(&latest(&journal), &UndoOptions::default())
        .unwrap();
    assert_eq!(planned.txn, None);
    assert_eq!((world.snapshot(), world.kept()), before);
    assert_eq!(latest(&journal).number, 2);
    let done = undo(&journal, 2);
    let steps = |undo: &Undo| -> Vec<_> {
        let steps = undo.steps.iter();
        steps
            .map(|step| (step.path.clone(), step.action, step.kept_by))
            .collect()
    };
    assert_eq!(steps(&planned), steps(&done));
    let restored = ("build/tools".to_owned(), UndoAction::Restore, Some(2));
    assert_eq!(
        steps(&done),
        [restored, ("build/new".to_owned(), UndoAction::Remove, None)]
    );
}

#[test]
fn g9_later_changes_are_named_and_not_lost() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "one");
    commit(
        &journal,
        Steps::new("both").put("build/a", "two").put("build/b", "b"),
    );
    put(&journal, "build/a", "three");
    let refused = undo(&journal, 2);
    assert!(refused.is_refused());
    let later = Because::Later {
        txn: 3,
        label: "put build/a".to_owned(),
    };
    assert_eq!(refused.steps[0].because, Some(later.clone()));
    // All or nothing: the other path could have been undone.
    assert_eq!(refused.steps[1].action, UndoAction::Remove);
    assert!(world.exists("build/b") && world.read("build/a") == "three");
    assert_eq!(latest(&journal).number, 3);

    let done = journal.undo(&numbered(&journal, 2), &forced()).unwrap();
    assert_eq!(done.steps[0].because, Some(later));
    assert!(!world.exists("build/b") && world.read("build/a") == "one");
    // The lost change is retained in turn.
    assert_eq!(undo(&journal, 4).steps[0].action, UndoAction::Restore);
    assert_eq!(world.read("build/a"), "three");
}

#[test]
fn g9_an_edit_without_the_journal_is_not_lost() {
    let world = World::new();
    let journal = world.open();
    commit(
        &journal,
        Steps::new("1")
            .put("build/a", "one")
            .tree("build/tools", small("1")),
    );
    commit(&journal, Steps::new("2").put("build/a", "two"));
    world.write("build/a", "another edit");
    world.write("build/tools/extra", "another file");
    for (txn, path) in [(2, 0), (1, 1)] {
        let refused = undo(&journal, txn);
        assert_eq!(
            refused.steps[path].because,
            Some(Because::Edited),
            "{refused:?}"
        );
    }
    assert_eq!(world.read("build/a"), "another edit");
    let done = journal.undo(&numbered(&journal, 2), &forced()).unwrap();
    assert_eq!(done.steps[0].because, Some(Because::Edited));
    assert_eq!(world.read("build/a"), "one");
    // It was not the journal's own work, so it is set aside.
    assert_eq!(aside(&world).len(), 1);
}

#[test]
fn g9_an_edit_between_plan_and_commit_is_a_conflict() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "one");
    put(&journal, "build/a", "two");
    commit(&journal, Steps::new("ln").link("build/l", "1"));
    commit(&journal, Steps::new("ln").link("build/l", "2"));
    journal.close().unwrap();
    for (txn, path) in [(2, "build/a"), (4, "build/l")] {
        let (there, scratch) = (world.path(path), world.outside().join("edit"));
        let save = move || {
            fs::write(&scratch, "an edit").unwrap();
            fs::rename(&scratch, &there).unwrap();
        };
        // The first call of an undo on disk: the plan exists by then.
        let meddle = std::sync::Arc::new(Meddle::before_first(Verb::MakeDir, save));
        let journal = world.open_witnessed(&meddle).unwrap();
        let txn = numbered(&journal, txn);
        let error = journal.undo(&txn, &UndoOptions::default()).unwrap_err();
        assert!(meddle.is_done());
        let Error::Conflict(conflict) = &error else {
            panic!("{error:?}")
        };
        assert!(matches!(conflict.kind, ConflictKind::Edited), "{error}");
        assert_eq!(world.read(path), "an edit");
    }
}

#[test]
fn unavailable_content_is_refused_with_the_reason_even_with_force() {
    let world = World::new();
    let journal = world.open();
    for content in ["one", "two"] {
        put(&journal, "build/a", content);
        put(&journal, "build/keys/b", &format!("key {content}"));
    }
    world.write("build/c", "another edit");
    put(&journal, "build/c", "ours");
    let reason = |number| {
        let refused = journal.undo(&numbered(&journal, number), &forced());
        only(&refused.unwrap())
    };
    let not_kept = |why| (UndoAction::Refuse, Some(Because::NotKept(why)));
    assert_eq!(reason(4), not_kept(NotKept::KeyMaterial));
    assert_eq!(reason(5), not_kept(NotKept::Aside));
    assert_eq!(only(&undo(&journal, 3)).0, UndoAction::Restore);
    journal.gc(&nothing_kept()).unwrap();
    assert_eq!(reason(6), not_kept(NotKept::Thinned));
    assert_eq!(world.read("build/a"), "one");
}

#[test]
fn damaged_retained_content_is_not_restored() {
    let world = World::new();
    let journal = world.open();
    commit(
        &journal,
        Steps::new("1")
            .put("build/a", "one")
            .tree("build/tools", small("1")),
    );
    put(&journal, "build/a", "two");
    commit(&journal, Steps::new("3").tree("build/tools", small("2")));
    for (number, kept) in [(2, "0"), (3, "0/sub/f1")] {
        let txn = numbered(&journal, number);
        let path = world
            .path("build/.state/txn")
            .join(txn.id.to_string())
            .join(kept);
        // As a failing disk does: size and mtime stay.
        let meta = fs::metadata(&path).unwrap();
        let length = fs::read(&path).unwrap().len();
        fs::write(&path, vec![b'!'; length]).unwrap();
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(meta.modified().unwrap()).unwrap();
        let before = world.snapshot();
        let error = journal.undo(&txn, &UndoOptions::default()).unwrap_err();
        let Error::Conflict(conflict) = &error else {
            panic!("{error:?}")
        };
        assert!(
            matches!(conflict.kind, ConflictKind::KeptDamaged),
            "{error}"
        );
        assert_eq!(world.snapshot(), before);
    }
    assert_eq!(world.left_in_staging(), [""; 0]);
}

#[test]
fn only_applied_transactions_are_undone_and_once_is_enough() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "one");
    put(&journal, "build/a", "two");
    let never = Steps::new("never").put("build/a", "three");
    never.prepare(&journal).unwrap().rollback().unwrap();
    let error = journal.undo(&latest(&journal), &UndoOptions::default());
    let error = error.unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Usage(UsageError::NotApplied {
                txn: 3,
                state: TxnState::Aborted
            })
        ),
        "{error}"
    );
    undone(&journal, 2);
    let again = undo(&journal, 2);
    assert_eq!(
        (again.txn, only(&again)),
        (None, (UndoAction::Keep, Some(Because::AlreadySo)))
    );
}

#[test]
fn g7_a_pinned_tree_is_kept_while_it_is_undone() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, Steps::new("1").tree("build/tools", small("1")));
    commit(&journal, Steps::new("2").tree("build/tools", small("2")));
    let pin = journal.pin("build/tools").unwrap().unwrap();
    let fails = UndoOptions {
        on_pinned: tljournal::OnPinned::Fail,
        ..UndoOptions::default()
    };
    let txn = numbered(&journal, 2);
    for refused in [
        journal.history().plan_undo(&txn, &fails).unwrap(),
        journal.undo(&txn, &fails).unwrap(),
    ] {
        let (action, why) = only(&refused);
        assert_eq!(action, UndoAction::Refuse);
        assert!(matches!(why, Some(Because::Pinned { .. })), "{why:?}");
    }
    assert_eq!(latest(&journal).number, 2, "nothing was begun for it");
    undone(&journal, 2);
    let seen = fs::read_to_string(format!("{}/sub/f1", pin.path())).unwrap();
    assert_eq!(seen, "2");
    assert_eq!(world.read("build/tools/sub/f1"), "1");
}

#[test]
fn g7_content_being_restored_is_not_deleted_meanwhile() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, Steps::new("1").tree("build/tools", small("1")));
    commit(&journal, Steps::new("2").tree("build/tools", small("2")));
    journal.close().unwrap();
    let root = world.root().to_owned();
    let in_use = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = in_use.clone();
    let collect = move || {
        let other = World::at(root.clone()).open();
        let done = other.gc(&nothing_kept()).unwrap();
        told.lock().unwrap().extend(done.in_use);
    };
    let meddle = std::sync::Arc::new(Meddle::before_first(Verb::MakeDir, collect));
    let journal = world.open_witnessed(&meddle).unwrap();
    undone(&journal, 2);
    assert_eq!(in_use.lock().unwrap().len(), 1);
    assert_eq!(journal.verify("build/tools", true).unwrap(), []);
    drop(journal);
    assert_eq!(world.read("build/tools/sub/f1"), "1");
}

#[test]
fn a_rebuildable_tree_is_undone_after_it_is_synced() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, Steps::new("1").tree("build/tools", small("1")));
    let before = world.snapshot();
    commit(
        &journal,
        Steps::new("2").rebuildable("build/tools", small("2")),
    );
    assert_eq!(latest(&journal).kept, None);
    undone(&journal, 2);
    world
        .snapshot()
        .below("build/tools")
        .assert_matches(&before.below("build/tools"));
}

#[test]
fn content_on_another_filesystem_is_not_retained_and_undo_says_so() {
    let world = World::new();
    world.make_dir("other");
    let Some(_mounted) = Mounted::tmpfs(world.path("other")) else {
        return;
    };
    let journal = world.open();
    put(&journal, "other/a", "one");
    put(&journal, "other/a", "two");
    let refused = undo(&journal, 2);
    let why = Because::NotKept(NotKept::OtherFilesystem);
    assert_eq!(only(&refused), (UndoAction::Refuse, Some(why)));
    put(&journal, "other/new", "new");
    assert_eq!(only(&undo(&journal, 3)).0, UndoAction::Remove);
    assert!(!world.exists("other/new"));
}
