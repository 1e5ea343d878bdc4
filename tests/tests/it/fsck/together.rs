//! Concurrent repairs, and repairs of problems that others fix meanwhile.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tljournal::{Code, Error, FsckDepth, FsckOptions, RebuildOptions, RepairOptions};
use tljournal_testkit::{Steps, When, World};
use tljournal_tests::{Hook, until_waiting, within};

use super::scene::{flip, look, repair_by, repair_with, rot, scene, wrong};

fn latest(world: &World) -> i64 {
    world.open().history().status().unwrap().latest
}

/// Each installed the tree again that the other had just installed.
#[test]
fn a_problem_found_by_two_is_repaired_once() {
    let world = scene();
    flip(&world, "build/tools/bin/long");
    std::fs::remove_file(world.path("build/link")).unwrap();
    std::fs::remove_file(world.path("build/kept.txt")).unwrap();
    let (found, _) = look(&world, FsckDepth::Full);
    assert_eq!(wrong(&found).len(), 3, "{found:?}");
    let before = latest(&world);
    for after in [before + 3, before + 3] {
        let repairs = repair_with(&world, &found, &RepairOptions::default());
        assert!(repairs.iter().all(|repair| repair.mended), "{repairs:?}");
        assert_eq!(latest(&world), after);
    }
    assert_eq!(wrong(&look(&world, FsckDepth::Full).0), []);
}

/// A check during the creation of the first journal reported a lost database.
#[test]
fn a_database_that_is_being_created_is_not_lost() {
    let world = World::new();
    let look = |world: &World| {
        world
            .options()
            .fsck(&FsckOptions::default(), &mut |_| ControlFlow::Continue(()))
    };
    world.open().close().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(world.path(&format!("build/.state.db{suffix}"))).unwrap();
    }
    assert_eq!(look(&world).unwrap().errors, 1);
    let lock = std::fs::File::open(world.path("build/.state/lock/commit")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(matches!(look(&world), Err(Error::Usage(_))));
    drop(lock);
    // Only the layout exists.
    std::fs::remove_file(world.path("build/.state/reserve")).unwrap();
    assert!(matches!(look(&world), Err(Error::Usage(_))));
}

/// Cancelling a check that waited for a commit had no effect until the wait ended.
#[test]
fn a_waiting_check_can_be_cancelled() {
    let world = scene();
    std::fs::remove_file(world.path("build/link")).unwrap();
    let commit = world.path("build/.state/lock/commit");
    let lock = std::fs::File::open(&commit).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let options = FsckOptions::default();
    let (watch, there) = (options.watch.clone(), world.root().to_owned());
    let checking = std::thread::spawn(move || {
        let mut told = |_| ControlFlow::Continue(());
        World::at(there).options().fsck(&options, &mut told)
    });
    until_waiting(1, &[&commit]);
    watch.stop();
    let report = within("a check that was ended", || checking.join().unwrap());
    let report = report.unwrap();
    assert!(report.cancelled, "{report:?}");
    assert_eq!(report.unconfirmed, 0, "{report:?}");
    drop(lock);
}

/// A file that could not be repaired was set aside even if it had been put again meanwhile.
#[test]
fn g9_a_file_that_is_put_again_during_a_repair_is_not_set_aside() {
    let world = scene();
    rot(&world, "build/only.txt");
    let (found, _) = look(&world, FsckDepth::Full);
    let (there, done) = (world.root().to_owned(), AtomicBool::new(false));
    let meanwhile = Arc::new(Hook(move |_: When, call: &tljournal::disk::Call<'_>| {
        let is_staging = call.path.as_str().contains("/.state/txn/");
        if is_staging && !done.swap(true, Ordering::AcqRel) {
            let journal = World::at(there.clone()).open();
            Steps::new("again")
                .put("build/only.txt", "only here")
                .try_commit(&journal)
                .unwrap();
            journal.close().unwrap();
        }
        Ok(())
    }));
    let journal = world.open_witnessed(&meanwhile).unwrap();
    let repairs = repair_by(journal, &found, &RepairOptions::default());
    assert!(repairs.iter().all(|repair| repair.mended), "{repairs:?}");
    let content = std::fs::read_to_string(world.path("build/only.txt")).unwrap();
    assert_eq!(content, "only here");
    // The replaced content was damaged: it is set aside, not retained.
    let (found, _) = look(&world, FsckDepth::Full);
    let codes: Vec<_> = wrong(&found).into_iter().map(|(code, _)| code).collect();
    assert!(codes.is_empty(), "{found:?}");
    assert!(
        found.iter().any(|finding| finding.code == Code::Aside),
        "{found:?}"
    );
}

/// An obstacle of a repair was moved away before it was checked again.
#[test]
fn g9_an_entry_created_during_a_repair_is_not_moved_away() {
    let world = scene();
    flip(&world, "build/tools/bin/long");
    let (found, _) = look(&world, FsckDepth::Full);
    let (there, done) = (world.root().to_owned(), AtomicBool::new(false));
    let meanwhile = Arc::new(Hook(move |_: When, call: &tljournal::disk::Call<'_>| {
        let is_staging = call.path.as_str().contains("/.state/txn/");
        if is_staging && !done.swap(true, Ordering::AcqRel) {
            let journal = World::at(there.clone()).open();
            for steps in [
                Steps::new("away").remove("build/tools"),
                Steps::new("a file").put("build/tools", "a file"),
            ] {
                steps.try_commit(&journal).unwrap();
            }
            journal.close().unwrap();
        }
        Ok(())
    }));
    let journal = world.open_witnessed(&meanwhile).unwrap();
    let repairs = repair_by(journal, &found, &RepairOptions::default());
    assert!(repairs.iter().all(|repair| repair.mended), "{repairs:?}");
    assert_eq!(world.read("build/tools"), "a file");
    // Only the damaged tree was set aside, when it was removed.
    let aside = tljournal_tests::aside(&world);
    assert_eq!(aside.len(), 1, "{aside:?}");
}

/// The second repair skipped everything else after a conflict.
#[test]
fn a_stray_that_is_set_aside_meanwhile_counts_as_repaired() {
    let world = scene();
    world.write("build/.state/stray", "x");
    world.write("build/.state/txn/another", "x");
    let (found, _) = look(&world, FsckDepth::Quick);
    let stray = world.path("build/.state/stray");
    let meanwhile = Arc::new(Hook(move |when: When, call: &tljournal::disk::Call<'_>| {
        if when == When::Before && call.path.ends_with(".state/stray") {
            let _ = std::fs::remove_file(&stray);
        }
        Ok(())
    }));
    let journal = world.open_witnessed(&meanwhile).unwrap();
    let repairs = repair_by(journal, &found, &RepairOptions::default());
    assert_eq!(repairs.len(), 2, "{repairs:?}");
    assert!(repairs.iter().all(|repair| repair.mended), "{repairs:?}");
    assert_eq!(wrong(&look(&world, FsckDepth::Full).0), []);
}

/// An empty database file was reported as damaged.
#[test]
fn a_journal_whose_creation_was_interrupted_does_not_exist() {
    let world = World::new();
    world.open().close().unwrap();
    for name in [
        ".state.db",
        ".state.db-wal",
        ".state.db-shm",
        ".state/reserve",
    ] {
        std::fs::remove_file(world.path(&format!("build/{name}"))).unwrap();
    }
    let catalog = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
    catalog
        .execute_batch("PRAGMA journal_mode = DELETE; VACUUM")
        .unwrap();
    drop(catalog);
    let size = world.path("build/.state.db").metadata().unwrap().len();
    let look = |world: &World| {
        let options = FsckOptions::default();
        let mut told = |_| ControlFlow::Continue(());
        world.options().fsck(&options, &mut told)
    };
    assert!(size > 0);
    assert!(matches!(look(&world), Err(Error::Usage(_))));
    assert!(matches!(world.options().inspect(), Err(Error::Usage(_))));
    let catalog = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
    let log = "PRAGMA journal_mode = WAL; CREATE TABLE x (y); DROP TABLE x";
    catalog.execute_batch(log).unwrap();
    assert!(world.path("build/.state.db-wal").metadata().unwrap().len() > 0);
    assert!(matches!(look(&world), Err(Error::Usage(_))));
    drop(catalog);
    // In a used journal it means that the database was lost.
    world.write("build/.state/log/x", "x");
    assert_eq!(look(&world).unwrap().errors, 1);
}

/// Commits during a rebuild were set aside with the old database.
#[test]
fn g2_no_commit_happens_during_a_rebuild() {
    let world = scene();
    let hurried = world.options().lock_wait(Duration::ZERO).work().unwrap();
    let refused = Arc::new(AtomicBool::new(true));
    let told = refused.clone();
    let meanwhile = Arc::new(Hook(move |_: When, call: &tljournal::disk::Call<'_>| {
        // While the new one is built, and when it is complete.
        if call.path.as_str().contains("/.state/rebuil") {
            let steps = Steps::new("meanwhile").put("build/late", call.path.as_str());
            let tried = steps.try_commit(&hurried);
            let is_refused = matches!(tried, Err(Error::Lock(_) | Error::Replaced { .. }));
            told.fetch_and(is_refused, Ordering::AcqRel);
        }
        Ok(())
    }));
    let options = RebuildOptions {
        force: true,
        ..RebuildOptions::default()
    };
    let disk = tljournal::disk::Disk::witnessed(meanwhile);
    let _rebuilt = world.options().disk(disk).rebuild(&options).unwrap();
    assert!(refused.load(Ordering::Acquire));
    assert!(!world.exists("build/late"));
    assert_eq!(wrong(&look(&world, FsckDepth::Full).0), []);
}
