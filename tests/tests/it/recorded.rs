//! Events that runs record for a later investigation; and that a run without changes records nothing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use tljournal::{
    EventKind, EventRecord, Expect, Journal, LockMode, OnPinned, Payload, PopulateOptions,
    RunFilter, RunRecord, TreeOptions, TreeSource,
};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{events, within};

fn put(journal: &Journal, path: &str, content: &str) {
    let done = Steps::new("put").put(path, content).try_commit(journal);
    done.unwrap();
}

fn runs(journal: &Journal) -> Vec<RunRecord> {
    journal.history().runs(&RunFilter::default()).unwrap()
}

/// The first event of a kind, as soon as there is one.
fn event(journal: &Journal, kind: &EventKind) -> EventRecord {
    loop {
        if let Some(found) = events(journal, kind).pop() {
            return found;
        }
        std::thread::yield_now();
    }
}

#[test]
fn held_locks_are_recorded_with_the_first_change() {
    let world = World::new();
    let journal = world.open();
    let lock = journal
        .lock("a", LockMode::Exclusive, "publish", None)
        .unwrap();
    assert_eq!(
        (
            runs(&journal).len(),
            events(&journal, &EventKind::Holds).len()
        ),
        (0, 0)
    );
    put(&journal, "build/a", "1");
    let held = &events(&journal, &EventKind::Holds)[..];
    assert_eq!(
        (held[0].path.as_deref(), held[0].run),
        (Some("a"), Some(runs(&journal)[0].number))
    );
    assert_eq!(held[0].detail, "alone, for \"publish\"");
    assert!(held[0].at <= runs(&journal)[0].started_at);
    drop(lock);
    assert_eq!(
        events(&journal, &EventKind::Released)[0].path.as_deref(),
        Some("a")
    );
}

#[test]
fn g4_a_run_without_changes_records_no_locks() {
    let world = World::new();
    put(&world.open(), "build/a", "1");
    let journal = world.open();
    let before = world.snapshot();
    for _ in 0..2 {
        let lock = journal
            .lock("a", LockMode::Exclusive, "publish", None)
            .unwrap();
        put(&journal, "build/a", "1");
        drop(lock);
    }
    assert_eq!(
        (
            runs(&journal).len(),
            events(&journal, &EventKind::Holds).len()
        ),
        (1, 0)
    );
    journal.close().unwrap();
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_wait_for_the_commit_lock_is_recorded_during_the_wait() {
    within("a commit after a reader", || {
        let world = World::new();
        let (reader, writer) = (world.open(), world.open());
        let reading = reader.read().unwrap();
        std::thread::scope(|scope| {
            let commit = scope.spawn(|| put(&writer, "build/a", "1"));
            let waits = event(&reader, &EventKind::Waiting);
            assert_eq!(waits.path.as_deref(), Some("lock/commit"));
            assert!(waits.run.is_some() && waits.txn.is_some(), "{waits:?}");
            assert_eq!(events(&reader, &EventKind::Waited).len(), 0);
            drop(reading);
            commit.join().unwrap();
        });
        let waited = &events(&reader, &EventKind::Waited)[0];
        assert!(waited.detail.ends_with("for \"put\""), "{waited:?}");
    });
}

#[test]
fn a_wait_for_pins_is_recorded_and_so_is_replacing_a_pinned_tree() {
    within("a tree that is replaced once it is unpinned", || {
        let world = World::new();
        let (reader, writer) = (world.open(), world.open());
        let install = |version, on_pinned| {
            let source = world.path(&format!("src-{version}"));
            world.write(&format!("src-{version}/file"), version);
            let options = TreeOptions {
                on_pinned,
                ..TreeOptions::default()
            };
            writer.install("build/tools", TreeSource::at(source), options)
        };
        drop(install("1", OnPinned::Exchange).unwrap());
        let pin = reader.pin("build/tools").unwrap();
        drop(install("2", OnPinned::Exchange).unwrap());
        let replaced = events(&reader, &EventKind::ReplacedPinned);
        assert_eq!(replaced[0].path.as_deref(), Some("build/tools"));
        assert!(replaced[0].run.is_some() && replaced[0].txn.is_some());
        // Every sweep finds it, but does not report it again.
        writer.recover().unwrap();
        assert_eq!(events(&reader, &EventKind::ReplacedPinned).len(), 1);
        drop(pin);
        // A process does not wait for its own pins.
        let mut holder = Command::new("flock")
            .args([
                "-s",
                world.path("build/tools").as_str(),
                "-c",
                "echo held; read x",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(holder.stdout.take().unwrap());
        said.read_line(&mut String::new()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(install("3", OnPinned::Wait).unwrap()));
            let waits = event(&reader, &EventKind::Waiting);
            assert_eq!(waits.path.as_deref(), Some("build/tools"));
            assert!(
                waits.txn.is_some() && waits.detail.contains("install build/tools"),
                "{waits:?}"
            );
            drop(holder.stdin.take());
            waiting.join().unwrap();
        });
        assert_eq!(events(&reader, &EventKind::Waited).len(), 1);
        holder.wait().unwrap();
    });
}

#[test]
fn a_population_is_recorded_once_with_its_transaction() {
    let world = World::new();
    let journal = world.open();
    for _ in 0..2 {
        let source = TreeSource::filled(|stage| std::fs::create_dir(stage.join("made")));
        let done = journal.populate("build/kit", "key", source, PopulateOptions::default());
        drop(done.unwrap());
    }
    let made = events(&journal, &EventKind::Populated);
    assert_eq!(made.len(), 1);
    assert!(made[0].run.is_some() && made[0].txn.is_some());
}

#[test]
fn a_refused_commit_is_recorded_with_the_found_state() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "1");
    let mut txn = journal.begin("again");
    txn.put("build/a", Payload::from("2"), Expect::Present)
        .unwrap();
    let removed = Steps::new("rm").remove("build/a").try_commit(&journal);
    removed.unwrap();
    let prepared = txn.prepare().unwrap();
    prepared.commit().unwrap_err();
    let refused = &events(&journal, &EventKind::Conflict)[0];
    assert_eq!(refused.path.as_deref(), Some("build/a"));
    assert!(refused.run.is_some() && refused.txn.is_some());
    assert_eq!(refused.detail, "expected present, found nothing");
}

#[test]
fn g10_a_run_that_reports_a_failure_has_failed_even_if_it_changed_nothing() {
    let world = World::new();
    let journal = world.open();
    let run = journal
        .fail("failed to fetch `https://me:secret@host/x`")
        .unwrap();
    assert_eq!(
        run.error.as_deref(),
        Some("failed to fetch `https://[redacted]@host/x`")
    );
    journal.fail(&"what came of it ".repeat(1000)).unwrap();
    journal.close().unwrap();
    let other = world.open();
    put(&other, "build/a", "1");
    other.fail(&"long ".repeat(2000)).unwrap();
    other.close_with("exited 3").unwrap();
    let runs = runs(&world.open());
    let told = |run: &RunRecord| {
        (
            run.outcome.clone().unwrap(),
            run.error.clone().unwrap().len(),
        )
    };
    assert_eq!(told(&runs[1]), ("failed".to_owned(), 43));
    assert_eq!(told(&runs[0]), ("exited 3".to_owned(), 4003));
}

#[test]
fn a_label_is_stored_without_secrets() {
    let world = World::new();
    let journal = world.open();
    let mut txn = journal.begin("deploy --token hunter2");
    assert_eq!(txn.label(), "deploy --token [redacted]");
    txn.put("build/a", "1", Expect::Any).unwrap();
    drop(txn.prepare().unwrap().commit().unwrap());
    let found = journal.history().transaction("1").unwrap().unwrap();
    assert_eq!(found.label, "deploy --token [redacted]");
}
