//! Regressions: concurrent openings of the database, and when it is set aside.

use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, Barrier};

use tljournal::disk::Verb;
use tljournal::{Error, Journal};
use tljournal_testkit::{Moment, Steps, World};
use tljournal_tests::{Strike, aside, holding, kill_at};

use crate::ACTOR;

fn commit(journal: &Journal, steps: &Steps) {
    steps.try_commit(journal).unwrap();
}

/// A world in which `a` is new and `b` is old, because a process was killed between them.
fn half_applied() -> World {
    let world = World::new();
    let journal = world.open();
    let old = Steps::new("old")
        .put("build/a", "old")
        .put("build/b", "old");
    commit(&journal, &old);
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "/build/b");
    kill_at(
        ACTOR,
        &world,
        &strike,
        &["put=build/a=new", "put=build/b=new"],
    );
    assert_eq!(world.read("build/a") + &world.read("build/b"), "newold");
    world
}

/// Concurrent first openings: one saw the rollback journal that SQLite keeps while another one creates the database,
/// took it for a foreign one, and set the new database aside with all commits.
#[test]
fn g1_concurrent_first_openings_share_one_database() {
    for round in 0..20 {
        let world = Arc::new(World::new());
        let begin = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (world, begin) = (world.clone(), begin.clone());
                std::thread::spawn(move || {
                    begin.wait();
                    let journal = world.open();
                    let path = format!("build/{n}");
                    let steps = Steps::new("first").put(&path, "content");
                    let done = steps.try_commit(&journal);
                    let kept = journal.recovery().database_set_aside.clone();
                    (done.map(|receipt| receipt.changed(&path)), kept)
                })
            })
            .collect();
        for thread in threads {
            let (done, kept) = thread.join().unwrap();
            assert!(matches!(done, Ok(true)), "round {round}: {done:?}");
            assert_eq!(kept, None, "round {round}");
        }
        assert_eq!(aside(&world), [""; 0], "round {round}");
        let journal = world.open();
        for n in 0..4 {
            let entry = journal.history().entry(&format!("build/{n}")).unwrap();
            assert!(entry.is_some(), "round {round}: {n} is not known");
        }
    }
}

/// The same in several processes, which share no SQLite library.
#[test]
fn g1_first_openings_of_several_processes_share_one_database() {
    for round in 0..20 {
        let world = World::new();
        let run = |n: u32| {
            Command::new(ACTOR)
                .args([
                    "kill-when",
                    world.root().as_str(),
                    "before",
                    "nothing",
                    "nothing",
                ])
                .arg(format!("put=build/{n}=content"))
                .spawn()
                .unwrap()
        };
        let processes: Vec<_> = (0..3).map(run).collect();
        for mut process in processes {
            assert!(process.wait().unwrap().success(), "round {round}");
        }
        assert_eq!(aside(&world), [""; 0], "round {round}");
        let journal = world.open();
        for n in 0..3 {
            let entry = journal.history().entry(&format!("build/{n}")).unwrap();
            assert!(entry.is_some(), "round {round}: {n} is not known");
        }
    }
}

/// A rollback journal next to a healthy database, planted or left by a tool, caused the database to be set aside: a
/// transaction stayed partly applied forever.
#[test]
fn g1_a_stray_rollback_journal_does_not_discard_the_database() {
    let world = half_applied();
    world.write("build/.state.db-journal", "whatever");
    let journal = world.open();
    assert_eq!(journal.recovery().database_set_aside, None);
    assert_eq!(journal.recovery().finished, 1);
    assert_eq!(world.read("build/a") + &world.read("build/b"), "newnew");
    assert!(!world.exists("build/.state.db-journal"));
    assert_eq!(
        holding(&world.path("build/.state/aside"), "whatever").len(),
        1
    );
}

/// A process that was killed while it set a database aside had moved the log but not the database: the next one
/// opened an older database, and committed transactions were lost silently.
#[test]
fn g1_a_database_is_never_separated_from_its_log() {
    let kills = kill_while_set_aside("build/.state/damaged");
    assert!(kills > 4, "setting a database aside makes more calls");
}

/// The same if a stray rollback journal is the reason: it is moved first, and the next process sees no reason any
/// more.
#[test]
fn g1_a_stray_rollback_journal_separates_no_database_from_its_log() {
    assert!(kill_while_set_aside("build/.state.db-journal") > 4);
}

/// Kills an opening at every call, and checks what the next one finds.
fn kill_while_set_aside(reason: &str) -> u32 {
    let mut kills = 0;
    for moment in Moment::all() {
        let world = half_applied();
        world.write(reason, "");
        let ran = Command::new(ACTOR)
            .args([
                "kill-one",
                world.root().as_str(),
                "recover",
                "several",
                &moment.to_string(),
            ])
            .output()
            .unwrap();
        if ran.status.signal() != Some(9) {
            assert!(ran.status.success());
            break;
        }
        kills += 1;
        let journal = world.open();
        let whole = world.read("build/a") + &world.read("build/b") == "newnew";
        let kept = aside(&world).iter().any(|name| name.ends_with("-database"));
        let told = journal.recovery().database_set_aside.is_some();
        assert!(
            whole || told || kept,
            "{moment}: a partly applied transaction, and no database was set aside"
        );
        // A moved database has its log: in one directory, or in two consecutive ones.
        if kept {
            let logs = files_named(&world, ".state.db-wal");
            assert!(logs > 0, "{moment}: the log is missing");
            assert!(files_named(&world, ".state.db") > 0, "{moment}");
        }
        let again = Steps::new("again").put("build/a", "again");
        commit(&journal, &again);
    }
    kills
}

fn files_named(world: &World, name: &str) -> usize {
    let count = |dir: &String| {
        let dir = world.path("build/.state/aside").join(dir);
        usize::from(dir.join(name).exists())
    };
    aside(world).iter().map(count).sum()
}

/// Several openings found one damaged database; the slower ones then set aside the new one that the first had
/// created: they created its file themselves meanwhile, or used the mark of the old one for it. Now all of them share
/// one.
#[test]
fn g1_concurrent_openings_set_a_damaged_database_aside_once() {
    for round in 0..40 {
        let world = World::new();
        let journal = world.open();
        commit(&journal, &Steps::new("old").put("build/old", "old"));
        journal.close().unwrap();
        for name in [".state.db-wal", ".state.db-shm"] {
            let _ = std::fs::remove_file(world.path("build").join(name));
        }
        world.write("build/.state.db", "no database at all".repeat(1000));
        let world = Arc::new(world);
        let begin = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (world, begin) = (world.clone(), begin.clone());
                std::thread::spawn(move || {
                    begin.wait();
                    let journal = world.open();
                    let path = format!("build/{n}");
                    let done = Steps::new("new").put(&path, "new").try_commit(&journal);
                    done.map(|receipt| receipt.changed(&path))
                })
            })
            .collect();
        for thread in threads {
            let done = thread.join().unwrap();
            assert!(matches!(done, Ok(true)), "round {round}: {done:?}");
        }
        assert_eq!(aside(&world).len(), 1, "round {round}");
        let journal = world.open();
        for n in 0..4 {
            let entry = journal.history().entry(&format!("build/{n}")).unwrap();
            assert!(entry.is_some(), "round {round}: {n} is not known");
        }
    }
}

/// A handle whose database was replaced found the old one damaged, and marked the new one, which the next opening
/// then set aside. A mark now identifies its database.
#[test]
fn g9_a_database_is_not_set_aside_for_damage_of_an_earlier_one() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("build/old", "old"));
    journal.close().unwrap();
    let late = world.open();
    let path = world.path("build/.state.db");
    let earlier = std::fs::File::options().write(true).open(&path).unwrap();
    for name in [".state.db", ".state.db-wal", ".state.db-shm"] {
        let _ = std::fs::remove_file(world.path("build").join(name));
    }
    let journal = world.open();
    commit(&journal, &Steps::new("new").put("build/new", "new"));
    let length = earlier.metadata().unwrap().len();
    let rubbish = vec![0xaa; usize::try_from(length).unwrap() - 4096];
    earlier.write_all_at(&rubbish, 4096).unwrap();
    // None of its pages was read before.
    let found = late
        .history()
        .entry("build/old")
        .map(|entry| entry.is_some());
    assert!(matches!(found, Err(Error::Damaged(_))), "{found:?}");
    assert_eq!(world.open().recovery().database_set_aside, None);
    let kept = aside(&world);
    assert!(kept.is_empty(), "{kept:?}");
}
