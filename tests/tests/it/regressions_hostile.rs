//! Regressions with hostile input: planted files, hostile databases, archives that claim too much.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::symlink;
use std::process::Command;

use rusqlite::Connection;
use tljournal::disk::{Dir, Disk};
use tljournal::{Error, SourceEntry, Timestamp, TreeOptions, TreeSource};
use tljournal_testkit::{Steps, World, explain};
use tljournal_tests::within;

fn with_content() -> World {
    let world = World::new();
    let journal = world.open();
    let steps = Steps::new("one").put("build/file", "one");
    steps.try_commit(&journal).unwrap();
    journal.close().unwrap();
    world
}

/// The description of a lock's holder was written through a planted hard link into another file.
#[test]
fn g8_nothing_is_written_through_a_hard_link_of_a_lock_file() {
    for name in ["commit", "commit.turnstile", "db", "runs"] {
        let world = with_content();
        let victim = world.outside().join("victim");
        fs::write(&victim, "precious").unwrap();
        let lock = world.path("build/.state/lock").join(name);
        fs::remove_file(&lock).unwrap();
        fs::hard_link(&victim, &lock).unwrap();
        let said = world.try_open().and_then(|journal| {
            let steps = Steps::new("two").put("build/file", "two");
            steps.try_commit(&journal)
        });
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}");
        said.unwrap();
    }
}

/// A reader made SQLite create the target of a planted link in the place of the log.
#[test]
fn g8_an_inspection_creates_nothing_through_a_planted_link() {
    for name in [".state.db-wal", ".state.db-shm", ".state.db"] {
        let world = with_content();
        // An index exists while the database is open.
        let _open = world.open();
        let victim = world.outside().join("victim");
        let planted = world.path("build").join(name);
        let _ = fs::remove_file(&planted);
        symlink(&victim, &planted).unwrap();
        let said = world.options().inspect();
        assert!(matches!(said, Err(Error::Damaged(_))), "{name}: {said:?}");
        assert!(!victim.exists(), "{name}");
    }
}

const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";

/// A view in place of a table never ended, and a trigger could do anything.
#[test]
fn g9_a_database_with_views_or_triggers_is_repaired_or_set_aside() {
    let scripts = [
        format!(
            "ALTER TABLE home RENAME TO h; CREATE VIEW home AS {ENDLESS}
             SELECT x AS ino, x AS born, 0 AS incompat, 0 AS compat_read FROM c WHERE x < 0"
        ),
        format!(
            "ALTER TABLE run RENAME TO r; CREATE VIEW run AS {ENDLESS}
             SELECT x AS id, x AS uuid, x AS pid, NULL AS ended_at FROM c WHERE x < 0"
        ),
        format!(
            "CREATE TRIGGER t AFTER INSERT ON txn BEGIN INSERT INTO event (at, kind, detail)
             SELECT 'x', 'x', 'x' FROM ({ENDLESS} SELECT x FROM c); END"
        ),
        "CREATE TRIGGER t AFTER INSERT ON txn BEGIN DELETE FROM event; END".to_owned(),
    ];
    for script in scripts {
        let world = with_content();
        let database = Connection::open(world.path("build/.state.db")).unwrap();
        database.execute_batch(&script).unwrap();
        drop(database);
        let (content, active) = within("a hostile schema", move || {
            let _refused = world.options().inspect();
            let journal = world.open();
            let steps = Steps::new("two").put("build/other", "two");
            steps.try_commit(&journal).unwrap();
            journal.close().unwrap();
            let database = Connection::open(world.path("build/.state.db")).unwrap();
            let active = "SELECT count(*) FROM sqlite_schema WHERE type IN ('view', 'trigger')";
            let active: i64 = database.query_row(active, [], |row| row.get(0)).unwrap();
            (world.read("build/file"), active)
        });
        assert_eq!(active, 0, "{script}");
        assert_eq!(content, "one");
    }
}

/// Removing thousands of nested directories killed the process: the recursion was as deep.
#[test]
fn g7_deeply_nested_directories_are_handled() {
    let world = with_content();
    let journal = world.open();
    let build = Dir::open(&world.path("build"), Disk::default()).unwrap();
    let mut at = build;
    for _ in 0..5_000 {
        at.make_dir("d", 0o755).unwrap();
        at = at.open_dir("d").unwrap();
    }
    let steps = Steps::new("rm").remove("build/d");
    steps.try_commit(&journal).unwrap();
    assert!(!world.exists("build/d"));
    journal.close().unwrap();
    let journal = world.open();
    let steps = Steps::new("two").put("build/file", "two");
    steps.try_commit(&journal).unwrap();
    let removed = Command::new("rm").arg("-r").arg(world.outside()).status();
    assert!(removed.unwrap().success());
}

fn install(world: &World, archive: Vec<u8>) -> Error {
    let journal = world.open();
    let source = TreeSource::stream(Cursor::new(archive));
    let done = journal.install("build/tools", source, TreeOptions::default());
    done.map(drop).unwrap_err()
}

/// A header that claims a sparse file of exabytes filled the disk with zeros.
#[test]
fn g11_a_file_that_is_larger_than_the_disk_is_refused_before_the_disk_is_full() {
    let mut header = tar::Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_size(0);
    // In base 256, which has no practical limit: 2^62 bytes.
    let real = &mut header.as_gnu_mut().unwrap().realsize;
    (real[0], real[4]) = (0x80, 0x40);
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.resize(3 * 512, 0);
    let world = with_content();
    let error = within("a claim of exabytes", move || install(&world, archive));
    assert!(explain(&error).contains("64 GiB"), "{}", explain(&error));
}

/// Names of 4 KiB cost 4 KiB of memory each, without a limit, and in the end a list that SQLite refuses.
#[test]
fn an_endless_list_of_entries_is_refused() {
    let world = with_content();
    let journal = world.open();
    let time = Timestamp::new(1, 2);
    let file = SourceEntry::file("f", 0o644, time, std::io::empty());
    let long = format!("{}/", "n".repeat(250)).repeat(15);
    let link = move |n: u64| Ok(SourceEntry::hard_link(format!("{long}{n}"), "f"));
    let source = TreeSource::entries(std::iter::once(Ok(file)).chain((0..).map(link)));
    let done = journal.install("build/tools", source, TreeOptions::default());
    let error = done.map(drop).unwrap_err();
    assert!(explain(&error).contains("128 MiB"), "{}", explain(&error));
}
