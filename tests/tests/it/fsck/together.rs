//! Several who repair at once, or repair what others put right meanwhile.

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
fn what_two_found_is_mended_once() {
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

/// A check that came while the first journal was being made told of a lost database.
#[test]
fn a_database_that_is_being_made_is_not_a_lost_one() {
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
    // Only the layout is there.
    std::fs::remove_file(world.path("build/.state/reserve")).unwrap();
    assert!(matches!(look(&world), Err(Error::Usage(_))));
}

/// Who ended a check that waited for a commit had to wait with it.
#[test]
fn a_check_that_waits_can_be_ended() {
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

/// What nobody could mend was set aside, also if somebody had put it again in the meantime.
#[test]
fn g9_what_is_put_again_during_a_repair_is_not_set_aside() {
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
    // What was replaced meanwhile is what had rotted: it is evidence, and not kept to be put back.
    let (found, _) = look(&world, FsckDepth::Full);
    let codes: Vec<_> = wrong(&found).into_iter().map(|(code, _)| code).collect();
    assert!(codes.is_empty(), "{found:?}");
    assert!(
        found.iter().any(|finding| finding.code == Code::Aside),
        "{found:?}"
    );
}

/// What was in the way of a repair went aside before it was asked whether it was still in the way.
#[test]
fn g9_what_is_put_in_the_way_of_a_repair_meanwhile_is_not_moved_aside() {
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
    // The damaged tree went aside when it was removed, and nothing else did.
    let aside = tljournal_tests::aside(&world);
    assert_eq!(aside.len(), 1, "{aside:?}");
}

/// Whoever was second gave up everything else that it was to mend.
#[test]
fn a_stray_that_somebody_else_sets_aside_meanwhile_is_mended() {
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

/// A database that nobody had come to fill was told to be damaged.
#[test]
fn a_journal_whose_making_was_ended_is_none() {
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
    // Where work was done it is one that lost everything.
    world.write("build/.state/log/x", "x");
    assert_eq!(look(&world).unwrap().errors, 1);
}

/// What was committed while a database was made anew went aside with the old one.
#[test]
fn g2_nobody_commits_while_a_database_is_made_anew() {
    let world = scene();
    let hurried = world.options().lock_wait(Duration::ZERO).work().unwrap();
    let refused = Arc::new(AtomicBool::new(true));
    let told = refused.clone();
    let meanwhile = Arc::new(Hook(move |_: When, call: &tljournal::disk::Call<'_>| {
        // While the new one is made, and when it is there.
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
