//! A process forked without exec shares all handles of its parent, but must not use them (G15).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "an error fails the test"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fork::{Fork, fork, waitpid};
use tljournal::{
    Error, Expect, Journal, LockMode, Options, PopulateOptions, TreeOptions, TreeSource, UsageError,
};
use tljournal_testkit::{Steps, World, check_at_rest};
use tljournal_tests::small;

/// Forks, and returns whether the child succeeded. Changes of memory in the child are not visible here.
fn in_fork(act: &mut dyn FnMut() -> bool) -> bool {
    match fork().unwrap() {
        Fork::Parent(child) => waitpid(child).unwrap() == 0,
        Fork::Child => {
            let went = catch_unwind(AssertUnwindSafe(act));
            std::process::exit(i32::from(!went.unwrap_or(false)));
        }
    }
}

fn is_refused<T>(done: Result<T, Error>) -> bool {
    match done {
        Err(Error::Usage(UsageError::Forked)) => true,
        done => panic!("{:?}", done.err()),
    }
}

fn is_all_refused(journal: &Journal) -> bool {
    let put = journal.begin("child").put("build/x", "x", Expect::Any);
    let fill = TreeSource::filled(|_| std::io::Result::Ok(()));
    let options = PopulateOptions::default();
    is_refused(put)
        && is_refused(journal.read())
        && is_refused(journal.lock("b", LockMode::Shared, "x", None))
        && is_refused(journal.populate("build/p", "k", fill, options))
        && is_refused(journal.run("child"))
        && is_refused(journal.recover())
        && is_refused(journal.fail("child"))
}

/// The child released its parent's locks, ended its run, and deleted its staged content.
#[test]
fn g15_a_forked_child_is_refused_and_takes_nothing_from_its_parent() {
    let world = World::new();
    let (journal, other) = (world.open(), world.open());
    let mut txn = journal.begin("parent");
    txn.put("build/file", "of the parent", Expect::Any).unwrap();
    let lock = journal.lock("a", LockMode::Exclusive, "x", None).unwrap();
    let tree = journal.install("build/t", small("one").source(), TreeOptions::default());
    let pin = tree.unwrap().pin;
    let run = journal.run_id().unwrap();
    let moment = other.read().unwrap();
    let mut inherited = Some((txn, lock, pin, moment));
    let (mut journals, asks) = (Some((journal.clone(), other.clone())), journal.clone());
    // The child drops all inherited handles.
    assert!(in_fork(&mut || {
        let all = is_all_refused(&asks);
        drop((inherited.take(), journals.take()));
        // A journal that the child opens itself works.
        let own = world.open();
        all && own
            .read()
            .is_ok_and(|moment| moment.entry("build/t").is_ok())
    }));
    let at_once = Some(Duration::ZERO);
    let third = world.open();
    let is_held = |done: Result<_, Error>| matches!(done, Err(Error::Lock(_)));
    let theirs = std::thread::scope(|scope| {
        let asked = || third.lock("a", LockMode::Exclusive, "x", at_once).map(drop);
        scope.spawn(asked).join().unwrap()
    });
    assert!(is_held(theirs), "the lock is held");
    assert!(third.history().is_alive(run).unwrap(), "the run lives");
    let (txn, lock, pin, moment) = inherited.unwrap();
    let commits = Options::new(world.root())
        .lock_wait(Duration::from_millis(50))
        .work()
        .unwrap();
    let steps = Steps::new("others").put("build/other", "x");
    let waits = std::thread::scope(|scope| {
        scope
            .spawn(|| steps.try_commit(&commits).map(drop))
            .join()
            .unwrap()
    });
    assert!(is_held(waits), "the moment lasts");
    drop(moment);
    let _ = txn.prepare().unwrap().commit().unwrap();
    assert_eq!(world.read("build/file"), "of the parent");
    assert!(
        std::fs::File::open(world.path("build/t"))
            .unwrap()
            .try_lock()
            .is_err()
    );
    drop((lock, pin));
    drop((journals, asks));
    journal.close().unwrap();
    drop((other, third, commits));
    assert_eq!(check_at_rest(&world), [""; 0]);
}
