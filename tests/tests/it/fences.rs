//! A home or its lock files are moved away while a process uses them: changes there would be invisible to others, and
//! locks there exclude no process.

use std::fs::rename;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use tljournal::disk::Verb;
use tljournal::{Error, Expect, Journal, LockMode, NamedLock, Receipt};
use tljournal_testkit::{Steps, When, World};
use tljournal_tests::{Hook, until_waiting};

fn is_replaced(error: &Error) -> bool {
    match error {
        Error::Replaced { .. } => true,
        Error::Unfinished { source, .. } => is_replaced(source),
        _ => false,
    }
}

/// The directories of the journal: each can be moved away and created again.
const DIRECTORIES: [&str; 5] = [
    "build",
    "build/.state",
    "build/.state/txn",
    "build/.state/lock",
    "build/.state/aside",
];

#[test]
fn g1_a_transaction_is_not_committed_if_the_home_was_moved_away_since_it_was_prepared() {
    for path in DIRECTORIES {
        for made_anew in [false, true] {
            let world = World::new();
            let journal = world.open();
            let prepared = Steps::new("a").put("build/a", "1").prepare(&journal);
            let prepared = prepared.unwrap();
            let away = world.outside().join("away");
            rename(world.path(path), &away).unwrap();
            if made_anew {
                world.make_dir(path);
            }
            let said = prepared.commit().map(drop);
            assert!(
                matches!(said, Err(Error::Replaced { .. })),
                "{path}: {said:?}"
            );
            drop(journal);
            if made_anew {
                std::fs::remove_dir(world.path(path)).unwrap();
            }
            rename(&away, world.path(path)).unwrap();
            let journal = world.open();
            assert_eq!(journal.recovery().finished, 0, "{path}: it was committed");
            assert!(!world.exists("build/a"), "{path}");
        }
    }
}

/// The home may be outside of the root, and stay in place when the root is exchanged.
#[test]
fn g1_a_transaction_is_not_committed_below_a_root_that_was_moved_away() {
    let world = World::new();
    let home = world.outside().join("home");
    std::fs::create_dir(&home).unwrap();
    let journal = world.options().home(home).work().unwrap();
    let prepared = Steps::new("a").put("a", "1").prepare(&journal).unwrap();
    rename(world.root(), world.outside().join("away")).unwrap();
    world.make_dir("");
    let said = prepared.commit().map(drop);
    assert!(matches!(said, Err(Error::Replaced { .. })), "{said:?}");
    assert!(!world.exists("a"));
    assert!(!world.outside().join("away/a").exists());
}

/// Commits by adopting existing, unrecorded content; moves something away when the commit lock is held and nothing is
/// committed yet.
fn adopt_while_moved(path: &'static str) -> (World, Result<Receipt, Error>) {
    let world = World::new();
    world.open().close().unwrap();
    world.write("build/a", "1");
    let (from, away) = (world.path(path), world.outside().join("away"));
    let hook = move |when: When, call: &tljournal::disk::Call<'_>| {
        let stages = call.path.parent().is_some_and(|dir| dir.ends_with("txn"));
        if (when, call.verb, stages) == (When::After, Verb::MakeDir, true) {
            rename(&from, &away)?;
        }
        Ok(())
    };
    let journal = world.open_witnessed(&Arc::new(Hook(hook))).unwrap();
    let mut txn = journal.begin("adopt");
    txn.put("build/a", "1", Expect::Any).unwrap();
    let prepared = txn.prepare().unwrap();
    assert!(world.exists(path), "{path} was moved too early");
    let said = prepared.commit();
    assert!(!world.exists(path), "{path} was not moved");
    drop(journal);
    (world, said)
}

#[test]
fn g1_a_commit_in_a_home_that_was_moved_away_meanwhile_does_not_say_ok() {
    for path in ["build", "build/.state", "build/.state/lock"] {
        let (world, said) = adopt_while_moved(path);
        let said = said.unwrap_err();
        assert!(is_replaced(&said), "{path}: {said:?}");
        let _ = std::fs::remove_dir_all(world.path(path));
        rename(world.outside().join("away"), world.path(path)).unwrap();
        // When the directory is opened again the transaction is finished.
        let journal = world.open();
        assert_eq!(journal.recovery().finished, 1, "{path}");
        assert!(journal.history().entry("build/a").unwrap().is_some());
    }
}

/// A process that creates the file again and locks it is not excluded.
#[test]
fn g1_a_commit_whose_lock_file_was_removed_meanwhile_does_not_say_ok() {
    let (_world, said) = adopt_while_moved("build/.state/lock/commit");
    let said = said.unwrap_err();
    assert!(is_replaced(&said), "{said:?}");
}

const SOON: Option<Duration> = Some(Duration::ZERO);

/// Waits for a lock in a thread while something is done, and returns the result.
fn lock_while(
    wait: impl FnOnce(&Journal) -> Result<NamedLock, Error> + Send + 'static,
    hold: impl FnOnce(&Journal) -> Result<NamedLock, Error>,
    (world, file): (&World, &str),
    act: impl FnOnce(),
) -> Result<NamedLock, Error> {
    let (holder, waiter) = (world.open(), world.open());
    let held = hold(&holder).unwrap();
    let waiting = std::thread::spawn(move || wait(&waiter));
    until_waiting(1, &[&world.path(file)]);
    act();
    drop(held);
    waiting.join().unwrap()
}

fn named(journal: &Journal) -> Result<NamedLock, Error> {
    journal.lock("a", LockMode::Exclusive, "test", None)
}

#[test]
fn g6_a_lock_in_a_directory_moved_away_during_the_wait_is_refused() {
    let world = World::new();
    let names = "build/.state/lock/name";
    let file = format!("{names}/a");
    let said = lock_while(named, named, (&world, &file), || {
        rename(world.path(names), world.outside().join("away")).unwrap();
    });
    assert!(matches!(said, Err(Error::Replaced { .. })), "{said:?}");
}

#[test]
fn g6_after_a_wait_the_lock_is_on_the_file_with_its_name() {
    let world = World::new();
    let file = "build/.state/lock/name/a";
    let held = lock_while(named, named, (&world, file), || {
        std::fs::remove_file(world.path(file)).unwrap();
    });
    let held = held.unwrap();
    let other = world.open();
    let second = other.lock("a", LockMode::Exclusive, "test", SOON);
    assert!(matches!(second, Err(Error::Lock(_))), "two hold one lock");
    drop(held);
    drop(other.lock("a", LockMode::Exclusive, "test", SOON).unwrap());
}

#[test]
fn g6_after_a_wait_a_lock_file_of_the_caller_is_locked_by_its_name() {
    let world = World::new();
    world.write("lock", "");
    let path: Utf8PathBuf = world.path("lock");
    let lock = |limit| {
        let path = path.clone();
        move |journal: &Journal| journal.lock_file(&path, LockMode::Exclusive, limit)
    };
    let held = lock_while(lock(None), lock(None), (&world, "lock"), || {
        rename(world.path("lock"), world.path("earlier")).unwrap();
        world.write("lock", "");
    });
    let held = held.unwrap();
    let second = lock(SOON)(&world.open());
    assert!(matches!(second, Err(Error::Lock(_))), "two hold one lock");
    drop(held);
}
