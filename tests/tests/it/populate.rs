//! Population: one process works, others wait and find the result; a failure leaves nothing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::disk::{Call, Verb};
use tljournal::{
    ConflictKind, Error, Installed, Journal, LockMode, PopulateOptions, TreeError, TreeSource,
};
use tljournal_testkit::{When, World, explain};
use tljournal_tests::{Hook, aside, within};

const PLACE: &str = "build/cache/one";

/// A source with one file, which counts its uses.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl Asked {
    fn source(&self, content: &'static str) -> TreeSource {
        let asked = self.0.clone();
        TreeSource::filled(move |path| {
            asked.fetch_add(1, Ordering::SeqCst);
            fs::write(path.join("file"), content)
        })
    }

    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn populate(journal: &Journal, key: &str, source: TreeSource) -> Result<Installed, Error> {
    journal.populate(PLACE, key, source, PopulateOptions::default())
}

/// Whether an error reports that the wait could deadlock.
fn would_deadlock(error: &Error) -> bool {
    matches!(error, Error::Conflict(conflict) if matches!(conflict.kind, ConflictKind::WouldDeadlock))
}

#[test]
fn g4_a_populated_tree_is_not_populated_again() {
    let (world, asked) = (World::new(), Asked::default());
    let journal = world.open();
    let first = populate(&journal, "k", asked.source("one")).unwrap();
    assert!(first.changed);
    let before = world.snapshot();
    let ino = world.path(PLACE).metadata().unwrap().ino();
    let again = populate(&journal, "k", asked.source("other")).unwrap();
    assert!(!again.changed);
    assert_eq!(again.pin.identity(), first.pin.identity());
    assert!(world.snapshot().matches(&before));
    assert_eq!(world.path(PLACE).metadata().unwrap().ino(), ino);
    assert_eq!(asked.times(), 1);
    // Another key is another tree; going back populates it again.
    assert!(
        populate(&journal, "l", asked.source("two"))
            .unwrap()
            .changed
    );
    assert_eq!(world.read("build/cache/one/file"), "two");
    assert!(
        populate(&journal, "k", asked.source("one"))
            .unwrap()
            .changed
    );
    assert_eq!(asked.times(), 3);
}

#[test]
fn a_damaged_populated_tree_is_populated_again_and_the_damage_set_aside() {
    let (world, asked) = (World::new(), Asked::default());
    let journal = world.open();
    drop(populate(&journal, "k", asked.source("one")).unwrap());
    world.write("build/cache/one/file", "edited");
    assert!(
        populate(&journal, "k", asked.source("one"))
            .unwrap()
            .changed
    );
    assert_eq!(world.read("build/cache/one/file"), "one");
    assert_eq!(aside(&world).len(), 1);
    fs::remove_dir_all(world.path(PLACE)).unwrap();
    assert!(
        populate(&journal, "k", asked.source("one"))
            .unwrap()
            .changed
    );
    assert_eq!(asked.times(), 3);
}

#[test]
fn another_key_for_the_same_content_is_remembered_too() {
    let (world, asked) = (World::new(), Asked::default());
    let journal = world.open();
    let source = |asked: &Asked| {
        let asked = asked.0.clone();
        TreeSource::filled(move |path| -> io::Result<()> {
            asked.fetch_add(1, Ordering::SeqCst);
            let file = fs::File::create(path.join("file"))?;
            file.set_modified(std::time::UNIX_EPOCH)?;
            let root = fs::File::open(path)?;
            root.set_modified(std::time::UNIX_EPOCH)
        })
    };
    assert!(populate(&journal, "k", source(&asked)).unwrap().changed);
    assert!(!populate(&journal, "l", source(&asked)).unwrap().changed);
    assert_eq!(asked.times(), 2);
    for key in ["k", "l"] {
        assert!(!populate(&journal, key, source(&asked)).unwrap().changed);
    }
    assert_eq!(asked.times(), 2);
}

#[test]
fn a_failed_population_leaves_nothing_and_the_next_one_starts() {
    let (world, asked) = (World::new(), Asked::default());
    let journal = world.open();
    let failing = TreeSource::filled(|path| {
        fs::write(path.join("half"), "half")?;
        Err(io::Error::other("the network is down"))
    });
    let error = populate(&journal, "k", failing).unwrap_err();
    assert!(
        matches!(error, Error::Source(TreeError::Fill { .. })),
        "{error:?}"
    );
    assert!(explain(&error).contains("the network is down"));
    assert!(!world.exists(PLACE));
    assert_eq!(world.left_in_staging(), [""; 0]);
    drop(populate(&journal, "k", asked.source("one")).unwrap());
    let names: Vec<_> = fs::read_dir(world.path(PLACE)).unwrap().collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn of_concurrent_populations_one_works() {
    let (world, asked) = (World::new(), Asked::default());
    drop(world.open());
    let changed = within("16 handles that populate one tree", move || {
        let changed = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let done = populate(&world.open(), "k", asked.source("one")).unwrap();
                    let file = Utf8PathBuf::from(done.pin.path()).join("file");
                    assert_eq!(fs::read_to_string(file).unwrap(), "one");
                    changed.lock().unwrap().push(done.changed);
                });
            }
        });
        assert_eq!(asked.times(), 1);
        changed.into_inner().unwrap()
    });
    assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
}

/// Runs `act` while another handle populates the tree with the key `k`, and lets that one fail or succeed.
fn while_populated(world: &World, works: bool, act: impl FnOnce()) {
    std::thread::scope(|scope| {
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let other = scope.spawn(move || {
            let source = TreeSource::filled(move |path| {
                begun.send(()).unwrap();
                let _ = may_go_on.recv();
                match works {
                    true => fs::write(path.join("file"), "theirs"),
                    false => Err(io::Error::other("no")),
                }
            });
            populate(&world.open(), "k", source).map(drop)
        });
        has_begun.recv().unwrap();
        act();
        drop(go_on);
        assert_eq!(other.join().unwrap().is_ok(), works);
    });
}

#[test]
fn g10_a_population_timeout_names_the_working_process() {
    let (world, asked) = (World::new(), Asked::default());
    let journal = world.open();
    while_populated(&world, true, || {
        let wait = Some(Duration::from_millis(5));
        let options = PopulateOptions {
            wait,
            ..PopulateOptions::default()
        };
        let error = journal
            .populate(PLACE, "k", asked.source("mine"), options)
            .unwrap_err();
        let told = explain(&error);
        assert!(matches!(error, Error::Lock(_)), "{error:?}");
        for word in ["populate build/cache/one", &std::process::id().to_string()] {
            assert!(told.contains(word), "{word}: {told}");
        }
        // Another key, and another place, are free.
        let elsewhere = asked.source("elsewhere");
        drop(
            journal
                .populate("build/other", "k", elsewhere, PopulateOptions::default())
                .unwrap(),
        );
    });
    let found = populate(&journal, "k", asked.source("mine")).unwrap();
    assert!(!found.changed);
    assert_eq!(world.read("build/cache/one/file"), "theirs");
    assert_eq!(asked.times(), 1);
}

/// It was refused, but only if another process was populating the tree.
#[test]
fn g15_a_holder_of_a_lock_waits_for_a_key() {
    let (world, asked) = (World::new(), Asked::default());
    let journal = world.open();
    let lock = journal
        .lock("vendor", LockMode::Exclusive, "test", None)
        .unwrap();
    while_populated(&world, true, || {
        let wait = Some(Duration::from_millis(300));
        let options = PopulateOptions {
            wait,
            ..PopulateOptions::default()
        };
        let mine = journal.populate(PLACE, "k", asked.source("mine"), options);
        assert!(matches!(mine, Err(Error::Lock(_))), "{mine:?}");
    });
    drop(populate(&journal, "k", asked.source("mine")).unwrap());
    assert_eq!(asked.times(), 0);
    drop(lock);
}

#[test]
fn a_population_within_itself_is_refused() {
    let world = World::new();
    let journal = world.open();
    let inner = journal.clone();
    let nested = within("a population within itself", move || {
        let source = TreeSource::filled(move |_: &Utf8Path| {
            let again = TreeSource::filled(|_: &Utf8Path| io::Result::Ok(()));
            populate(&inner, "k", again).map(drop)
        });
        populate(&journal, "k", source).unwrap_err()
    });
    let Error::Source(TreeError::Fill { source }) = nested else {
        panic!("{nested:?}");
    };
    assert!(would_deadlock(source.downcast_ref().unwrap()), "{source:?}");
    assert!(!world.exists(PLACE));
}

#[test]
fn a_complete_tree_of_another_program_is_adopted_and_an_incomplete_one_replaced() {
    let (world, asked) = (World::new(), Asked::default());
    let journal = world.open();
    let options = || PopulateOptions {
        accept: Some(Arc::new(|path: &Utf8Path| path.join("complete").exists())),
        ..PopulateOptions::default()
    };
    world.write("build/cache/one/complete", "");
    let before = world.snapshot();
    for _ in 0..2 {
        let adopted = journal
            .populate(PLACE, "k", asked.source("mine"), options())
            .unwrap();
        assert!(!adopted.changed);
    }
    assert!(world.snapshot().matches(&before));
    assert_eq!(asked.times(), 0);
    assert_eq!(journal.verify(PLACE, true).unwrap(), []);
    world.write("build/cache/two/half", "half");
    let replaced = journal.populate("build/cache/two", "k", asked.source("mine"), options());
    assert!(replaced.unwrap().changed);
    assert_eq!(world.read("build/cache/two/file"), "mine");
    assert!(!world.exists("build/cache/two/half"));
    assert_eq!(aside(&world).len(), 1);
}

#[test]
fn a_tree_that_a_background_process_still_writes_is_not_installed() {
    let world = World::new();
    let path = Arc::new(Mutex::new(Utf8PathBuf::new()));
    let (left, filled) = (path.clone(), path);
    let hook = Hook(move |when, call: &Call<'_>| {
        // Staged content is synced after it was hashed.
        if when == When::Before && call.verb == Verb::SyncFilesystem {
            let file = left.lock().unwrap().join("file");
            if file.exists() {
                fs::write(file, "another one")?;
            }
        }
        Ok(())
    });
    let journal = world.open_witnessed(&Arc::new(hook)).unwrap();
    let source = TreeSource::filled(move |path: &Utf8Path| {
        *filled.lock().unwrap() = path.to_owned();
        fs::write(path.join("file"), "first one")
    });
    let error = populate(&journal, "k", source).unwrap_err();
    assert!(
        matches!(error, Error::Source(TreeError::Changed { .. })),
        "{error:?}"
    );
    assert!(!world.exists(PLACE));
}
