//! Bugs that an attack found, about what the next one who comes makes of what a dead process left.

#![allow(
    clippy::disallowed_methods,
    reason = "tests look at the filesystem from outside of the engine, and play the other programs"
)]

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, Barrier};

use tljournal::disk::Verb;
use tljournal::{Journal, RelPath};
use tljournal_testkit::{Moment, Steps, World};
use tljournal_tests::{Mounted, Strike, aside, events, holding, kill_at, small, tear, within};

const KILL_WHEN: &str = env!("CARGO_BIN_EXE_kill-when");

fn commit(journal: &Journal, steps: &Steps) {
    steps.try_commit(journal).unwrap();
}

fn open_in(world: &World, territory: &str) -> Journal {
    let territory = RelPath::new(territory).unwrap();
    world.options().territory(territory).work().unwrap()
}

fn database(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.path("build/.state.db")).unwrap()
}

/// A world in which `a` is new and `b` is old, and a process died between them.
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
        KILL_WHEN,
        &world,
        &strike,
        &["put=build/a=new", "put=build/b=new"],
    );
    assert_eq!(world.read("build/a") + &world.read("build/b"), "newold");
    world
}

/// First opens at once: one saw the rollback journal that SQLite keeps while another makes the database,
/// took it for a foreign one, and set the fresh database aside with all that was committed.
#[test]
fn g1_first_opens_at_once_share_one_database() {
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

/// The same from several processes, which share no SQLite.
#[test]
fn g1_first_opens_of_several_processes_share_one_database() {
    for round in 0..20 {
        let world = World::new();
        let run = |n: u32| {
            Command::new(KILL_WHEN)
                .args([world.root().as_str(), "before", "nothing", "nothing"])
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

/// A rollback journal beside a healthy database, planted or left by a tool, set the database aside: a
/// transaction stayed half applied for ever.
#[test]
fn g1_a_stray_rollback_journal_does_not_cost_the_database() {
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

/// Whoever died while it set a database aside had moved the log and not the database: the next one
/// opened an older database, and committed transactions were gone without a word.
#[test]
fn g1_a_database_is_never_parted_from_its_log_in_silence() {
    let mut kills = 0;
    for moment in Moment::all() {
        let world = half_applied();
        world.write("build/.state/damaged", "");
        let ran = Command::new(env!("CARGO_BIN_EXE_kill-one"))
            .args([world.root().as_str(), "recover", &moment.to_string()])
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
            "{moment}: half of a transaction, and no database is kept aside"
        );
        // Where its database is, there is its log: in one directory, or in one and the next.
        if kept {
            let logs = files_named(&world, ".state.db-wal");
            assert!(logs > 0, "{moment}: the log is nowhere");
            assert!(files_named(&world, ".state.db") > 0, "{moment}");
        }
        let again = Steps::new("again").put("build/a", "again");
        commit(&journal, &again);
    }
    assert!(kills > 4, "setting a database aside makes more calls");
}

fn files_named(world: &World, name: &str) -> usize {
    let count = |dir: &String| {
        let dir = world.path("build/.state/aside").join(dir);
        usize::from(dir.join(name).exists())
    };
    aside(world).iter().map(count).sum()
}

/// Several openers found one damaged database; the slower ones then set aside the new one that the first
/// had made. All of them share one now.
#[test]
fn g1_a_damaged_database_is_set_aside_once_by_openers_at_once() {
    for round in 0..10 {
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

/// Through another mount of the same home every rebuildable tree was taken for one that a power cut had
/// torn as soon as a person edited it, and was put back in front of everybody.
#[test]
fn g9_an_edit_in_a_tree_that_is_seen_through_another_mount_is_no_power_cut() {
    for column in ["mount = mount + 1", "boot = 'earlier'"] {
        let world = World::new();
        let journal = world.open();
        commit(&journal, &Steps::new("one").tree("build/t", small("one")));
        let two = Steps::new("two").rebuildable("build/t", small("two"));
        commit(&journal, &two);
        journal.close().unwrap();
        world.write("build/t/sub/f1", "a person's edit");
        let sql = format!("UPDATE entry SET {column} WHERE unsettled = 1");
        assert_eq!(database(&world).execute(&sql, []).unwrap(), 1);
        let journal = world.open();
        assert_eq!(journal.recovery().trees_put_back, 0, "{column}");
        assert_eq!(world.read("build/t/sub/f1"), "a person's edit", "{column}");
        assert_eq!(world.read("build/t/sub/f2"), "two".repeat(1000), "{column}");
    }
}

/// The same through a real second mount, with the first one still in use.
#[test]
fn g9_a_second_view_of_the_home_puts_no_tree_back() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("one").tree("build/t", small("one")));
    let two = Steps::new("two").rebuildable("build/t", small("two"));
    commit(&journal, &two);
    world.write("build/t/sub/f1", "a person's edit");
    let view = world.outside().join("view");
    std::fs::create_dir(&view).unwrap();
    let Some(_mounted) = Mounted::bind(world.root(), view.clone()) else {
        return;
    };
    let other = Journal::open(view).unwrap();
    assert_eq!(other.recovery().trees_put_back, 0);
    assert_eq!(world.read("build/t/sub/f1"), "a person's edit");
    commit(&other, &Steps::new("other").put("build/other", "other"));
}

/// A rebuildable tree on another filesystem that failed its check could not be moved into the home, and
/// every opening failed with that.
#[test]
fn a_torn_tree_on_another_filesystem_does_not_brick_the_journal() {
    let world = World::new();
    world.make_dir("out");
    let Some(_mounted) = Mounted::tmpfs(world.path("out")) else {
        return;
    };
    let journal = world.open();
    commit(&journal, &Steps::new("one").tree("out/t", small("one")));
    let two = Steps::new("two").rebuildable("out/t", small("two"));
    commit(&journal, &two);
    journal.close().unwrap();
    tear(&world, "out/t");
    let sql = "UPDATE entry SET boot = 'earlier' WHERE unsettled = 1";
    assert_eq!(database(&world).execute(sql, []).unwrap(), 1);
    let journal = world.open();
    assert_eq!(journal.recovery().trees_put_back, 1);
    assert_eq!(world.read("out/t/sub/f1"), "one");
    commit(&journal, &Steps::new("more").put("build/more", "more"));
}

/// A directory on the way to an unfinished change was replaced by a link: every opening, and every commit
/// of everybody, failed with a conflict there.
#[test]
fn a_link_on_the_way_to_an_unfinished_change_bricks_nothing() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("out/f", "old"));
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "out/f");
    kill_at(KILL_WHEN, &world, &strike, &["put=out/f=new"]);
    std::fs::rename(world.path("out"), world.path("real")).unwrap();
    world.link("real", "out");
    let journal = world.open();
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    assert_eq!(world.read("real/f"), "old");
    let overlapping = Steps::new("same").put("out/f", "newer");
    assert!(overlapping.try_commit(&journal).is_err());
    journal.close().unwrap();
    // As soon as it is a directory again, nothing is lost.
    std::fs::remove_file(world.path("out")).unwrap();
    std::fs::rename(world.path("real"), world.path("out")).unwrap();
    let journal = world.open();
    let now = world.read("out/f");
    assert!(now == "old" || now == "new", "{now}");
    commit(&journal, &Steps::new("else").put("build/else", "again"));
}

/// An error that stays at one path of an unfinished transaction (here: a file where a directory was) kept
/// the journal from being opened, by anybody, for anything.
#[test]
fn a_file_on_the_way_to_an_unfinished_change_bricks_nothing() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("out/f", "old"));
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "out/f");
    kill_at(KILL_WHEN, &world, &strike, &["put=out/f=new"]);
    std::fs::rename(world.path("out"), world.path("real")).unwrap();
    world.write("out", "a file");
    let journal = world.open();
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    assert_eq!(world.read("real/f"), "old");
}

/// The same for the check of rebuildable trees: a link on the way to one failed every transaction, and
/// after a reboot every opening.
#[test]
fn a_link_on_the_way_to_an_unsettled_tree_bricks_nothing() {
    let world = World::new();
    let journal = world.open();
    commit(
        &journal,
        &Steps::new("quick").rebuildable("out/t", small("one")),
    );
    std::fs::rename(world.path("out"), world.path("real")).unwrap();
    world.link("real", "out");
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    journal.close().unwrap();
    commit(
        &world.open(),
        &Steps::new("else").put("build/else", "again"),
    );
    database(&world)
        .execute(
            "UPDATE entry SET unsettled = 1, boot = 'earlier', mount = 1 WHERE path = 'out/t'",
            [],
        )
        .unwrap();
    let journal = world.open();
    commit(&journal, &Steps::new("else").put("build/else", "at last"));
    assert_eq!(world.read("real/t/sub/f1"), "one");
}

/// A row of the database alone was enough to have any directory moved away, and deleted in the end.
#[test]
fn g8_a_hostile_row_moves_nothing_outside_the_territory() {
    for also_change in [false, true] {
        let world = World::new();
        let journal = world.open();
        commit(&journal, &Steps::new("t").tree("victim", small("one")));
        journal.close().unwrap();
        let rows = database(&world);
        let sql = "UPDATE entry SET unsettled = 1, boot = 'earlier', mount = 1, digest = NULL
                   WHERE path = 'victim'";
        assert_eq!(rows.execute(sql, []).unwrap(), 1);
        if also_change {
            let sql = "UPDATE change SET rebuildable = 1 WHERE path = 'victim'";
            rows.execute(sql, []).unwrap();
        }
        drop(rows);
        tear(&world, "victim");
        let journal = open_in(&world, "build");
        assert_eq!(journal.recovery().trees_put_back, 0);
        assert!(world.exists("victim/sub/f1"));
        assert_eq!(aside(&world), [""; 0]);
        journal.recover().unwrap();
        assert!(world.exists("victim/sub/f1"));
    }
}

/// The filesystem of a change was not mounted while its transaction was recovered: that counted as done,
/// and old and new stood side by side for ever.
#[test]
fn g1_a_change_whose_filesystem_is_not_mounted_waits_for_it() {
    let world = World::new();
    let store = world.outside().join("store");
    std::fs::create_dir(&store).unwrap();
    world.make_dir("out");
    let Some(_store) = Mounted::tmpfs(store.clone()) else {
        return;
    };
    let mounted = Mounted::bind(&store, world.path("out")).unwrap();
    let journal = world.open();
    let old = Steps::new("old").put("out/f", "old").put("build/g", "old");
    commit(&journal, &old);
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "out/f");
    kill_at(
        KILL_WHEN,
        &world,
        &strike,
        &["put=out/f=new", "put=build/g=new"],
    );
    drop(mounted);
    let journal = world.open();
    assert_eq!(journal.recovery().finished, 0);
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    journal.close().unwrap();
    let _mounted = Mounted::bind(&store, world.path("out")).unwrap();
    let journal = world.open();
    let both = world.read("out/f") + &world.read("build/g");
    assert!(
        both == "newnew" || both == "oldold",
        "{both}: {:?}",
        journal.recovery()
    );
}

/// `read` finished what was unfinished again and again while something beyond its territory was: it never
/// returned.
#[test]
fn a_reader_does_not_wait_for_what_is_beyond_its_territory() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("x.txt", "old"));
    journal.close().unwrap();
    let strike = Strike::before(Verb::Exchange, "x.txt");
    kill_at(KILL_WHEN, &world, &strike, &["put=x.txt=new"]);
    let journal = open_in(&world, "build");
    within("read", move || drop(journal.read().unwrap()));
    world.open().close().unwrap();
    assert_eq!(world.read("x.txt"), "new");
}

/// Whoever opened with a smaller territory swept what a dead process had not yet set aside: the edit of a
/// person was gone, though the event said that it was kept.
#[test]
fn g9_an_opener_with_a_smaller_territory_sweeps_no_edit() {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("old").put("x.txt", "old"));
    journal.close().unwrap();
    world.write("x.txt", "a person's edit");
    let strike = Strike::before(Verb::RenameNew, "/.state/aside/");
    kill_at(KILL_WHEN, &world, &strike, &["put=x.txt=new"]);
    assert_eq!(world.read("x.txt"), "new");
    open_in(&world, "build").close().unwrap();
    let kept = holding(&world.path("build/.state"), "a person's edit");
    assert_eq!(kept.len(), 1, "swept");
    let journal = world.open();
    let kept = holding(&world.path("build/.state/aside"), "a person's edit");
    assert_eq!(kept.len(), 1);
    assert_eq!(events(&journal, "drift").len(), 1);
}
