//! One thread that holds something and does something else, through the same handle of a home or another one: it
//! succeeds or is refused, and never waits for itself (G15).

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};

use tljournal::{
    Error, Expect, FsckOptions, Journal, LockMode, OnPinned, PopulateOptions, Retention,
    TreeOptions, TreeSource,
};
use tljournal_testkit::{Steps, World, check_at_rest};
use tljournal_tests::{small, within};

type Act = fn(&Journal) -> Result<(), Error>;

/// The operations by name.
const ACTS: [(&str, Act); 12] = [
    ("commit", commit),
    ("read", |journal| journal.read().map(drop)),
    ("lock shared", |journal| {
        journal.lock("a", LockMode::Shared, "x", None).map(drop)
    }),
    ("lock alone", lock_alone),
    ("lock another", |journal| {
        journal.lock("b", LockMode::Exclusive, "x", None).map(drop)
    }),
    ("populate", |journal| populate(journal, "build/p")),
    ("populate the same", |journal| {
        let options = PopulateOptions::default();
        journal
            .populate("build/same", "k", filled(), options)
            .map(drop)
    }),
    ("replace", |journal| replace(journal, OnPinned::Exchange)),
    ("replace once free", |journal| {
        replace(journal, OnPinned::Wait)
    }),
    ("pin", |journal| journal.pin("build/t").map(drop)),
    ("recover", |journal| journal.recover().map(drop)),
    ("gc and fsck", |journal| {
        journal.gc(&Retention::default())?;
        let mut hear = |_| ControlFlow::Continue(());
        journal.fsck(&FsckOptions::default(), &mut hear).map(drop)
    }),
];

/// A new path: an existing one needs no lock.
fn fresh() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed).to_string()
}

fn commit(journal: &Journal) -> Result<(), Error> {
    Steps::new("c")
        .put("build/c", fresh())
        .try_commit(journal)?;
    Ok(())
}

fn lock_alone(journal: &Journal) -> Result<(), Error> {
    journal.lock("a", LockMode::Exclusive, "x", None).map(drop)
}

fn filled() -> TreeSource {
    TreeSource::filled(|stage| std::fs::write(stage.join("file"), "content"))
}

fn populate(journal: &Journal, path: &str) -> Result<(), Error> {
    let (path, options) = (format!("{path}/{}", fresh()), PopulateOptions::default());
    journal.populate(&path, "k", filled(), options).map(drop)
}

fn replace(journal: &Journal, on_pinned: OnPinned) -> Result<(), Error> {
    let options = TreeOptions {
        on_pinned,
        ..TreeOptions::default()
    };
    let next = small(&fresh()).source();
    journal.install("build/t", next, options).map(drop)
}

type Hold = fn(&Journal, Box<dyn FnOnce() + Send>);

/// What is held meanwhile, by name, and what is refused then.
const HOLDS: [(&str, Hold, &[&str]); 8] = [
    (
        "a moment",
        |journal, act| {
            let _moment = journal.read().unwrap();
            act();
        },
        &[
            "commit",
            "read",
            "populate",
            "populate the same",
            "replace",
            "replace once free",
        ],
    ),
    (
        "a share of a lock",
        |journal, act| {
            let _lock = journal.lock("a", LockMode::Shared, "x", None).unwrap();
            act();
        },
        &["lock alone"],
    ),
    (
        "a lock alone",
        |journal, act| {
            let _lock = journal.lock("a", LockMode::Exclusive, "x", None).unwrap();
            act();
        },
        &["lock shared", "lock alone"],
    ),
    (
        "a pin",
        |journal, act| {
            let _pin = journal.pin("build/t").unwrap().unwrap();
            act();
        },
        &["replace once free"],
    ),
    (
        "a transaction that has staged",
        |journal, act| {
            let mut txn = journal.begin("staged");
            txn.put("build/s", "staged", Expect::Any).unwrap();
            txn.tree("build/st", small("s").source(), TreeOptions::default())
                .unwrap();
            act();
            let _ = txn.prepare().unwrap().commit().unwrap();
        },
        &[],
    ),
    (
        "a transaction that is prepared",
        |journal, act| {
            let mut txn = journal.begin("prepared");
            txn.put("build/s", "prepared", Expect::Any).unwrap();
            let prepared = txn.prepare().unwrap();
            act();
            let _ = prepared.commit().unwrap();
        },
        &[],
    ),
    (
        "a transaction that is forgotten",
        |journal, act| {
            let mut txn = journal.begin("forgotten");
            txn.put("build/s", "forgotten", Expect::Any).unwrap();
            std::mem::forget(txn);
            act();
        },
        &[],
    ),
    (
        "what fills a tree",
        |journal, act| {
            let fill = TreeSource::filled(move |stage| {
                act();
                std::fs::write(stage.join("file"), "content")
            });
            let options = PopulateOptions::default();
            drop(journal.populate("build/same", "k", fill, options).unwrap());
            Steps::new("gone")
                .remove("build/same")
                .try_commit(journal)
                .unwrap();
        },
        &["populate the same"],
    ),
];

/// Holds something through one handle and runs every operation through another one, which may be the same; returns
/// the results.
fn held(world: &World, hold: Hold, same: bool) -> Vec<(&'static str, Result<(), Error>)> {
    let holder = world.open();
    let other = match same {
        true => holder.clone(),
        false => world.open(),
    };
    replace(&holder, OnPinned::Exchange).unwrap();
    let mut done = Vec::new();
    for (doing, act) in ACTS {
        let (other, (tell, told)) = (other.clone(), channel());
        hold(&holder, Box::new(move || tell.send(act(&other)).unwrap()));
        done.push((doing, told.recv().unwrap()));
        // Afterwards nothing is held, for this thread too.
        for act in [commit, lock_alone] {
            act(&holder).unwrap();
        }
        let _ = Steps::new("gone").remove("build/same").try_commit(&holder);
    }
    done
}

#[test]
fn g15_a_thread_that_holds_something_never_waits_for_itself() {
    for (holding, hold, refused) in HOLDS {
        for same in [true, false] {
            let what = format!("what is done with {holding}, by the same handle: {same}");
            let world = Arc::new(World::in_memory());
            let done = {
                let world = world.clone();
                within(&what, move || held(&world, hold, same))
            };
            for (doing, done) in done {
                match (done, refused.contains(&doing)) {
                    (Ok(()), false) | (Err(Error::Conflict(_)), true) => {}
                    (done, _) => panic!("{doing}, {what}: {done:?}"),
                }
            }
            // A forgotten value stays until this process ends.
            if !holding.contains("forgotten") {
                assert_eq!(check_at_rest(&world), [""; 0], "{what}");
            }
        }
    }
}

/// The thread that received it waited for itself, and the one that had created it was refused.
#[test]
fn g15_a_moved_reading_belongs_to_the_thread_that_uses_it() {
    within("a moment that was moved", || {
        let world = World::new();
        let journal = world.open();
        let moment = journal.read().unwrap();
        let commit = |path: &str| {
            Steps::new("c")
                .put(path, "c")
                .try_commit(&journal)
                .map(drop)
        };
        std::thread::scope(|scope| {
            let (tell, told) = channel();
            let moved = scope.spawn(move || {
                moment.open("build/x").unwrap();
                let refused = commit("build/a");
                tell.send(()).unwrap();
                drop(moment);
                refused
            });
            told.recv().unwrap();
            // It waits until the other thread is done.
            commit("build/b").unwrap();
            let refused = moved.join().unwrap();
            assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
        });
    });
}

/// Two threads that each hold what the other one requests, through handles of their own: one of them gives up.
#[test]
fn g15_of_two_threads_that_wait_for_each_other_one_gives_up() {
    within("a ring of threads", || {
        let world = World::new();
        let barrier = Barrier::new(2);
        let crossing = |first: &str, second: &str| {
            let journal = world.open();
            let lock = |name| journal.lock(name, LockMode::Exclusive, "x", None);
            let _first = lock(first).unwrap();
            barrier.wait();
            lock(second).map(drop)
        };
        let done = std::thread::scope(|scope| {
            let one = scope.spawn(|| crossing("a", "b"));
            [crossing("b", "a"), one.join().unwrap()]
        });
        let gave_up: Vec<_> = done.into_iter().filter_map(Result::err).collect();
        assert_eq!(gave_up.len(), 1, "{gave_up:?}");
        let text = gave_up[0].to_string();
        assert!(text.contains("would never end"), "{text}");
    });
}
