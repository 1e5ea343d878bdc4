//! Changes by others between a check and what relies on it.

use std::fs::{File, rename};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, Once};

use camino::Utf8PathBuf;
use tljournal::disk::{Call, Verb, Witness};
use tljournal::{Conflict, ConflictKind, Error, Expect, Stat, TreeOptions, TxnFilter};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{Strike, kill_at, small, until_waiting, within};

use crate::ACTOR;

fn is_unexpected<T>(said: &Result<T, Error>) -> bool {
    matches!(
        said,
        Err(Error::Conflict(Conflict {
            kind: ConflictKind::Unexpected { .. },
            ..
        }))
    )
}

#[test]
fn g9_an_entry_created_at_an_expected_absence_is_a_conflict_and_stays() {
    let world = World::new();
    let journal = world.open();
    let steps = [
        Steps::new("put").put("build/a", "ours"),
        Steps::new("link").link("build/a", "ours"),
        Steps::new("tree").tree("build/a", small("ours")),
    ];
    for steps in steps {
        let steps = steps.expecting(Expect::Absent);
        let prepared = steps.prepare(&journal).unwrap();
        world.write("build/a", "theirs");
        let said = prepared.commit().map(drop);
        assert!(is_unexpected(&said), "{}: {said:?}", steps.label);
        assert_eq!(world.read("build/a"), "theirs", "{}", steps.label);
        std::fs::remove_file(world.path("build/a")).unwrap();
    }
}

#[test]
fn g9_an_absence_where_an_entry_was_expected_is_a_conflict() {
    let world = World::new();
    let journal = world.open();
    world.write("build/a", "theirs");
    let steps = Steps::new("put").put("build/a", "ours");
    let steps = steps.expecting(Expect::Present);
    let prepared = steps.prepare(&journal).unwrap();
    std::fs::remove_file(world.path("build/a")).unwrap();
    let said = prepared.commit().map(drop);
    assert!(is_unexpected(&said), "{said:?}");
    assert!(!world.exists("build/a"));
}

/// The expectation applies even if the wanted content is in place.
#[test]
fn g9_expectations_are_checked_for_unchanged_content_too() {
    let world = World::new();
    let journal = world.open();
    let steps = Steps::new("put").put("build/a", "same");
    steps.try_commit(&journal).unwrap();
    let other = Expect::Digest(tljournal::Digest::of(b"another"));
    let said = steps.clone().expecting(other).try_commit(&journal);
    assert!(is_unexpected(&said), "{said:?}");
    let same = Expect::Digest(tljournal::Digest::of(b"same"));
    let receipt = steps.expecting(same).try_commit(&journal).unwrap();
    assert!(!receipt.changed_anything());
}

/// The caller need not stage gigabytes to learn about a failed expectation.
#[test]
fn a_failed_expectation_is_a_conflict_before_anything_is_staged() {
    let world = World::new();
    let journal = world.open();
    world.write("build/a", "theirs");
    let mut txn = journal.begin("put");
    let there = txn.put("build/a", "ours", Expect::Absent);
    let absent = txn.put("build/b", "ours", Expect::Present);
    assert!(is_unexpected(&there) && is_unexpected(&absent));
    assert_eq!(txn.id(), None, "something was staged");
    // The transaction continues without them.
    txn.put("build/c", "ours", Expect::Absent).unwrap();
    txn.prepare().unwrap().commit().unwrap();
    assert_eq!(world.read("build/c"), "ours");
}

/// Replaces a tree by another one, without the journal.
fn exchange(world: &World, path: &str, version: &str) {
    rename(world.path(path), world.path("build/earlier")).unwrap();
    small(version).write_to(&world.path(path));
}

#[test]
fn g7_after_a_wait_the_pin_is_on_the_current_tree() {
    within("a pin", || {
        let world = World::new();
        let journal = world.open();
        let steps = Steps::new("one").tree("build/t", small("one"));
        steps.try_commit(&journal).unwrap();
        // As a process that deletes it does.
        let alone = File::open(world.path("build/t")).unwrap();
        alone.lock().unwrap();
        let pinning = std::thread::spawn(move || journal.pin("build/t"));
        until_waiting(1, &[&world.path("build/t")]);
        exchange(&world, "build/t", "two");
        drop(alone);
        let pin = pinning.join().unwrap().unwrap().unwrap();
        let there = world.path("build/t").metadata().unwrap().ino();
        assert_eq!(pin.identity().ino, there, "another tree is pinned");
    });
}

/// Calls back for every `stat`, and before every mutating call.
struct Eyes<F, G>(F, G);

impl<F, G> Witness for Eyes<F, G>
where
    F: Fn(&Stat) + Send + Sync,
    G: Fn(&Call<'_>) + Send + Sync,
{
    fn before(&self, call: &Call<'_>) -> std::io::Result<()> {
        (self.1)(call);
        Ok(())
    }

    fn found(&self, stat: &mut Stat) {
        (self.0)(stat);
    }
}

fn wait_for(signal: &Mutex<Receiver<()>>) {
    // A dropped sender counts as a signal.
    let _ = signal.lock().unwrap().recv();
}

/// The directory of the only transaction.
fn staging(world: &World) -> Utf8PathBuf {
    let mut entries = world.path("build/.state/txn").read_dir_utf8().unwrap();
    entries.next().unwrap().unwrap().path().to_owned()
}

/// One recovery retains what a killed run had staged. A second one saw the transaction rolled back but not retained
/// yet: it must check again before it deletes anything.
#[test]
fn g9_content_retained_by_one_recovery_is_not_deleted_by_another() {
    within("two recoveries", || {
        let world = World::new();
        world.open().close().unwrap();
        let strike = Strike::before(Verb::SyncDir, "/.state/txn/");
        kill_at(ACTOR, &world, &strike, &["put=build/a=staged"]);
        let staged = staging(&world);
        let ino = staged.join("0").metadata().unwrap().ino();

        // The first one stops after it has rolled the transaction back, and reads what was staged.
        let (is_there, there) = channel();
        let (go_on, may_go_on) = channel();
        let (is_there, may_go_on) = (Mutex::new(is_there), Mutex::new(may_go_on));
        let once = Once::new();
        let stop = move |stat: &Stat| {
            if stat.identity.ino == ino {
                once.call_once(|| {
                    let _ = is_there.lock().unwrap().send(());
                    wait_for(&may_go_on);
                });
            }
        };
        let first = Arc::new(Eyes(stop, |_: &Call<'_>| {}));
        let (ended, has_ended) = channel();
        let at = World::at(world.root());
        let thread = std::thread::spawn(move || {
            let kept = at.open_witnessed(&first).map(|journal| {
                let filter = TxnFilter::default();
                journal.history().transactions(&filter).unwrap()[0].kept
            });
            let _ = ended.send(());
            kept
        });
        there.recv().unwrap();

        // The second one has an older leftover to remove before it reaches that transaction.
        let orphan = "00000000-0000-7000-8000-000000000000";
        world.make_dir(&format!("build/.state/txn/{orphan}"));
        let (go_on, has_ended) = (Mutex::new(Some(go_on)), Mutex::new(has_ended));
        let let_it_end = move |call: &Call<'_>| {
            if call.verb == Verb::RemoveDir && call.path.ends_with(orphan) {
                drop(go_on.lock().unwrap().take());
                wait_for(&has_ended);
            }
        };
        let second = Arc::new(Eyes(|_: &Stat| {}, let_it_end));
        let journal = world.open_witnessed(&second).unwrap();
        assert_eq!(journal.recovery().rolled_back, 1, "the older leftover");
        assert_eq!(thread.join().unwrap().unwrap(), Some(6));
        let found = journal.history().transactions(&TxnFilter::default());
        assert_eq!(found.unwrap()[0].kept, Some(6));
        let content = std::fs::read_to_string(staged.join("0"));
        assert_eq!(content.unwrap(), "staged");
    });
}

/// An opening costs nothing for retained content.
#[test]
fn retained_content_is_not_read_when_a_journal_is_opened() {
    let world = World::new();
    let journal = world.open();
    for text in ["one", "two"] {
        let steps = Steps::new("put").put("build/a", text);
        steps.try_commit(&journal).unwrap();
    }
    assert_eq!(world.kept().len(), 1);
    journal.close().unwrap();
    let kept = staging(&world).metadata().unwrap().ino();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = seen.clone();
    let look = move |stat: &Stat| note.lock().unwrap().push(stat.identity.ino);
    let eyes = Arc::new(Eyes(look, |_: &Call<'_>| {}));
    world.open_witnessed(&eyes).unwrap().close().unwrap();
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty() && !seen.contains(&kept));
}

/// An edit that restores size and mtime changes the ctime.
#[test]
fn g9_an_unchanged_file_that_is_edited_and_dated_back_is_put_again() {
    let world = World::new();
    let (journal, other) = (world.open(), world.open());
    let steps = Steps::new("put").put("build/a", "same");
    steps.try_commit(&journal).unwrap();
    let prepared = steps.prepare(&journal).unwrap();
    let path = world.path("build/a");
    let mtime = path.metadata().unwrap().modified().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut &file, b"edit").unwrap();
    file.set_modified(mtime).unwrap();
    // An unchanged result is valid until another commit.
    let beside = Steps::new("beside").put("build/b", "new");
    beside.try_commit(&other).unwrap();
    let receipt = prepared.commit().unwrap();
    assert!(receipt.changed("build/a"));
    assert_eq!(world.read("build/a"), "same");
}

/// A caller that read the content before its decision expects it to be replaced.
#[test]
fn g9_an_edit_that_the_caller_expects_by_its_digest_is_not_set_aside() {
    let world = World::new();
    let journal = world.open();
    let put = |text: &str| Steps::new("put").put("build/a", text);
    put("one").try_commit(&journal).unwrap();
    world.write("build/a", "an edit");
    let expected = Expect::Digest(tljournal::Digest::of(b"an edit"));
    let steps = put("two").expecting(expected);
    steps.try_commit(&journal).unwrap();
    assert_eq!(world.read("build/a"), "two");
    assert_eq!(tljournal_tests::aside(&world), [""; 0]);
    world.write("build/a", "an edit");
    put("three").try_commit(&journal).unwrap();
    assert_eq!(tljournal_tests::aside(&world).len(), 1);
}

#[test]
fn g9_the_record_of_an_entry_that_was_removed_by_hand_is_deleted_by_its_removal() {
    let world = World::new();
    let journal = world.open();
    let steps = Steps::new("put").put("build/a", "one");
    steps.try_commit(&journal).unwrap();
    std::fs::remove_file(world.path("build/a")).unwrap();
    let gone = Steps::new("rm").remove("build/a");
    gone.try_commit(&journal).unwrap();
    let entry = journal.history().entry("build/a").unwrap();
    assert!(entry.is_none(), "{entry:?}");
}

/// A change within one tick of the filesystem's clock keeps the ctime: a recent signature proves nothing.
#[test]
fn g9_an_edit_without_a_new_ctime_is_found_by_hashing() {
    struct OneTick;
    impl Witness for OneTick {
        fn before(&self, _: &Call<'_>) -> std::io::Result<()> {
            Ok(())
        }

        fn found(&self, stat: &mut Stat) {
            if (stat.kind, stat.size) == (tljournal::Kind::File, 4) {
                // A ctime in the future, so that the file is never old enough.
                stat.ctime = tljournal::Timestamp::new(4_000_000_000, 0);
            }
        }
    }
    let world = World::new();
    let journal = world.open_witnessed(&Arc::new(OneTick)).unwrap();
    let put = || {
        let steps = Steps::new("put").put("build/a", "same");
        steps.try_commit(&journal).unwrap().changed("build/a")
    };
    assert!(put());
    let path = world.path("build/a");
    for n in 5..8 {
        let mtime = path.metadata().unwrap().modified().unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut &file, b"edit").unwrap();
        file.set_modified(mtime).unwrap();
        assert!(put(), "the edit was not seen");
        assert_eq!(world.read("build/a"), "same");
        assert!(!put());
        // The result of hashing is recorded with the next change, and proves no more than before.
        let beside = Steps::new("beside").put("build/a", "same");
        let beside = beside.put("build/b", "n".repeat(n));
        let receipt = beside.try_commit(&journal).unwrap();
        assert!(receipt.changed("build/b") && !receipt.changed("build/a"));
    }
}

/// A change inside a tree is not visible at its root.
#[test]
fn g9_an_unchanged_tree_that_is_edited_meanwhile_is_installed_again() {
    let world = World::new();
    let (journal, other) = (world.open(), world.open());
    let install = || {
        let mut txn = journal.begin("tree");
        let source = small("one").source().known_as("one");
        txn.tree("build/t", source, TreeOptions::default()).unwrap();
        txn.prepare().unwrap()
    };
    assert!(install().commit().unwrap().changed("build/t"));
    let prepared = install();
    world.write("build/t/sub/f1", "an edit");
    // An unchanged result is valid until another commit.
    let beside = Steps::new("beside").put("build/b", "new");
    beside.try_commit(&other).unwrap();
    assert!(prepared.commit().unwrap().changed("build/t"));
    assert_eq!(world.read("build/t/sub/f1"), "one");
}

/// Its mode is changed to move it, which is not an edit.
#[test]
fn g9_a_tree_whose_root_may_not_be_written_is_replaced_without_being_set_aside() {
    let world = World::new();
    let journal = world.open();
    for version in ["one", "two", "three"] {
        let mut tree = small(version);
        tree.entries[0].1 = 0o555;
        let steps = Steps::new("tree").tree("build/t", tree);
        assert!(steps.try_commit(&journal).unwrap().changed("build/t"));
        let mode = world.path("build/t").metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o555);
        assert_eq!(tljournal_tests::aside(&world), [""; 0]);
    }
    let gone = Steps::new("rm").remove("build/t");
    gone.try_commit(&journal).unwrap();
    assert_eq!(tljournal_tests::aside(&world), [""; 0]);
}
