use std::os::unix::fs::FileExt;

use rusqlite::Connection;
use tljournal::{Code, FsckDepth, RebuildOptions, RelPath};
use tljournal_testkit::{Steps, World};

use super::scene::{look, scene, sql, wrong};

fn rebuild(world: &World, adopt: &[&str]) -> tljournal::Rebuilt {
    let options = RebuildOptions {
        adopt: adopt
            .iter()
            .map(|path| RelPath::new(path).unwrap())
            .collect(),
        ..RebuildOptions::default()
    };
    world.options().rebuild(&options).unwrap()
}

fn works(world: &World) {
    let (found, _) = look(world, FsckDepth::Full);
    assert_eq!(wrong(&found), []);
    let journal = world.open();
    Steps::new("after")
        .put("build/after", "after")
        .try_commit(&journal)
        .unwrap();
    journal.close().unwrap();
    assert_eq!(wrong(&look(world, FsckDepth::Full).0), []);
}

#[test]
fn a_sound_database_is_rebuilt_only_with_force() {
    let world = scene();
    let refused = world.options().rebuild(&RebuildOptions::default());
    assert!(refused.unwrap_err().to_string().contains("sound"));
    let options = RebuildOptions {
        force: true,
        ..RebuildOptions::default()
    };
    let rebuilt = world.options().rebuild(&options).unwrap();
    assert_eq!(rebuilt.dropped, [""; 0]);
    assert_eq!(rebuilt.entries, 6);
    works(&world);
    assert!(
        world
            .path(rebuilt.kept.as_deref().unwrap())
            .join(".state.db")
            .exists()
    );
}

/// The second one took the first one's new database for the leftover of an earlier attempt.
#[test]
fn g9_two_concurrent_rebuilds_lose_nothing() {
    for _ in 0..5 {
        let world = scene();
        let both = [(); 2].map(|()| {
            let options = world.options();
            let force = RebuildOptions {
                force: true,
                ..RebuildOptions::default()
            };
            std::thread::spawn(move || options.rebuild(&force))
        });
        for rebuilt in both {
            let rebuilt = rebuilt.join().unwrap().unwrap();
            assert_eq!(rebuilt.entries, 6, "{rebuilt:?}");
        }
        works(&world);
        assert!(
            world
                .open()
                .history()
                .entry("build/tools")
                .unwrap()
                .is_some()
        );
    }
}

/// Later transactions inside a tree are recorded too.
#[test]
fn a_tree_in_which_transactions_changed_something_is_saved() {
    let world = scene();
    let inside = Steps::new("inside").put("build/tools/new", "new");
    inside.try_commit(&world.open()).unwrap();
    let options = RebuildOptions {
        force: true,
        ..RebuildOptions::default()
    };
    let rebuilt = world.options().rebuild(&options).unwrap();
    assert_eq!(rebuilt.dropped, [""; 0]);
}

/// It was used when the database was lost much later, so that everything in between was lost.
#[test]
fn g9_an_unused_rebuilt_database_is_removed_by_the_next_opening() {
    let world = scene();
    let (database, new) = ("build/.state.db", "build/.state/rebuilt.db");
    std::fs::copy(world.path(database), world.path(new)).unwrap();
    let later = Steps::new("later").put("build/later", "later");
    later.try_commit(&world.open()).unwrap();
    assert!(!world.exists(new));
}

#[test]
fn g9_a_lost_database_is_rebuilt_from_the_files_on_disk() {
    let world = scene();
    for name in ["", "-wal", "-shm"] {
        std::fs::remove_file(world.path(&format!("build/.state.db{name}"))).unwrap();
    }
    let typo = RebuildOptions {
        adopt: vec!["build/tolls".parse().unwrap()],
        ..RebuildOptions::default()
    };
    let refused = world.options().rebuild(&typo).unwrap_err();
    assert!(refused.to_string().contains("`build/tolls`"), "{refused}");
    let rebuilt = rebuild(&world, &["build/tools", "build/only.txt", "Project.lock"]);
    assert_eq!(
        rebuilt.adopted,
        ["build/tools", "build/only.txt", "Project.lock"]
    );
    works(&world);
    let journal = world.open();
    let entry = journal.history().entry("build/tools").unwrap().unwrap();
    let txn = journal
        .history()
        .transaction(&entry.txn.to_string())
        .unwrap()
        .unwrap();
    assert_eq!(txn.label, "rebuilt");
}

#[test]
fn g9_rows_that_can_be_read_and_agree_with_the_disk_are_saved() {
    let world = scene();
    sql(&world, "UPDATE txn SET began_at = 'yesterday' WHERE id = 5");
    sql(
        &world,
        "INSERT INTO event (at, txn, kind, detail) VALUES ('1.0', 99, 'x', 'x')",
    );
    world.write(
        "build/only.txt",
        "an edit that the old database does not know",
    );
    let rebuilt = rebuild(&world, &["build/alone"]);
    assert_eq!(rebuilt.dropped, ["build/only.txt"]);
    assert_eq!(rebuilt.adopted, ["build/alone"]);
    assert_eq!(rebuilt.entries, 4);
    works(&world);
    assert_eq!(
        world.read("build/only.txt"),
        "an edit that the old database does not know"
    );
}

/// They were copied: the new database had the same rows, and was not sound either.
#[test]
fn g9_rows_that_the_journal_never_writes_are_not_copied() {
    for (damage, entries) in [
        ("DELETE FROM change WHERE txn = 5", 5),
        ("UPDATE txn SET commit_no = NULL WHERE id = 4", 3),
    ] {
        let world = scene();
        sql(&world, damage);
        let codes = |world: &World| -> Vec<Code> {
            let (found, _) = look(world, FsckDepth::Full);
            wrong(&found).into_iter().map(|(code, _)| code).collect()
        };
        assert!(codes(&world).contains(&Code::RowDangling), "{damage}");
        let rebuilt = rebuild(&world, &[]);
        assert_eq!(rebuilt.entries, entries, "{damage}: {rebuilt:?}");
        works(&world);
    }
}

/// A page in the middle of a table is overwritten: the rows before and after it are saved.
#[test]
fn g9_a_damaged_page_costs_the_rows_that_are_on_it() {
    let world = scene();
    let journal = world.open();
    for number in 0..300 {
        let steps = Steps::new(&format!(
            "one of many, with a long label: {}",
            "x".repeat(400)
        ));
        steps
            .put("build/many", number.to_string())
            .try_commit(&journal)
            .unwrap();
    }
    journal.close().unwrap();
    let path = world.path("build/.state.db");
    let page: i64 = {
        let catalog = Connection::open(&path).unwrap();
        let sql = "SELECT pageno FROM dbstat WHERE name = 'txn' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 9";
        catalog.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 4096], (page - 1) as u64 * 4096)
        .unwrap();
    drop(file);
    for name in ["-wal", "-shm"] {
        world.write(&format!("build/.state.db{name}"), "");
    }
    let (found, _) = look(&world, FsckDepth::Default);
    assert!(
        found
            .iter()
            .any(|finding| finding.code == Code::DatabaseDamaged),
        "{found:?}"
    );
    let rebuilt = rebuild(&world, &[]);
    let (_, saved, _) = rebuilt
        .rows
        .iter()
        .find(|(table, ..)| table == "txn")
        .unwrap();
    assert!((150..305).contains(saved), "{rebuilt:?}");
    assert!(rebuilt.cut.contains(&"txn".to_owned()), "{rebuilt:?}");
    works(&world);
}
