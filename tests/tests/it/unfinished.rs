//! Work next to the unfinished transaction of another process, killed or running.

use std::sync::{Arc, Mutex};

use tljournal::disk::{Call, Verb};
use tljournal::{
    Conflict, ConflictKind, Damage, Error, EventKind, Expect, Payload, RelPath, TxnState,
};
use tljournal_testkit::{Steps, When, World};
use tljournal_tests::{Hook, Record, Strike, aside, events, kill_at, small};

use crate::ACTOR;

fn put(path: &str, text: &str) -> Steps {
    Steps::new("put").put(path, text)
}

/// The content in place will be replaced: the next commit finishes the committed transaction first.
#[test]
fn g1_content_that_a_committed_transaction_replaces_does_not_count_as_unchanged() {
    let world = World::new();
    let journal = world.open();
    put("build/a", "old").try_commit(&journal).unwrap();
    let strike = Strike::before(Verb::Exchange, "build/a");
    kill_at(ACTOR, &world, &strike, &["put=build/a=new"]);
    assert_eq!(world.read("build/a"), "old");
    let receipt = put("build/a", "old").try_commit(&journal).unwrap();
    assert!(receipt.changed("build/a"), "it was not finished first");
    drop(journal);
    let journal = world.open();
    assert_eq!(journal.recovery().finished, 0);
    assert_eq!(world.read("build/a"), "old");
}

/// Two transactions of one handle: only the state of the catalog shows that to the second one.
#[test]
fn g1_a_removal_finishes_the_committed_transaction_of_a_killed_process() {
    let world = World::new();
    let journal = world.open();
    put("build/b", "other").try_commit(&journal).unwrap();
    let strike = Strike::before(Verb::RenameNew, "build/a");
    kill_at(ACTOR, &world, &strike, &["put=build/a=new"]);
    assert!(!world.exists("build/a"));
    Steps::new("rm")
        .remove("build/a")
        .try_commit(&journal)
        .unwrap();
    drop(journal);
    assert_eq!(world.open().recovery().finished, 0);
    assert!(!world.exists("build/a"));
}

/// A moved file whose content was in place loses its old name, whatever else is unfinished.
#[test]
fn a_file_moved_onto_equal_content_is_removed_despite_unfinished_work() {
    let world = World::new();
    world.open().close().unwrap();
    let strike = Strike::before(Verb::RenameNew, "x.txt");
    kill_at(ACTOR, &world, &strike, &["put=x.txt=new"]);
    // Beyond its reach: it stays unfinished.
    let territory = RelPath::new("build").unwrap();
    let journal = world.options().territory(territory).work().unwrap();
    for n in 0..3 {
        let status = journal.history().status().unwrap();
        assert_eq!(status.unfinished.len(), 1, "{status:?}");
        world.write("source", "text");
        let file = std::fs::File::options()
            .write(true)
            .open(world.path("source"));
        let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        file.unwrap().set_modified(at).unwrap();
        let mut txn = journal.begin("move");
        let payload = Payload::moved(world.path("source"));
        txn.put("build/a", payload, Expect::Any).unwrap();
        let receipt = txn.prepare().unwrap().commit().unwrap();
        // It is the same, except for its record: losing its old name has changed its ctime.
        assert_eq!(receipt.changed("build/a"), n == 0);
        assert_eq!(receipt.txn().is_some(), n < 2);
        assert!(!world.exists("source"), "{n}");
        assert_eq!(world.read("build/a"), "text");
    }
}

/// Opens another handle at a call of one, and commits with that one.
fn open_at(verb: Verb, is_there: fn(&Call<'_>) -> bool) -> (World, tljournal::Recovery) {
    let world = World::new();
    world.open().close().unwrap();
    let seen = Arc::new(Mutex::new(None));
    let (at, note) = (world.root().to_owned(), seen.clone());
    let hook = move |when: When, call: &Call<'_>| {
        let mut note = note.lock().unwrap();
        if note.is_none() && (when, call.verb) == (When::Before, verb) && is_there(call) {
            *note = Some(World::at(&at).open().recovery().clone());
        }
        Ok(())
    };
    let journal = world.open_witnessed(&Arc::new(Hook(hook))).unwrap();
    let receipt = put("build/a", "new").try_commit(&journal).unwrap();
    assert!(receipt.changed("build/a"));
    drop(journal);
    let seen = seen.lock().unwrap().take();
    (world, seen.expect("the call was not made"))
}

/// Its row exists before its directory.
#[test]
fn g6_a_transaction_that_has_no_directory_yet_is_not_rolled_back_under_its_owner() {
    let (world, seen) = open_at(Verb::MakeDir, |call| {
        call.path.parent().is_some_and(|dir| dir.ends_with("txn"))
    });
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(world.read("build/a"), "new");
}

#[test]
fn g6_a_transaction_that_is_staged_is_not_rolled_back_under_its_owner() {
    let (world, seen) = open_at(Verb::SyncDir, |call| call.path.as_str().contains("/txn"));
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(world.read("build/a"), "new");
}

/// The run that replaced a pinned tree is still running, and has released its directory.
#[test]
fn g7_content_that_was_pinned_is_deleted_by_another_run_once_unpinned() {
    let world = World::new();
    let nothing = tljournal_tests::nothing_kept();
    let journal = world.options().retention(nothing.clone()).work().unwrap();
    let tree = |version: &str| Steps::new("tree").tree("build/t", small(version));
    tree("one").try_commit(&journal).unwrap();
    let pin = journal.pin("build/t").unwrap();
    tree("two").try_commit(&journal).unwrap();
    let other = || world.options().retention(nothing.clone()).work().unwrap();
    assert_eq!(other().recovery().swept, 0, "it is pinned");
    assert_eq!(world.left_in_staging().len(), 1);
    drop(pin);
    // The handle drops its own transaction; its run continues.
    assert_eq!(other().recovery().swept, 1);
    assert_eq!(world.left_in_staging(), [""; 0]);
    // The pin is reported once, however often it is found.
    assert_eq!(events(&journal, &EventKind::ReplacedPinned).len(), 1);
}

/// One file is in place, and the next is edited before it is replaced: everything is rolled back.
#[test]
fn a_recovery_counts_what_it_rolled_back_and_keeps_the_edit() {
    let world = World::new();
    let journal = world.open();
    let old = Steps::new("old")
        .put("build/a", "old")
        .put("build/b", "old");
    old.try_commit(&journal).unwrap();
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "/build/b");
    let steps = ["put=build/a=new", "put=build/b=new"];
    kill_at(ACTOR, &world, &strike, &steps);
    world.write("build/b", "a person's edit");
    let journal = world.open();
    let found = journal.recovery();
    assert_eq!((found.finished, found.taken_back, found.stuck), (0, 1, 0));
    assert_eq!(world.read("build/a"), "old");
    assert_eq!(world.read("build/b"), "a person's edit");
    assert_eq!(world.left_in_staging(), [""; 0]);
    drop(journal);
    assert!(world.open().recovery().is_empty());
}

/// Both the new file and the old one were tampered with: a person must decide.
#[test]
fn a_recovery_counts_stuck_transactions_which_block_only_their_own_paths() {
    let world = World::new();
    let journal = world.open();
    let old = Steps::new("old")
        .put("build/a", "old")
        .put("build/b", "old");
    old.try_commit(&journal).unwrap();
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "/build/b");
    let steps = ["put=build/a=new", "put=build/b=new"];
    kill_at(ACTOR, &world, &strike, &steps);
    world.write("build/b", "a person's edit");
    // The edit is in the place of the new file, which is missing, so that they cannot be exchanged.
    std::fs::remove_file(world.path("build/a")).unwrap();
    world.write("build/a", "another edit");
    let journal = world.open();
    let found = journal.recovery();
    assert_eq!((found.taken_back, found.stuck), (0, 1), "{found:?}");
    let status = journal.history().status().unwrap();
    assert_eq!(status.stuck.len(), 1);
    assert_eq!(world.read("build/a"), "another edit");
    let said = put("build/a", "more").try_commit(&journal).map(drop);
    assert!(
        matches!(
            said,
            Err(Error::Conflict(Conflict {
                kind: ConflictKind::Stuck { .. },
                ..
            }))
        ),
        "{said:?}"
    );
    put("build/c", "more").try_commit(&journal).unwrap();
}

/// An obstacle of a rename appears after the commit point.
#[test]
fn g9_an_obstacle_of_a_publication_is_a_conflict_and_stays() {
    let world = World::new();
    world.open().close().unwrap();
    let at = world.path("build/a");
    let hook = move |when: When, call: &Call<'_>| {
        let to = call.other.as_ref().is_some_and(|to| *to == at);
        if (when, call.verb, to) == (When::Before, Verb::RenameNew, true) && !at.exists() {
            std::fs::write(&at, "theirs")?;
        }
        Ok(())
    };
    let journal = world.open_witnessed(&Arc::new(Hook(hook))).unwrap();
    let said = put("build/a", "ours").try_commit(&journal).map(drop);
    assert!(
        matches!(
            said,
            Err(Error::Conflict(Conflict {
                kind: ConflictKind::Edited,
                ..
            }))
        ),
        "{said:?}"
    );
    assert_eq!(world.read("build/a"), "theirs");
    drop(journal);
    assert_eq!(world.left_in_staging(), [""; 0]);
}

/// Changes after the first conflict are not applied, not even temporarily.
#[test]
fn g3_no_change_is_applied_after_a_blocked_one() {
    let world = World::new();
    let journal = world.open();
    let both = |text: &str| {
        let steps = Steps::new("both");
        steps.put("build/a", text).put("build/b", text)
    };
    both("old").try_commit(&journal).unwrap();
    journal.close().unwrap();
    let new = both("new").put("build/x/y/c", "new");
    let (at, record) = (world.path("build/a"), Arc::new(Record::default()));
    let hook = move |when: When, call: &Call<'_>| {
        if (when, call.verb) == (When::Before, Verb::Exchange) && call.other.as_ref() == Some(&at) {
            std::fs::write(&at, "theirs")?;
        }
        Ok(())
    };
    let both_witnesses = tljournal_testkit::Both(Hook(hook), Shared(record.clone()));
    let journal = world.open_witnessed(&Arc::new(both_witnesses)).unwrap();
    let said = new.try_commit(&journal).map(drop);
    assert!(matches!(said, Err(Error::Conflict(_))), "{said:?}");
    assert!(!world.exists("build/x"), "a directory that was made for it");
    let touched = record.take().into_iter().filter(|(verb, from, to)| {
        let to = to.as_deref().is_some_and(|to| to.ends_with("build/b"));
        *verb != Verb::SyncDir && (from.ends_with("build/b") || to)
    });
    assert_eq!(touched.collect::<Vec<_>>(), []);
    assert_eq!(world.read("build/a"), "theirs");
    assert_eq!(world.read("build/b"), "old");
    let state = journal
        .history()
        .transactions(&tljournal::TxnFilter::default());
    assert_eq!(state.unwrap()[0].state, TxnState::Aborted);
    assert_eq!(aside(&world), [""; 0]);
}

struct Shared(Arc<Record>);

impl tljournal::disk::Witness for Shared {
    fn before(&self, call: &Call<'_>) -> std::io::Result<()> {
        self.0.before(call)
    }
}

/// If staged content is removed by hand, nothing is committed.
#[test]
fn g1_missing_staged_content_is_an_error_before_the_commit_point() {
    let world = World::new();
    let journal = world.open();
    let prepared = put("build/a", "new").prepare(&journal).unwrap();
    let mut staged = world.path("build/.state/txn").read_dir_utf8().unwrap();
    let staged = staged.next().unwrap().unwrap().path().join("0");
    std::fs::remove_file(staged).unwrap();
    let said = prepared.commit().map(drop);
    assert!(matches!(said, Err(Error::Disk(_))), "{said:?}");
    let found = journal
        .history()
        .transactions(&tljournal::TxnFilter::default());
    assert!(
        found
            .unwrap()
            .iter()
            .all(|txn| txn.state != TxnState::Applied)
    );
    assert!(!matches!(said, Err(Error::Damaged(Damage::Stuck { .. }))));
}

/// If the system refuses a change after the commit point the transaction is rolled back, with the reason.
#[test]
fn g1_a_transaction_whose_application_fails_is_rolled_back() {
    let world = World::new();
    let both = |text: &str| {
        let steps = Steps::new("both");
        steps.put("build/a", text).put("build/b", text)
    };
    let journal = world.open();
    both("old").try_commit(&journal).unwrap();
    journal.close().unwrap();
    let at = world.path("build/b");
    let hook = move |when: When, call: &Call<'_>| {
        let is_it = call.verb == Verb::Exchange && call.other.as_ref() == Some(&at);
        match when == When::Before && is_it {
            true => Err(std::io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    };
    let journal = world.open_witnessed(&Arc::new(Hook(hook))).unwrap();
    let said = both("new").try_commit(&journal).map(drop);
    assert!(matches!(said, Err(Error::Disk(_))), "{said:?}");
    assert_eq!(world.read("build/a") + &world.read("build/b"), "oldold");
    drop(journal);
    let journal = world.open();
    assert_eq!(
        (journal.recovery().finished, journal.recovery().taken_back),
        (0, 0)
    );
    assert_eq!(world.read("build/a") + &world.read("build/b"), "oldold");
}

/// A background process of a command may still use it.
#[test]
fn g7_staged_content_of_a_killed_process_is_not_deleted_while_in_use() {
    let world = World::new();
    let open = || {
        let nothing = tljournal_tests::nothing_kept();
        world.options().retention(nothing).work().unwrap()
    };
    open().close().unwrap();
    let strike = Strike::before(Verb::SyncFilesystem, "");
    kill_at(ACTOR, &world, &strike, &["tree=build/t=one"]);
    let mut staged = world.path("build/.state/txn").read_dir_utf8().unwrap();
    let staged = staged.next().unwrap().unwrap().path().join("0");
    let held = std::fs::File::open(&staged).unwrap();
    held.lock_shared().unwrap();
    assert_eq!(open().recovery().rolled_back, 1);
    assert!(staged.join("sub/f1").exists());
    drop(held);
    assert_eq!(open().recovery().swept, 1);
    assert!(!staged.exists());
}
