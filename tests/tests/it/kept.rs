//! Retained content: what is retained, what never is, and what is deleted first.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tljournal::disk::Verb;
use tljournal::{EventKind, Journal, KeyMaterial, Limits, Retention, TxnFilter, TxnRecord};
use tljournal_testkit::{Steps, When, World};
use tljournal_tests::{Hook, Strike, aside, events, kill_at, nothing_kept, small};

use crate::ACTOR;

const MANY: Limits = Limits {
    count: 1000,
    bytes: u64::MAX,
    age: Duration::MAX,
};

fn put(journal: &Journal, path: &str, content: &str) {
    Steps::new("put")
        .put(path, content)
        .try_commit(journal)
        .unwrap();
}

fn tree(journal: &Journal, version: &str) {
    Steps::new("tree")
        .tree("build/tools", small(version))
        .try_commit(journal)
        .unwrap();
}

fn kept(journal: &Journal) -> Vec<TxnRecord> {
    let filter = TxnFilter {
        kept: true,
        ..TxnFilter::default()
    };
    let mut kept = journal.history().transactions(&filter).unwrap();
    kept.reverse();
    kept
}

/// The contents of the files that a transaction retains, in order.
fn contents(world: &World, txn: &TxnRecord) -> Vec<String> {
    let dir = world.path("build/.state/txn").join(txn.id.to_string());
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("paths"))
        .collect();
    names.sort();
    let read = |path: &std::path::PathBuf| fs::read_to_string(path).unwrap_or_default();
    names.iter().map(read).collect()
}

fn everything_below(world: &World) -> String {
    let told = Command::new("grep")
        .args(["-rl", "PRIVATE", world.path("build/.state").as_str()])
        .output()
        .unwrap();
    String::from_utf8(told.stdout).unwrap()
}

#[test]
fn replaced_and_removed_content_is_retained_and_new_files_leave_nothing() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "one");
    assert_eq!(kept(&journal).len(), 0);
    put(&journal, "build/a", "two");
    let removed = Steps::new("rm").remove("build/a").try_commit(&journal);
    removed.unwrap();
    tree(&journal, "1");
    tree(&journal, "2");
    let found = kept(&journal);
    let labels: Vec<_> = found.iter().map(|txn| txn.label.as_str()).collect();
    assert_eq!(labels, ["put", "rm", "tree"]);
    assert_eq!((found[0].kept, found[1].kept), (Some(3), Some(3)));
    assert!(found[2].kept > Some(1000), "{:?}", found[2].kept);
    assert_eq!(contents(&world, &found[0]), ["one"]);
    assert_eq!(contents(&world, &found[1]), ["two"]);
    drop(journal);
    assert_eq!(world.left_in_staging(), [""; 0]);
    assert!(world.open().recovery().is_empty());
}

#[test]
fn the_oldest_is_deleted_at_the_end_of_a_run_and_during_a_long_one() {
    let world = World::new();
    let limits = Limits { count: 3, ..MANY };
    let retention = Retention {
        kept: limits,
        ..Retention::default()
    };
    let open = || world.options().retention(retention.clone()).work().unwrap();
    let journal = open();
    for n in 0..6 {
        put(&journal, "build/a", &format!("content {n}"));
    }
    journal.close().unwrap();
    let journal = open();
    let found = kept(&journal);
    let left: Vec<_> = found.iter().map(|txn| contents(&world, txn)).collect();
    assert_eq!(left, [["content 2"], ["content 3"], ["content 4"]]);

    let few = Retention {
        kept: Limits {
            count: 10,
            bytes: 10_000,
            ..MANY
        },
        ..Retention::default()
    };
    let journal = world.options().retention(few).work().unwrap();
    for n in 0..100 {
        put(&journal, "build/a", &format!("long run {n}"));
        assert!(kept(&journal).len() < 20);
    }
}

#[test]
fn key_material_is_neither_retained_nor_set_aside() {
    let world = World::new();
    let keys = KeyMaterial::default().and("vault/");
    let journal = world.options().key_material(keys).work().unwrap();
    for path in ["keys/root", "build/x.pem", "sbkeys/a/b", "vault/z"] {
        put(&journal, path, "PRIVATE 1");
        put(&journal, path, "PRIVATE 2");
        // An edited key is deleted too.
        fs::write(world.path(path), "PRIVATE 3").unwrap();
        put(&journal, path, "PRIVATE 4");
        Steps::new("rm").remove(path).try_commit(&journal).unwrap();
    }
    let with_key = |version: &str| {
        small(version).file("ca.pem", 0o600, tljournal::Timestamp::new(1, 1), "PRIVATE")
    };
    for version in ["1", "2"] {
        let steps = Steps::new("tree").tree("build/tools", with_key(version));
        steps.try_commit(&journal).unwrap();
    }
    assert_eq!(kept(&journal).len(), 0);
    assert_eq!(everything_below(&world), "");
    let told = events(&journal, &EventKind::NotKept);
    assert!(
        told.iter()
            .any(|event| event.path.as_deref() == Some("keys/root"))
    );
    assert_eq!(events(&journal, &EventKind::Drift).len(), 0);
}

#[test]
fn content_in_use_stays_and_a_dry_run_reports_deletions() {
    let world = World::new();
    let journal = world.open();
    tree(&journal, "1");
    tree(&journal, "2");
    put(&journal, "build/a", "one");
    put(&journal, "build/a", "two");
    let [tools, file] = &kept(&journal)[..] else {
        panic!("{:?}", kept(&journal))
    };
    let dir = world.path("build/.state/txn").join(tools.id.to_string());
    let root = fs::File::open(dir.join("0")).unwrap();
    rustix::fs::flock(&root, rustix::fs::FlockOperation::LockShared).unwrap();
    let planned = journal.history().plan_gc(&nothing_kept()).unwrap();
    let numbers =
        |txns: &[tljournal::GcTxn]| -> Vec<i64> { txns.iter().map(|txn| txn.number).collect() };
    assert_eq!(numbers(&planned.kept), [file.number]);
    assert_eq!(numbers(&planned.in_use), [tools.number]);
    assert_eq!(kept(&journal).len(), 2, "a dry run changes nothing");
    let done = journal.gc(&nothing_kept()).unwrap();
    assert_eq!(done.kept, planned.kept);
    assert_eq!((done.in_use, done.left_txns), (planned.in_use, 1));
    assert!(dir.join("0/sub/f1").exists());
    drop(root);
    journal.gc(&nothing_kept()).unwrap();
    assert_eq!(kept(&journal).len(), 0);
    assert_eq!(
        fs::read_dir(world.path("build/.state/txn"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn staged_content_of_a_killed_run_is_retained_except_for_keys() {
    let world = World::new();
    drop(world.open());
    // It is killed when everything is staged, and nothing committed.
    let strike = Strike::before(Verb::SyncDir, "/.state/txn/");
    let steps = [
        "put=build/a=staged",
        "put=build/keys/b=PRIVATE",
        "put=build/c=staged too",
    ];
    kill_at(ACTOR, &world, &strike, &steps);
    let journal = world.open();
    assert_eq!(journal.recovery().rolled_back, 1);
    let found = kept(&journal);
    assert_eq!(
        (found.len(), found[0].state.as_str(), found[0].kept),
        (1, "aborted", Some(16))
    );
    assert_eq!(contents(&world, &found[0]), ["staged", "staged too"]);
    let dir = world.path("build/.state/txn").join(found[0].id.to_string());
    let paths = fs::read_to_string(dir.join("paths")).unwrap();
    assert_eq!(paths, "0 build/a\n1! build/keys/b\n2 build/c\n");
    assert_eq!(everything_below(&world), "");
    drop(journal);
    assert!(world.open().recovery().is_empty());
}

#[test]
fn history_deletes_the_oldest_rows_except_those_of_entries() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/stands", "from the beginning");
    tree(&journal, "1");
    for n in 0..30 {
        put(&journal, "build/a", &n.to_string());
    }
    tree(&journal, "2");
    let few = Retention {
        kept: Limits::NOTHING,
        history: Limits { count: 10, ..MANY },
        ..Retention::default()
    };
    let planned = journal.history().plan_gc(&few).unwrap();
    let done = journal.gc(&few).unwrap();
    // Of 33 the latest ten stay, and the one of an existing entry.
    assert_eq!(done.history_txns, 22);
    assert!(
        planned.history_txns <= 22,
        "retained content is in the plan"
    );
    let left = journal
        .history()
        .transactions(&TxnFilter::default())
        .unwrap();
    assert_eq!(left.len(), 11);
    assert_eq!(left.last().unwrap().number, 1);
    assert!(journal.history().entry("build/stands").unwrap().is_some());
    assert!(journal.history().manifest("build/tools").unwrap().is_some());
    assert_eq!(journal.verify("build/tools", true).unwrap(), []);
    drop(journal);
    assert_eq!(tljournal_testkit::check_database(&world), [""; 0]);
}

/// A killed gc left half of a tree under its own name; the next sweep took that for replaced content, and undo
/// restored half of it.
#[test]
fn leftovers_of_a_killed_gc_are_not_taken_for_retained_content() {
    for fatal in 1..40 {
        let world = World::new();
        let journal = world.open();
        tree(&journal, "1");
        tree(&journal, "2");
        journal.close().unwrap();
        let calls = std::sync::Mutex::new(0);
        let stop = Arc::new(Hook(move |when: When, _: &tljournal::disk::Call<'_>| {
            let mut calls = calls.lock().unwrap();
            *calls += usize::from(when == When::Before);
            match *calls >= fatal {
                true => Err(std::io::Error::from_raw_os_error(5)),
                false => Ok(()),
            }
        }));
        let Ok(journal) = world.open_witnessed(&stop) else {
            continue;
        };
        let _ = journal.gc(&nothing_kept());
        drop(journal);
        let journal = world.open();
        for txn in kept(&journal) {
            let dir = world.path("build/.state/txn").join(txn.id.to_string());
            let whole = dir.join("0/sub/f1").exists() && dir.join("0/sub/f2").exists();
            let nothing = !dir.join("0").exists();
            assert!(whole || nothing, "stopped at {fatal}: {}", txn.id);
        }
        assert_eq!(aside(&world), [""; 0], "stopped at {fatal}");
    }
}

/// The deletion reached the medium before a power cut, but the change of its row did not.
#[test]
fn retained_content_lost_in_a_power_cut_is_recorded_by_recovery() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "1");
    put(&journal, "build/a", "2");
    put(&journal, "build/a", "3");
    let all = kept(&journal);
    journal.close().unwrap();
    let lost = world.path("build/.state/txn").join(all[0].id.to_string());
    fs::remove_dir_all(lost).unwrap();
    let journal = world.open();
    assert_eq!(journal.recovery().kept_gone, 1);
    assert_eq!(
        kept(&journal).iter().map(|txn| txn.id).collect::<Vec<_>>(),
        [all[1].id]
    );
    assert_eq!(contents(&world, &all[1]), ["2"]);
}

/// History deleted the record of retained content, and with it the means to verify it.
#[test]
fn history_keeps_the_records_of_retained_content() {
    let world = World::new();
    let journal = world.open();
    tree(&journal, "1");
    tree(&journal, "2");
    let few = Retention {
        history: Limits { count: 0, ..MANY },
        ..Retention::default()
    };
    journal.gc(&few).unwrap();
    let left = journal.history().transactions(&TxnFilter::default());
    assert_eq!(left.unwrap().len(), 2);
}

/// Every directory of a transaction was one of the eight items in quarantine, and the first item, the database, was
/// deleted at once.
#[test]
fn a_quarantined_database_stays_with_its_content_except_for_keys() {
    let world = World::new();
    let journal = world.open();
    for n in 0..20 {
        put(&journal, "build/a", &n.to_string());
    }
    journal.close().unwrap();
    let strike = Strike::before(Verb::SyncDir, "/.state/txn/");
    let steps = ["put=build/keys/b=PRIVATE", "put=build/c=staged"];
    kill_at(ACTOR, &world, &strike, &steps);
    let database = world.path("build/.state.db");
    let mut bytes = fs::read(&database).unwrap();
    bytes[..100].fill(7);
    fs::write(&database, bytes).unwrap();
    let _ = fs::remove_file(world.path("build/.state.db-wal"));
    let journal = world.open();
    assert!(journal.recovery().database_set_aside.is_some());
    let aside = aside(&world);
    assert_eq!(aside.len(), 2, "{aside:?}");
    let unaccounted = aside.iter().find(|name| name.ends_with("unaccounted"));
    let dir = world.path("build/.state/aside").join(unaccounted.unwrap());
    assert_eq!(fs::read_dir(dir).unwrap().count(), 20);
    assert_eq!(everything_below(&world), "");
}

/// An edit in a tree that also holds a key was deleted with the key.
#[test]
fn g9_an_edited_tree_with_keys_is_set_aside_without_them() {
    let world = World::new();
    let journal = world.open();
    let at = tljournal::Timestamp::new(1, 1);
    let with_key = |version: &str| {
        small(version)
            .dir("keys", 0o755, at)
            .file("keys/k", 0o600, at, "PRIVATE")
    };
    let install = |version: &str| {
        let steps = Steps::new("tree").tree("build/tools", with_key(version));
        steps.try_commit(&journal).unwrap();
    };
    install("1");
    fs::write(world.path("build/tools/sub/f1"), "hours of work").unwrap();
    install("2");
    assert_eq!(everything_below(&world), "");
    let aside = world.path("build/.state/aside");
    let told = Command::new("grep")
        .args(["-rl", "hours of work", aside.as_str()])
        .output();
    assert!(!told.unwrap().stdout.is_empty());
}

/// Files created by `sudo` prevented the deletion of everything after them, too.
#[test]
fn undeletable_content_does_not_prevent_other_deletions() {
    let world = World::new();
    let journal = world.open();
    for content in ["one", "two", "three", "four"] {
        put(&journal, "build/a", content);
    }
    let first = kept(&journal)[0].id.to_string();
    journal.close().unwrap();
    let of_another = first.clone();
    let refusing = Arc::new(Hook(
        move |when: When, call: &tljournal::disk::Call<'_>| match when == When::Before
            && call.path.as_str().contains(&of_another)
        {
            true => Err(std::io::Error::from_raw_os_error(13)),
            false => Ok(()),
        },
    ));
    let journal = world.open_witnessed(&refusing).unwrap();
    let done = journal.gc(&nothing_kept()).unwrap();
    assert_eq!((done.kept.len(), done.left_txns), (2, 0));
    let left: Vec<_> = done
        .left_behind
        .iter()
        .map(|txn| txn.id.to_string())
        .collect();
    assert_eq!(left, std::slice::from_ref(&first));
    assert_eq!(kept(&journal).len(), 0);
    let told = events(&journal, &EventKind::LeftBehind);
    let [event] = &told[..] else {
        panic!("not reported once: {told:?}");
    };
    assert!(event.detail.contains("Permission denied"), "{event:?}");
    // It is tried again on request.
    journal.close().unwrap();
    let journal = world.open();
    journal.gc(&nothing_kept()).unwrap();
    assert!(!world.exists(&format!("build/.state/txn/{first}")));
}

#[test]
fn as_many_runs_are_deleted_at_once_as_planned() {
    let world = World::new();
    let journal = world.open();
    put(&journal, "build/a", "1");
    journal.close().unwrap();
    let catalog = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
    let copy = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
        INSERT INTO run (uuid, pid, host, boot, uid, cwd, argv, version, started_at, ended_at, outcome)
        SELECT printf('0198f2a0-0000-7000-8000-%012x', i), pid, host, boot, uid, cwd, argv, version,
        started_at, ended_at, outcome FROM run, n WHERE id = 1";
    catalog.execute_batch(copy).unwrap();
    drop(catalog);
    for name in ["build/.state.db-wal", "build/.state.db-shm"] {
        if !world.exists(name) {
            world.write(name, "");
        }
    }
    let journal = world.open();
    let few = Retention {
        history: Limits { count: 10, ..MANY },
        ..Retention::default()
    };
    let planned = journal.history().plan_gc(&few).unwrap();
    let done = journal.gc(&few).unwrap();
    assert_eq!((planned.history_runs, done.history_runs), (1190, 1190));
}
