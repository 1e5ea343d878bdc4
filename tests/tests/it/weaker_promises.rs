//! Filesystems and kernels without some feature: the guarantee is kept in another way, or a weaker one is announced.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use tljournal::disk::{Disk, Verb, Witness};
use tljournal::{Error, EventKind, Journal, Unsupported};
use tljournal_testkit::{Both, Count, Lack, Steps, When, World, check_at_rest, explain};
use tljournal_tests::{Hook, events, small, tear};

fn open_without_exchange(world: &World) -> Journal {
    let lack = Lack::of_exchange();
    world.open_witnessed(&Arc::new(lack)).unwrap()
}

#[test]
fn g3_a_home_that_cannot_exchange_says_so_once() {
    let world = World::new();
    drop(open_without_exchange(&world));
    let journal = open_without_exchange(&world);
    let said = events(&journal, &EventKind::WeakerPromise);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].detail.contains("missing for an instant"),
        "{said:?}"
    );
    Steps::new("one")
        .put("build/a", "1")
        .try_commit(&journal)
        .unwrap();
    Steps::new("two")
        .put("build/a", "2")
        .try_commit(&journal)
        .unwrap();
    assert_eq!(events(&journal, &EventKind::WeakerPromise).len(), 1);
    assert!(!journal.history().status().unwrap().exchanges);
    let inspected = world.options().inspect().unwrap();
    assert!(!inspected.history().status().unwrap().exchanges);
    let better = World::new().open();
    assert!(better.history().status().unwrap().exchanges);
    assert_eq!(events(&better, &EventKind::WeakerPromise).len(), 0);
}

#[test]
fn g3_every_error_that_means_unsupported_is_recognized() {
    for errno in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP] {
        let world = World::new();
        let lack = Arc::new(Lack::of(Verb::Exchange, errno));
        let journal = world.open_witnessed(&lack).unwrap();
        Steps::new("one")
            .tree("build/t", small("1"))
            .try_commit(&journal)
            .unwrap();
        Steps::new("two")
            .tree("build/t", small("2"))
            .try_commit(&journal)
            .unwrap();
        assert_eq!(world.read("build/t/sub/f1"), "2", "{errno}");
    }
}

/// Runs a callback while a path that is replaced is missing.
fn while_missing(
    world: &World,
    steps: &Steps,
    act: impl Fn() + Send + Sync + 'static,
) -> Result<(), Error> {
    let is_out = |call: &tljournal::disk::Call<'_>| {
        call.verb == Verb::RenameNew
            && call
                .other
                .as_ref()
                .is_some_and(|to| to.as_str().ends_with(".out"))
    };
    let hook = Hook(move |when, call: &tljournal::disk::Call<'_>| {
        if when == When::After && is_out(call) {
            act();
        }
        Ok(())
    });
    let witness = Arc::new(Both(Lack::of_exchange(), hook));
    steps.try_commit(&world.open_witnessed(&witness)?).map(drop)
}

#[test]
fn g3_with_the_shared_lock_a_replaced_path_is_never_missing() {
    let world = World::new();
    let journal = Arc::new(open_without_exchange(&world));
    Steps::new("one")
        .put("build/a", "1")
        .tree("build/t", small("1"))
        .try_commit(&journal)
        .unwrap();
    let readers = Arc::new(Mutex::new(Vec::new()));
    let (handles, path) = (readers.clone(), world.path("build/t"));
    let steps = Steps::new("two").tree("build/t", small("2"));
    while_missing(&world, &steps, move || {
        assert!(!path.exists(), "it is not missing: this test shows nothing");
        let pinner = journal.clone();
        let pin = std::thread::spawn(move || pinner.pin("build/t").unwrap().map(|pin| pin.path()));
        handles.lock().unwrap().push(pin);
    })
    .unwrap();
    let readers = std::mem::take(&mut *readers.lock().unwrap());
    assert_eq!(readers.len(), 1);
    for reader in readers {
        assert!(reader.join().unwrap().is_some(), "a pin found nothing");
    }
}

#[test]
fn g9_an_entry_created_while_a_path_is_missing_stays() {
    let world = World::new();
    Steps::new("one")
        .put("build/a", "1")
        .try_commit(&open_without_exchange(&world))
        .unwrap();
    let path = world.path("build/a");
    let steps = Steps::new("two").put("build/a", "2");
    while_missing(&world, &steps, move || {
        std::fs::write(&path, "theirs").unwrap()
    })
    .unwrap();
    assert_eq!(world.read("build/a"), "theirs");
    let journal = open_without_exchange(&world);
    assert!(journal.history().status().unwrap().stuck.is_empty());
    journal.close().unwrap();
    assert!(
        world.left_in_staging().is_empty(),
        "{:?}",
        world.left_in_staging()
    );
    // As if it had been written right afterwards: the next transaction replaces it, and sets it aside.
    Steps::new("three")
        .put("build/a", "3")
        .try_commit(&world.open())
        .unwrap();
    assert_eq!(tljournal_tests::aside(&world).len(), 1);
}

#[test]
fn g8_a_filesystem_where_a_rename_may_replace_something_is_refused() {
    let world = World::new();
    let lack: Arc<dyn Witness> = Arc::new(Lack::of(Verb::RenameNew, Errno::INVAL));
    let said = world
        .options()
        .disk(Disk::witnessed(lack))
        .work()
        .unwrap_err();
    assert!(
        matches!(&said, Error::Unsupported(Unsupported::Filesystem { .. })),
        "{said:?}"
    );
    assert!(
        explain(&said).contains("replace another file"),
        "{}",
        explain(&said)
    );
    assert!(world.options().inspect().is_err());
    // A filesystem with the feature is accepted.
    let count = Arc::new(Count::default());
    Steps::new("one")
        .put("build/a", "1")
        .try_commit(&world.open_witnessed(&count).unwrap())
        .unwrap();
}

/// Restoring a torn tree is an exchange too, and no row marks it as in progress.
#[test]
fn g1_a_torn_tree_is_restored_without_exchange_despite_interruptions() {
    for cut in 1..=3 {
        let world = World::new();
        let journal = open_without_exchange(&world);
        let one = Steps::new("one").tree("build/t", small("one"));
        one.try_commit(&journal).unwrap();
        let two = Steps::new("two").rebuildable("build/t", small("two"));
        two.try_commit(&journal).unwrap();
        journal.close().unwrap();
        tear(&world, "build/t");
        let database = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
        let sql = "UPDATE entry SET boot = 'earlier' WHERE unsettled = 1";
        assert_eq!(database.execute(sql, []).unwrap(), 1);
        drop(database);
        let renames = AtomicU32::new(0);
        let hook = Hook(move |when, call: &tljournal::disk::Call<'_>| {
            let renames = match (when, call.verb) {
                (When::Before, Verb::RenameNew) => renames.fetch_add(1, Ordering::AcqRel) + 1,
                _ => renames.load(Ordering::Acquire),
            };
            // As after a kill: no further call succeeds.
            match renames < cut || when == When::After {
                true => Ok(()),
                false => Err(Errno::IO.into()),
            }
        });
        let cut_short = world.open_witnessed(&Arc::new(Both(Lack::of_exchange(), hook)));
        drop(cut_short);
        let journal = open_without_exchange(&world);
        assert_eq!(world.read("build/t/sub/f1"), "one", "cut at {cut}");
        assert_eq!(journal.recovery().trees_put_back, 1, "cut at {cut}");
        assert!(
            journal.verify("build/t", true).unwrap().is_empty(),
            "cut at {cut}"
        );
        journal.recover().unwrap();
        drop(journal);
        let wrong = check_at_rest(&world);
        assert!(wrong.is_empty(), "cut at {cut}: {wrong:?}");
    }
}

#[test]
fn g9_a_home_without_birth_times_says_so_once_and_everything_works() {
    let world = World::new();
    let open = || {
        world
            .open_witnessed(&Arc::new(Lack::of_birth_times()))
            .unwrap()
    };
    drop(open());
    let journal = open();
    let said = events(&journal, &EventKind::WeakerPromise);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].detail.contains("birth times"), "{said:?}");
    assert!(!journal.history().status().unwrap().birth_times);
    drop(journal);
    for case in tljournal_tests::all_cases() {
        check_lacking(&format!("{}-without-birth-times", case.name));
    }
}

#[test]
fn g8_a_kernel_without_openat2_is_as_good() {
    for case in tljournal_tests::all_cases() {
        check_lacking(&format!("{}-without-openat2", case.name));
    }
    // Links on the way are not followed there either.
    let world = World::new();
    world.make_dir("elsewhere");
    world.link("../elsewhere", "build/way");
    let journal = world.open_witnessed(&Arc::new(Lack::of_openat2())).unwrap();
    let said = Steps::new("out")
        .put("build/way/file", "1")
        .try_commit(&journal)
        .unwrap_err();
    assert!(matches!(said, Error::Conflict(_)), "{}", explain(&said));
    assert!(!world.exists("elsewhere/file"));
}

fn check_lacking(name: &str) {
    let case = tljournal_tests::case_named(name);
    let world = World::new();
    case.prepare(&world);
    let allowed = case.allowed(&world);
    let journal = case.open(&world, Count::default()).unwrap();
    case.run(&journal).unwrap();
    journal.recover().unwrap();
    journal.close().unwrap();
    let differences = world.snapshot().differences(allowed.last().unwrap());
    assert!(differences.is_empty(), "{name}: {differences:#?}");
    // Repeating a change through twoliter's state counts as a change of another run.
    if case.end == tljournal_tests::End::Commit && case.act.is_none() {
        let receipt = case.steps.try_commit(&case.reopen(&world)).unwrap();
        assert!(!receipt.changed_anything(), "G4, {name}");
    }
}
