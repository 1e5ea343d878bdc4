//! Regressions: lock waits. No thread waits for itself, forever, or for two locks at once; and readers disturb no
//! other process.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tljournal::{
    Conflict, ConflictKind, Error, Journal, LockMode, OnPinned, PopulateOptions, TreeOptions,
    TreeSource, UsageError,
};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{small, until_waiting, within};

use crate::ACTOR;

fn would_deadlock<T>(said: &Result<T, Error>) -> bool {
    matches!(
        said,
        Err(Error::Conflict(Conflict {
            kind: ConflictKind::WouldDeadlock,
            ..
        }))
    )
}

fn options(on_pinned: OnPinned) -> TreeOptions {
    TreeOptions {
        on_pinned,
        ..TreeOptions::default()
    }
}

fn commit_in_thread(journal: Journal, steps: Steps) -> JoinHandle<Result<bool, Error>> {
    std::thread::spawn(move || {
        let receipt = steps.try_commit(&journal)?;
        Ok(receipt.changed_anything())
    })
}

/// A thread that read and then committed waited for itself forever.
#[test]
fn a_commit_of_a_thread_that_reads_is_refused_and_does_not_hang() {
    within("a commit while reading", || {
        let world = World::new();
        let journal = world.open();
        let steps = Steps::new("a").put("build/a", "1");
        let reading = journal.read().unwrap();
        assert!(would_deadlock(&steps.try_commit(&journal)));
        drop(reading);
        steps.try_commit(&journal).unwrap();
        assert_eq!(world.read("build/a"), "1");
    });
}

/// A second `read` of the same thread waited behind a writer, which waited for the first.
#[test]
fn a_second_read_with_a_waiting_writer_is_refused_and_does_not_hang() {
    within("a read while reading", || {
        let world = World::new();
        let (reader, writer) = (world.open(), world.open());
        let reading = reader.read().unwrap();
        let steps = Steps::new("a").put("build/a", "1");
        let writing = commit_in_thread(writer, steps);
        until_waiting(1, &[&world.path("build/.state/lock/commit")]);
        assert!(would_deadlock(&reader.read()));
        drop(reading);
        assert!(writing.join().unwrap().unwrap());
        drop(reader.read().unwrap());
    });
}

/// A process that pinned a tree and waited for its pins waited for itself.
#[test]
fn waiting_for_an_own_pin_is_refused_and_does_not_hang() {
    within("an install", || {
        let world = World::new();
        let journal = world.open();
        let wait = || options(OnPinned::Wait);
        let first = journal.install("build/t", small("one").source(), wait());
        let first = first.unwrap();
        let second = journal.install("build/t", small("two").source(), wait());
        assert!(would_deadlock(&second));
        assert_eq!(world.read("build/t/sub/f1"), "one");
        drop(first);
        let second = journal.install("build/t", small("two").source(), wait());
        assert!(second.unwrap().changed);
    });
}

/// A populating process waited for pins while holding its key, for which the holder of the pin waited.
#[test]
fn pins_are_not_waited_for_while_a_key_is_held() {
    within("a population", || {
        let world = World::new();
        let journal = world.open();
        let fill = |content: &'static str| {
            TreeSource::filled(move |path| std::fs::write(path.join("file"), content))
        };
        let populate = |key: &str, content| {
            let options = PopulateOptions {
                tree: options(OnPinned::Wait),
                ..PopulateOptions::default()
            };
            journal.populate("build/t", key, fill(content), options)
        };
        drop(populate("k", "one").unwrap());
        let reader = std::fs::File::open(world.path("build/t")).unwrap();
        reader.lock_shared().unwrap();
        assert!(would_deadlock(&populate("l", "two")));
        drop(reader);
        drop(populate("l", "two").unwrap());
        assert_eq!(world.read("build/t/file"), "two");
    });
}

/// Two processes that waited for the pins of the same two trees each held one while waiting for the other.
#[test]
fn two_waits_for_the_pins_of_the_same_trees_do_not_deadlock() {
    let world = World::new();
    for round in 0..5 {
        let reader = world.open();
        let both = Steps::new("both")
            .tree("build/a", small(&format!("{round}")))
            .tree("build/b", small(&format!("{round}")));
        both.try_commit(&reader).unwrap();
        // As another process would: this one would be refused to wait for its own pins.
        let pins = ["build/a", "build/b"].map(|path| {
            let dir = std::fs::File::open(world.path(path)).unwrap();
            dir.lock_shared().unwrap();
            dir
        });
        let mut waiting = [["build/a", "build/b"], ["build/b", "build/a"]].map(|paths| {
            let steps = paths.map(|path| format!("wait={path}=of {}", paths[0]));
            Command::new(ACTOR)
                .args([
                    "kill-when",
                    world.root().as_str(),
                    "before",
                    "nothing",
                    "nothing",
                ])
                .args(steps)
                .spawn()
                .unwrap()
        });
        let [a, b] = ["build/a", "build/b"].map(|path| world.path(path));
        until_waiting(2, &[&a, &b]);
        let [pin_a, pin_b] = pins;
        drop(pin_a);
        drop(pin_b);
        let begun = Instant::now();
        let mut left = waiting.len();
        while left > 0 {
            left = 0;
            for process in &mut waiting {
                match process.try_wait().unwrap() {
                    Some(status) => assert!(status.success()),
                    None => left += 1,
                }
            }
            if begun.elapsed() > Duration::from_secs(30) {
                for process in &mut waiting {
                    let _ = process.kill();
                }
                panic!("two that wait for two trees wait for each other");
            }
            std::thread::yield_now();
        }
        assert_eq!(
            world.read("build/a/sub/f1"),
            world.read("build/b/sub/f1"),
            "one transaction is half replaced by the other"
        );
    }
}

/// A commit that refuses pinned trees checked the pins once, before it waited for the lock: a tree that was installed
/// and pinned during the wait was replaced.
#[test]
fn g7_a_tree_that_was_pinned_while_its_replacer_waited_is_refused() {
    within("two installs in line", || {
        let world = World::new();
        let reader = world.open();
        let reading = reader.read().unwrap();
        let install = |version: &'static str, on_pinned| {
            let journal = world.open();
            std::thread::spawn(move || {
                let source = small(version).source();
                journal.install("build/t", source, options(on_pinned))
            })
        };
        let first = install("one", OnPinned::Exchange);
        until_waiting(1, &[&world.path("build/.state/lock/commit")]);
        let second = install("two", OnPinned::Fail);
        until_waiting(1, &[&world.path("build/.state/lock/commit.turnstile")]);
        drop(reading);
        let kept = first.join().unwrap().unwrap();
        let refused = second.join().unwrap();
        // Either it checked while the first was pinned, or it came first; it must not replace a pinned one.
        assert!(
            matches!(
                refused,
                Err(Error::Conflict(Conflict {
                    kind: ConflictKind::Pinned { .. },
                    ..
                }))
            ),
            "{refused:?}"
        );
        assert_eq!(world.read("build/t/sub/f1"), "one");
        drop(kept);
    });
}

/// A lock could have the name of another one's turnstile, and then blocked that one.
#[test]
fn a_lock_cannot_have_the_name_of_another_ones_turnstile() {
    let world = World::new();
    let journal = world.open();
    let taken = journal.lock("m.turnstile", LockMode::Exclusive, "test", None);
    assert!(matches!(
        taken,
        Err(Error::Usage(UsageError::LockName { .. }))
    ));
    drop(
        journal
            .lock("m", LockMode::Exclusive, "test", None)
            .unwrap(),
    );
}

/// An inspection of a journal in use read its database as an immutable file, concurrently with a writer: one in ten
/// found it "malformed".
#[test]
fn g10_inspecting_a_journal_during_writes_always_succeeds() {
    const ROUNDS: u32 = 300;
    let world = Arc::new(World::new());
    world.open().close().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (world, done) = (world.clone(), done.clone());
        move || {
            let mut commits = 0;
            while !done.load(Ordering::Acquire) {
                let journal = world.open();
                for k in 0..3 {
                    let steps = Steps::new("c").put("build/c", format!("{commits} {k}"));
                    steps.try_commit(&journal).unwrap();
                }
                journal.close().unwrap();
                commits += 1;
            }
            commits
        }
    });
    let mut failed = Vec::new();
    for _ in 0..ROUNDS {
        let looked = world.options().inspect().and_then(|found| {
            let at_home = found.is_at_home();
            found.history().status().map(|_| at_home)
        });
        if !matches!(looked, Ok(true)) {
            failed.push(format!("{looked:?}"));
        }
    }
    done.store(true, Ordering::Release);
    let commits = writer.join().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {ROUNDS} looks beside {commits} commits: {:?}",
        failed.len(),
        failed.first()
    );
}
