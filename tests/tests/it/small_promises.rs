//! Details of the guarantees that no other test covers.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use tljournal::disk::Verb;
use tljournal::{Error, EventKind, Expect, LockMode, Payload, Timestamp, TxnFilter, UsageError};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{Record, Strike, aside, events, kill_at};

use crate::ACTOR;

fn mode(world: &World, path: &str) -> u32 {
    world.path(path).metadata().unwrap().mode() & 0o7777
}

#[test]
fn g4_g5_another_mode_or_mtime_is_a_change_and_the_same_is_none() {
    let world = World::new();
    let journal = world.open();
    let at = |secs| Timestamp::new(secs, 5);
    let put = |mode, secs| Steps::new("put").put_as("build/a", "text", mode, at(secs));
    for (bits, secs) in [(0o644, 1), (0o600, 1), (0o755, 1), (0o755, 2)] {
        let receipt = put(bits, secs).try_commit(&journal).unwrap();
        assert!(receipt.changed("build/a"), "{bits:o} {secs}");
        let meta = world.path("build/a").metadata().unwrap();
        let found = (meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec());
        assert_eq!(found, (bits, secs, 5));
        let receipt = put(bits, secs).try_commit(&journal).unwrap();
        assert!(!receipt.changed("build/a"), "{bits:o} {secs}");
    }
}

#[test]
fn g5_a_copied_file_has_the_mode_of_its_source_even_if_the_content_is_equal() {
    let world = World::new();
    let journal = world.open();
    world.write("source", "text");
    for bits in [0o644, 0o755, 0o640] {
        world.set_mode("source", bits);
        let mut txn = journal.begin("put");
        let payload = Payload::file(world.path("source"));
        txn.put("build/a", payload, Expect::Any).unwrap();
        let receipt = txn.prepare().unwrap().commit().unwrap();
        assert!(receipt.changed("build/a"), "{bits:o}");
        assert_eq!(mode(&world, "build/a"), bits);
    }
}

/// A payload without a mode keeps the current one.
#[test]
fn g5_a_replaced_file_keeps_its_mode_unless_the_payload_sets_one() {
    let world = World::new();
    let journal = world.open();
    let put = |payload| {
        let mut txn = journal.begin("put");
        txn.put("build/a", payload, Expect::Any).unwrap();
        txn.prepare().unwrap().commit().unwrap();
        mode(&world, "build/a")
    };
    assert_eq!(put(Payload::bytes(*b"one").mode(0o750)), 0o750);
    assert_eq!(put(Payload::bytes(*b"two")), 0o750);
    assert_eq!(put(Payload::bytes(*b"three").mode(0o604)), 0o604);
}

/// A file in a directory that a power cut loses is lost too.
#[test]
fn g2_directories_that_are_made_for_a_file_are_synced_before_it_is_moved_there() {
    let world = World::new();
    let record = Arc::new(Record::default());
    let journal = world.open_witnessed(&record).unwrap();
    let _opened = record.take();
    let steps = Steps::new("deep").put("build/x/y/f", "text");
    steps.try_commit(&journal).unwrap();
    let calls = record.take();
    let at = |verb, end: &str| {
        let is_it = |call: &&(Verb, camino::Utf8PathBuf, Option<camino::Utf8PathBuf>)| {
            let named = call.2.as_ref().unwrap_or(&call.1);
            call.0 == verb && named.ends_with(end)
        };
        let found = calls.iter().find(is_it);
        let found = found.unwrap_or_else(|| panic!("no {verb:?} of {end}: {calls:#?}"));
        calls
            .iter()
            .position(|call| std::ptr::eq(call, found))
            .unwrap()
    };
    let published = at(Verb::RenameNew, "build/x/y/f");
    for (made, above) in [("build/x", "build"), ("build/x/y", "build/x")] {
        let (made, synced) = (at(Verb::MakeDir, made), at(Verb::SyncDir, above));
        let is_after = calls[made..published].iter().any(|(verb, path, _)| {
            *verb == Verb::SyncFilesystem || *verb == Verb::SyncDir && path.ends_with(above)
        });
        assert!(is_after, "{above} at {synced}: {calls:#?}");
    }
}

/// The first one exceeds the limit of all together.
#[test]
fn g9_the_latest_eight_quarantined_items_stay_regardless_of_size() {
    use rustix::fs::{FallocateFlags, fallocate};
    let world = World::new();
    let journal = world.open();
    let put = |n: u32| {
        let steps = Steps::new("put").put("build/a", format!("{n}"));
        steps.try_commit(&journal).unwrap();
    };
    put(0);
    let file = File::options().write(true).open(world.path("build/a"));
    fallocate(file.unwrap(), FallocateFlags::empty(), 0, (1 << 30) + 4096).unwrap();
    put(1);
    let [large] = &aside(&world)[..] else {
        panic!()
    };
    for n in 2..=9 {
        assert!(aside(&world).contains(large), "{n}");
        world.write("build/a", format!("edit {n}"));
        put(n);
        assert_eq!(aside(&world).len(), n.min(8) as usize);
    }
    assert!(!aside(&world).contains(large));
}

#[test]
fn a_recovery_counts_what_it_rolled_back_with_a_row_and_without() {
    let world = World::new();
    world.open().close().unwrap();
    let strike = Strike::before(Verb::SyncDir, "/.state/txn/");
    kill_at(ACTOR, &world, &strike, &["put=build/a=staged"]);
    let journal = world.open();
    let found = journal.recovery();
    assert_eq!(
        (found.rolled_back, found.finished, found.dead_runs),
        (1, 0, 1)
    );
    let noted = events(&journal, &EventKind::Recovered);
    assert_eq!(noted.len(), 1);
    drop(journal);
    // A power cut lost the row but not the directory.
    world.make_dir("build/.state/txn/00000000-0000-7000-8000-000000000000");
    let journal = world.open();
    assert_eq!(
        (journal.recovery().rolled_back, journal.recovery().dead_runs),
        (1, 0)
    );
    assert!(!world.exists("build/.state/txn/00000000-0000-7000-8000-000000000000"));
    drop(journal);
    assert!(world.open().recovery().is_empty());
}

#[test]
fn a_recovery_counts_what_it_finished() {
    let world = World::new();
    world.open().close().unwrap();
    let strike = Strike::before(Verb::RenameNew, "build/a");
    kill_at(ACTOR, &world, &strike, &["put=build/a=new"]);
    let journal = world.open();
    let found = journal.recovery();
    assert_eq!(
        (found.finished, found.rolled_back, found.taken_back),
        (1, 0, 0)
    );
    assert_eq!(world.read("build/a"), "new");
}

/// The lock file is readable by everyone who can read the project, and stays.
#[test]
fn g13_the_purpose_of_a_lock_is_written_without_secrets() {
    let world = World::new();
    let journal = world.open();
    let purpose = "publish --password hunter2 to https://me:s3cr3t@example.com";
    let held = journal
        .lock("a", LockMode::Exclusive, purpose, None)
        .unwrap();
    let text = world.read("build/.state/lock/name/a");
    assert!(text.contains("publish"), "{text}");
    assert!(
        !text.contains("hunter2") && !text.contains("s3cr3t"),
        "{text}"
    );
    drop(held);
}

/// A damaged database is not used for work.
#[test]
fn g9_a_handle_that_found_its_database_damaged_refuses_work() {
    let world = World::new();
    let journal = world.open();
    let put = |text: &str| Steps::new("put").put("build/a", text);
    // More rows than are read when it is opened.
    (0..200).for_each(|n| drop(put(&n.to_string()).try_commit(&journal).unwrap()));
    put("old").try_commit(&journal).unwrap();
    journal.close().unwrap();
    let journal = world.open();
    let prepared = put("prepared").prepare(&journal);
    let database = world.path("build/.state.db");
    let length = database.metadata().unwrap().len();
    let rubbish = vec![0xaa; usize::try_from(length).unwrap() - 4096];
    let file = File::options().write(true).open(&database).unwrap();
    file.write_all_at(&rubbish, 4096).unwrap();
    let looked = journal.history().transactions(&TxnFilter::default());
    assert!(matches!(looked, Err(Error::Damaged(_))), "{looked:?}");
    let is_refused =
        |said: &Result<(), Error>| matches!(said, Err(Error::Usage(UsageError::Failed)));
    let said = put("new").try_commit(&journal).map(drop);
    assert!(is_refused(&said), "{said:?}");
    if let Ok(prepared) = prepared {
        let said = prepared.commit().map(drop);
        assert!(is_refused(&said), "{said:?}");
    }
    assert_eq!(world.read("build/a"), "old");
    drop(journal);
    let journal = world.open();
    assert!(journal.recovery().database_set_aside.is_some());
    put("new").try_commit(&journal).unwrap();
}

/// A power cut that loses the directory of a transaction loses the replaced content.
#[test]
fn g2_the_directory_of_a_transaction_is_durable_before_anything_is_moved_into_it() {
    let world = World::new();
    let record = Arc::new(Record::default());
    let journal = world.open_witnessed(&record).unwrap();
    let steps = |text: &str| Steps::new("put").put("build/a", text);
    steps("one").try_commit(&journal).unwrap();
    for steps in [steps("two"), Steps::new("rm").remove("build/a")] {
        let _before = record.take();
        steps.try_commit(&journal).unwrap();
        let calls = record.take();
        let moves = |(verb, from, to): &(Verb, camino::Utf8PathBuf, Option<_>)| {
            let to: &Option<camino::Utf8PathBuf> = to;
            let named =
                from.ends_with("build/a") || to.as_ref().is_some_and(|to| to.ends_with("build/a"));
            matches!(verb, Verb::Exchange | Verb::RenameNew) && named
        };
        let moved = calls.iter().position(moves).unwrap();
        let made = calls[..moved]
            .iter()
            .position(|call| call.0 == Verb::MakeDir)
            .unwrap();
        let is_synced = |path: &camino::Utf8Path| {
            calls[made..moved].iter().any(|(verb, at, _)| {
                *verb == Verb::SyncFilesystem || *verb == Verb::SyncDir && at == path
            })
        };
        assert!(is_synced(&world.path("build/.state/txn")), "{calls:#?}");
        assert!(is_synced(&calls[made].1), "{calls:#?}");
    }
}

/// Guarantees in a new home depend on all the directories above it.
#[test]
fn g2_the_directories_of_a_new_home_are_synced_up_to_the_root() {
    for (home, dirs) in [
        ("build", &["build/.state", "build", ""][..]),
        (
            "deep/er/build",
            &[
                "deep/er/build/.state",
                "deep/er/build",
                "deep/er",
                "deep",
                "",
            ],
        ),
    ] {
        let world = World::new();
        let record = Arc::new(Record::default());
        let witness: Arc<dyn tljournal::disk::Witness> = record.clone();
        let disk = tljournal::disk::Disk::witnessed(witness);
        world.options().home(home).disk(disk).work().unwrap();
        let calls = record.take();
        let made = calls
            .iter()
            .rposition(|call| call.0 == Verb::MakeDir)
            .unwrap();
        for dir in dirs {
            let is_synced = calls[made..].iter().any(|(verb, path, _)| {
                let same = |path: &camino::Utf8Path| path.canonicalize_utf8().unwrap();
                *verb == Verb::SyncDir && same(path) == same(&world.path(dir))
            });
            assert!(is_synced, "{home}: {dir}: {calls:#?}");
        }
    }
}

/// A tree that was just installed is recognized without reading it.
#[test]
fn g4_a_tree_that_was_just_installed_is_recognized_without_reading_it() {
    use std::sync::atomic::{AtomicU64, Ordering};
    use tljournal::TreeOptions;
    let world = World::in_memory();
    let journal = world.open();
    let read = Arc::new(AtomicU64::new(0));
    let install = || {
        let count = read.clone();
        let options = TreeOptions {
            progress: Some(Arc::new(move |bytes| {
                count.fetch_add(bytes, Ordering::Relaxed);
            })),
            ..TreeOptions::default()
        };
        let source = tljournal_tests::small("one").source().known_as("one");
        let installed = journal.install("build/t", source, options).unwrap();
        (installed.changed, read.swap(0, Ordering::Relaxed))
    };
    let (changed, read) = install();
    assert!(changed && read > 0);
    assert_eq!(install(), (false, 0));
}

#[test]
fn at_most_sixty_four_items_are_quarantined() {
    let world = World::in_memory();
    let journal = world.open();
    let put = |n: u32| {
        let steps = Steps::new("put").put("build/a", format!("{n}"));
        steps.try_commit(&journal).unwrap();
    };
    put(0);
    for n in 1..=65 {
        world.write("build/a", format!("edit {n}"));
        put(n);
        assert_eq!(aside(&world).len(), n.min(64) as usize);
    }
}

/// A quarantined item in use is not deleted.
#[test]
fn g7_a_quarantined_item_in_use_stays_beyond_the_limits() {
    let world = World::in_memory();
    let journal = world.open();
    let put = |n: u32| {
        let steps = Steps::new("put").put("build/a", format!("{n}"));
        steps.try_commit(&journal).unwrap();
    };
    put(0);
    let mut held = None;
    for n in 1..=66 {
        world.write("build/a", format!("edit {n}"));
        put(n);
        if held.is_none() {
            let path = world.path("build/.state/aside").join(&aside(&world)[0]);
            let dir = File::open(&path).unwrap();
            dir.lock_shared().unwrap();
            held = Some((path, dir));
        }
    }
    let (path, dir) = held.unwrap();
    assert!(path.join("build/a").exists());
    drop(dir);
    world.write("build/a", "edit");
    put(67);
    assert!(!path.exists(), "it is deleted when it is no longer in use");
}

#[test]
fn g8_a_lock_file_with_several_hard_links_is_not_written_to() {
    let world = World::new();
    let journal = world.open();
    world.write("precious", "text");
    world.make_dir("build/.state/lock/name");
    let name = world.path("build/.state/lock/name/a");
    std::fs::hard_link(world.path("precious"), name).unwrap();
    let held = journal.lock("a", LockMode::Exclusive, "test", None);
    drop(held.unwrap());
    assert_eq!(world.read("precious"), "text");
}

#[test]
fn a_lock_has_a_name_of_at_most_a_hundred_characters() {
    let world = World::new();
    let journal = world.open();
    let lock = |name: &str| {
        journal
            .lock(name, LockMode::Exclusive, "test", None)
            .map(drop)
    };
    lock(&"a".repeat(100)).unwrap();
    for name in [
        "a".repeat(101),
        String::new(),
        ".a".to_owned(),
        "a/b".to_owned(),
    ] {
        let said = lock(&name);
        assert!(
            matches!(said, Err(Error::Usage(UsageError::LockName { .. }))),
            "{name}: {said:?}"
        );
    }
}

/// A pin below a removed directory counts like a pin on it.
#[test]
fn g7_a_directory_with_a_pinned_tree_is_not_removed_with_on_pinned_fail() {
    use tljournal::{Conflict, ConflictKind, OnPinned};
    let world = World::new();
    let journal = world.open();
    let steps = Steps::new("tree").tree("build/d/t", tljournal_tests::small("one"));
    steps.try_commit(&journal).unwrap();
    let remove = || {
        let mut txn = journal.begin("rm");
        txn.remove_with("build/d", Expect::Any, OnPinned::Fail)?;
        txn.prepare()?.commit()
    };
    let pin = journal.pin("build/d/t").unwrap();
    let said = remove().map(drop);
    assert!(
        matches!(
            said,
            Err(Error::Conflict(Conflict {
                kind: ConflictKind::Pinned { .. },
                ..
            }))
        ),
        "{said:?}"
    );
    assert!(world.exists("build/d/t/sub/f1"));
    drop(pin);
    remove().unwrap();
    assert!(!world.exists("build/d"));
}

/// Only a query for an unreadable row fails; the next opening works.
#[test]
fn g9_an_unreadable_row_does_not_fail_forever() {
    let world = World::new();
    let put = |text| Steps::new("put").put("build/a", text);
    let journal = world.open();
    put("one").try_commit(&journal).unwrap();
    journal.close().unwrap();
    let database = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
    let sql = "UPDATE entry SET digest = x'00' WHERE path = 'a'";
    assert_eq!(database.execute(sql, []).unwrap(), 1);
    drop(database);
    let _first = put("two").try_commit(&world.open());
    put("three").try_commit(&world.open()).unwrap();
    assert_eq!(world.read("build/a"), "three");
}
