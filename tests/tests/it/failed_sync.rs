//! A failed sync is final: its pages count as written, so a second sync would succeed and prove nothing. Everything
//! that depends on it fails, and is written again before anything relies on it.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use tljournal::disk::{Call, Verb};
use tljournal::{Error, EventKind};
use tljournal_testkit::{Steps, When, World, check_at_rest, explain};
use tljournal_tests::{End, Hook, all_cases, at_every, case_named, counted, events, small};

fn is_sync(verb: Verb) -> bool {
    matches!(verb, Verb::SyncFile | Verb::SyncDir | Verb::SyncFilesystem)
}

type Synced = Arc<Mutex<Vec<(Verb, String)>>>;

/// Makes the k-th sync fail; records what was synced from then on, starting with the failed one.
fn failing(at: u64) -> (impl Fn(When, &Call<'_>) -> std::io::Result<()>, Synced) {
    let (made, since) = (AtomicU64::new(0), Synced::default());
    let seen = since.clone();
    let hook = move |when: When, call: &Call<'_>| {
        if when == When::After || !is_sync(call.verb) {
            return Ok(());
        }
        let number = made.fetch_add(1, Ordering::AcqRel) + 1;
        if number >= at {
            seen.lock()
                .unwrap()
                .push((call.verb, call.path.to_string()));
        }
        match number == at {
            true => Err(Errno::IO.into()),
            false => Ok(()),
        }
    };
    (hook, since)
}

#[test]
fn g2_whatever_relies_on_a_failed_sync_fails_and_does_not_sync_it_again() {
    let mut total = 0;
    for case in all_cases()
        .into_iter()
        .filter(|case| case.end == End::Commit)
    {
        total += at_every(1.., |at| {
            let world = World::new();
            case.prepare(&world);
            let (hook, since) = failing(at);
            let said = case.open(&world, Hook(hook)).and_then(|journal| {
                let said = case.run(&journal);
                let since = since.lock().unwrap().clone();
                if let Some((failed, later)) = since.split_first() {
                    assert!(
                        said.is_err(),
                        "{}: {failed:?} failed, and it is Ok",
                        case.name
                    );
                    let again = later.contains(failed) && failed.0 != Verb::SyncDir;
                    assert!(
                        !again,
                        "{}: {failed:?} was tried again: {later:?}",
                        case.name
                    );
                }
                said
            });
            let failed = since.lock().unwrap().first().cloned();
            match failed {
                None => said.map(|()| false).unwrap(),
                Some((verb, path)) => {
                    let text = explain(&said.unwrap_err());
                    assert!(
                        text.contains(verb.phrase()) && text.contains(&path),
                        "G10: {text}"
                    );
                    true
                }
            }
        });
    }
    println!("{total} syncs failed");
    counted(total, "syncs that failed");
    assert!(total > 50, "{total}");
}

/// Content of another program was adopted by the run after one that could not sync it.
#[test]
fn g2_content_that_could_not_be_synced_is_written_again_and_not_adopted() {
    let case = case_named("adopt");
    for at in 1..=2 {
        let world = World::new();
        case.prepare(&world);
        let before = world.path("build/theirs").metadata().unwrap();
        let (hook, _) = failing(at);
        let journal = case.open(&world, Hook(hook)).unwrap();
        case.run(&journal).unwrap_err();
        drop(journal);
        let journal = world.open();
        assert_eq!(events(&journal, &EventKind::FailedSync).len(), 1);
        assert!(case.steps.try_commit(&journal).unwrap().changed_anything());
        let after = world.path("build/theirs").metadata().unwrap();
        assert_ne!(
            before.ino(),
            after.ino(),
            "the content was not written again"
        );
        assert_eq!(before.mtime_nsec(), after.mtime_nsec());
        assert!(!case.steps.try_commit(&journal).unwrap().changed_anything());
    }
}

#[test]
fn g2_a_tree_that_could_not_be_synced_is_written_again_and_not_adopted() {
    let world = World::new();
    let steps = Steps::new("tree").tree("build/t", small("one"));
    world.make_dir("build");
    small("one").write_to(&world.path("build/t"));
    // The home is created and synced before.
    world.open().close().unwrap();
    let (hook, _) = failing(1);
    let journal = world.open_witnessed(&Arc::new(Hook(hook))).unwrap();
    let said = steps.try_commit(&journal).unwrap_err();
    assert!(matches!(said, Error::Disk(_)), "{}", explain(&said));
    drop(journal);
    let before = world.path("build/t").metadata().unwrap().ino();
    steps.try_commit(&world.open()).unwrap();
    assert_ne!(world.path("build/t").metadata().unwrap().ino(), before);
}

/// The tree that a rebuildable one replaced was deleted after a second sync had succeeded.
#[test]
fn g2_a_rebuildable_tree_whose_sync_failed_is_not_synced_in_this_boot() {
    let world = World::new();
    let journal = world.open();
    Steps::new("one")
        .tree("build/t", small("one"))
        .try_commit(&journal)
        .unwrap();
    Steps::new("two")
        .rebuildable("build/t", small("two"))
        .try_commit(&journal)
        .unwrap();
    journal.close().unwrap();
    let (hook, since) = failing(1);
    let journal = world.open_witnessed(&Arc::new(Hook(hook))).unwrap();
    let said = journal.recover().unwrap_err();
    assert!(matches!(said, Error::Disk(_)), "{}", explain(&said));
    journal.recover().unwrap();
    assert_eq!(since.lock().unwrap().len(), 1, "it was synced again");
    drop(journal);
    let journal = world.open();
    journal.recover().unwrap();
    assert_eq!(journal.history().status().unwrap().unsettled_trees, 1);
    assert_eq!(world.left_in_staging().len(), 1, "what it replaced is gone");
    drop(journal);
    // A later boot reads what the medium holds.
    let database = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
    let sql = "UPDATE entry SET boot = 'earlier' WHERE unsettled = 1";
    assert_eq!(database.execute(sql, []).unwrap(), 1);
    drop(database);
    let journal = world.open();
    assert_eq!(journal.history().status().unwrap().unsettled_trees, 0);
    journal.recover().unwrap();
    drop(journal);
    let wrong = check_at_rest(&world);
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Names are in the filesystem's own journal: a failure there stops it, so after a new mount the medium is known. No
/// transaction is finished without syncing its names.
#[test]
fn g2_a_transaction_whose_names_cannot_be_synced_stays_unfinished_until_they_can() {
    let world = World::new();
    let case = case_named("put-new");
    case.prepare(&world);
    let broken = |_: When, call: &Call<'_>| match call.verb {
        Verb::SyncDir if call.path.as_str().ends_with("build") => Err(Errno::IO.into()),
        _ => Ok(()),
    };
    let journal = world.open_witnessed(&Arc::new(Hook(broken))).unwrap();
    let said = case.steps.try_commit(&journal).unwrap_err();
    assert!(
        matches!(said, Error::Unfinished { .. }),
        "{}",
        explain(&said)
    );
    drop(journal);
    for _ in 0..2 {
        let journal = world.open_witnessed(&Arc::new(Hook(broken))).unwrap();
        assert_eq!(journal.history().status().unwrap().unfinished.len(), 1);
    }
    let seen = Synced::default();
    let note = seen.clone();
    let watch = move |when: When, call: &Call<'_>| {
        if when == When::Before && is_sync(call.verb) {
            note.lock()
                .unwrap()
                .push((call.verb, call.path.to_string()));
        }
        Ok(())
    };
    let journal = world.open_witnessed(&Arc::new(Hook(watch))).unwrap();
    let synced = seen.lock().unwrap().clone();
    let named = |(verb, path): &(Verb, String)| *verb == Verb::SyncDir && path.ends_with("build");
    assert!(synced.iter().any(named), "{synced:?}");
    assert!(journal.history().status().unwrap().unfinished.is_empty());
}
