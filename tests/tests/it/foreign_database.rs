//! Whatever another program does to the database, or puts in its place, the next command works, and no file is lost:
//! the database is repaired, or it is set aside and its readable rows are used.

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;

use camino::Utf8PathBuf;
use rusqlite::Connection;
use tljournal::{EventFilter, EventKind, FsckDepth, FsckOptions, Journal, Options};
use tljournal_testkit::{Steps, World};
use tljournal_tests::aside;

pub(crate) const DATABASE: &str = "build/.state.db";

/// What the next command does with the database.
#[derive(Debug, Clone, Copy, PartialEq)]
enum After {
    /// It is used as it is.
    Used,
    /// It is used after a recorded repair.
    Mended,
    /// It is set aside, and its rows are used.
    Saved,
    /// It is set aside, or missing.
    Lost,
}
use After::{Lost, Mended, Saved, Used};

struct Mutation {
    name: &'static str,
    make: Box<dyn Fn(&World)>,
    after: After,
}

fn by_sql(name: &'static str, after: After, sql: &'static str) -> Mutation {
    let make = move |world: &World| {
        let database = Connection::open(world.path(DATABASE)).unwrap();
        database.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        database.execute_batch(sql).unwrap();
    };
    Mutation {
        name,
        make: Box::new(make),
        after,
    }
}

fn by_hand(name: &'static str, after: After, make: impl Fn(&World) + 'static) -> Mutation {
    Mutation {
        name,
        make: Box::new(make),
        after,
    }
}

fn companions(world: &World) -> [Utf8PathBuf; 2] {
    ["build/.state.db-wal", "build/.state.db-shm"].map(|name| world.path(name))
}

/// Removes the database and its companion files.
fn take_away(world: &World) -> Vec<u8> {
    let content = fs::read(world.path(DATABASE)).unwrap();
    fs::remove_file(world.path(DATABASE)).unwrap();
    for path in companions(world) {
        let _ = fs::remove_file(path);
    }
    content
}

const TABLES: [&str; 11] = [
    "home", "root", "run", "txn", "change", "entry", "manifest", "source", "event", "voucher",
    "leftover",
];

fn mutations() -> Vec<Mutation> {
    let mut all = vec![
        by_sql("rollback mode", Used, "PRAGMA journal_mode = DELETE"),
        by_sql("a journal that is cut", Used, "PRAGMA journal_mode = TRUNCATE"),
        by_sql("a journal that persists", Used, "PRAGMA journal_mode = PERSIST; UPDATE home SET exchange = exchange"),
        by_sql("statistics", Used, "ANALYZE"),
        by_sql("vacuumed", Used, "VACUUM"),
        by_sql("sequences", Used, "CREATE TABLE seq (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO seq DEFAULT VALUES"),
        by_sql("pages of 512 bytes", Used, "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM"),
        by_sql("pages of 64 KiB", Used, "PRAGMA journal_mode = DELETE; PRAGMA page_size = 65536; VACUUM"),
        by_sql("vacuums itself", Used, "PRAGMA auto_vacuum = FULL; VACUUM"),
        by_sql("no row of the home", Used, "DELETE FROM home"),
        by_sql("a table added", Used, "CREATE TABLE theirs (a CHECK (a > 1), b UNIQUE)"),
        by_sql("an index added", Used, "CREATE INDEX theirs ON run (pid) WHERE pid > 1"),
        by_sql("of a newer version", Used, "PRAGMA user_version = 99"),
        by_sql("marked as another's", Mended, "PRAGMA application_id = 7"),
        by_sql("no version", Mended, "PRAGMA user_version = 0"),
        by_sql("a negative version", Mended, "PRAGMA user_version = -5"),
        by_sql("an index that refuses rows", Mended, "CREATE UNIQUE INDEX theirs ON home (exchange)"),
        by_sql("an index that computes", Mended, "CREATE INDEX theirs ON run (abs(pid))"),
        by_sql("a view", Mended, "CREATE VIEW theirs AS SELECT count(*) FROM txn"),
        by_sql("a trigger", Mended, "CREATE TRIGGER theirs AFTER INSERT ON txn BEGIN DELETE FROM entry; END"),
        by_sql("a virtual table", Saved, "CREATE VIRTUAL TABLE theirs USING fts5 (x)"),
        by_sql("a table that computes", Saved, "CREATE TABLE theirs (a, b AS (abs(a)))"),
        by_sql("a column gone", Saved, "ALTER TABLE run DROP COLUMN error"),
        by_sql("a column renamed", Saved, "ALTER TABLE run RENAME COLUMN argv TO args"),
        by_sql("a column that must be given", Saved, "PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = replace(sql, 'label      TEXT', 'extra TEXT NOT NULL DEFAULT NULL, label TEXT') WHERE name = 'txn' AND 0;
            ALTER TABLE run ADD COLUMN extra TEXT CHECK (extra = 'x')"),
        by_sql("the largest commit", Saved, "UPDATE txn SET commit_no = 9223372036854775807 WHERE id = (SELECT max(id) FROM txn)"),
        by_sql("the largest transaction", Saved, "UPDATE event SET txn = NULL; UPDATE change SET txn = 9223372036854775807 WHERE txn = 1;
            UPDATE entry SET txn = 9223372036854775807 WHERE txn = 1; UPDATE txn SET id = 9223372036854775807 WHERE id = 1"),
        by_sql("the largest run", Saved, "UPDATE txn SET run = 9223372036854775807 WHERE run = 1;
            UPDATE event SET run = 9223372036854775807 WHERE run = 1; UPDATE run SET id = 9223372036854775807 WHERE id = 1"),
        by_sql("a negative event", Saved, "INSERT INTO event (id, at, kind, detail) VALUES (-7, '1.0', 'x', 'x')"),
        by_sql("the largest event", Saved, "INSERT INTO event (id, at, kind, detail) VALUES (9223372036854775807, '1.0', 'x', 'x')"),
        by_sql("the largest root", Saved, "INSERT INTO root (id, ino, born, path) VALUES (9223372036854775807, 1, '1.0', 'x')"),
    ];
    for table in TABLES {
        // Tables of the last migration only are created again by it.
        let gone = if table == "leftover" { Mended } else { Saved };
        let added: &str = format!("ALTER TABLE {table} ADD COLUMN newer TEXT").leak();
        all.push(by_sql(added, Used, added));
        let given: &str =
            format!("ALTER TABLE {table} ADD COLUMN newer TEXT NOT NULL DEFAULT ''").leak();
        all.push(by_sql(given, Used, given));
        let dropped: &str = format!("DROP TABLE {table}").leak();
        all.push(by_sql(dropped, gone, dropped));
        let renamed: &str = format!("ALTER TABLE {table} RENAME TO theirs").leak();
        all.push(by_sql(renamed, gone, renamed));
        let view: &str = format!(
            "ALTER TABLE {table} RENAME TO theirs; CREATE VIEW {table} AS SELECT * FROM theirs"
        )
        .leak();
        all.push(by_sql(view, gone, view));
    }
    for index in indexes() {
        let dropped: &str = format!("DROP INDEX {index}").leak();
        all.push(by_sql(dropped, Mended, dropped));
        let changed: &str =
            format!("DROP INDEX {index}; CREATE INDEX {index} ON home (ino)").leak();
        all.push(by_sql(changed, Mended, changed));
    }
    all.extend(in_its_place());
    all
}

/// The indexes of a fresh database.
fn indexes() -> Vec<String> {
    let world = World::new();
    world.open().close().unwrap();
    let database = Connection::open(world.path(DATABASE)).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL";
    let mut statement = database.prepare(sql).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

/// Objects in the place of the database or of a companion file.
fn in_its_place() -> Vec<Mutation> {
    let mut all = vec![
        by_hand("nothing", Lost, |world| drop(take_away(world))),
        by_hand("empty", Lost, |world| {
            take_away(world);
            world.write(DATABASE, "");
        }),
        by_hand("cut short", Lost, |world| {
            let content = take_away(world);
            world.write(DATABASE, &content[..4096]);
        }),
        by_hand("rubbish", Lost, |world| {
            take_away(world);
            world.write(DATABASE, "no database".repeat(999));
        }),
        by_hand("another program's", Lost, |world| {
            take_away(world);
            let other = Connection::open(world.path(DATABASE)).unwrap();
            other.execute_batch("CREATE TABLE theirs (x)").unwrap();
        }),
        by_hand("texts of two bytes", Saved, |world| {
            let old = world.outside().join("old.db");
            let content = take_away(world);
            fs::write(&old, content).unwrap();
            let new = Connection::open(world.path(DATABASE)).unwrap();
            new.execute_batch("PRAGMA encoding = 'UTF-16le'; PRAGMA application_id = 1953262188; PRAGMA user_version = 3").unwrap();
            let old = Connection::open(&old).unwrap();
            let mut schema = old
                .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
                .unwrap();
            for sql in schema.query_map([], |row| row.get::<_, String>(0)).unwrap() {
                new.execute_batch(&sql.unwrap()).unwrap();
            }
            let sql = "INSERT INTO run (uuid, pid, host, boot, uid, cwd, argv, version, started_at)
                       VALUES ('x', 1, '', '', 0, '', '', '', '1.0')";
            new.execute_batch(sql).unwrap();
        }),
        by_hand("a longer claim than it holds", Used, |world| {
            let log = fs::File::options()
                .create(true)
                .append(true)
                .open(&companions(world)[0])
                .unwrap();
            log.set_len(8 << 30).unwrap();
        }),
        by_hand("a log of rubbish", Used, |world| {
            fs::write(&companions(world)[0], "rubbish".repeat(9999)).unwrap();
        }),
    ];
    type Put = fn(&Utf8PathBuf);
    let kinds: [(&str, Put); 5] = [
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a link", |path| {
            std::os::unix::fs::symlink("/etc/hostname", path).unwrap()
        }),
        ("a link to nothing", |path| {
            std::os::unix::fs::symlink("nothing", path).unwrap()
        }),
        ("a fifo", |path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("a socket", |path| {
            drop(std::os::unix::net::UnixListener::bind(path).unwrap())
        }),
    ];
    let names = [
        (DATABASE, Lost),
        ("build/.state.db-wal", Used),
        ("build/.state.db-shm", Used),
        ("build/.state.db-journal", Used),
        ("build/.state/lock/db", Used),
        ("build/.state/lock/commit", Used),
        ("build/.state/lock/commit.turnstile", Used),
        ("build/.state/lock/runs", Used),
        ("build/.state/reserve", Used),
    ];
    for (name, after) in names {
        for (kind, put) in kinds {
            let text: &str = format!("{kind} at {name}").leak();
            all.push(by_hand(text, after, move |world| {
                let path = world.path(name);
                let _ = fs::remove_file(&path);
                put(&path);
            }));
        }
    }
    all
}

pub(crate) fn put(world: &World, path: &str, content: &str) {
    let journal = world.open();
    Steps::new("put")
        .put(path, content)
        .try_commit(&journal)
        .unwrap();
    journal.close().unwrap();
}

/// A project with history.
pub(crate) fn scene() -> World {
    let world = World::in_memory();
    for content in ["one", "two"] {
        put(&world, "build/a", content);
    }
    put(&world, "build/dir/b", "b");
    world
}

pub(crate) fn errors(world: &World) -> u64 {
    let options = FsckOptions {
        depth: FsckDepth::Full,
        ..FsckOptions::default()
    };
    let told = &mut |_| std::ops::ControlFlow::Continue(());
    world.options().fsck(&options, told).unwrap().errors
}

/// Reads everything, as reading commands do. It must end, with any result.
pub(crate) fn look(options: Options) -> bool {
    let Ok(inspection) = options.inspect() else {
        return false;
    };
    let history = inspection.history();
    history.status().is_ok() && history.events(&EventFilter::default()).is_ok()
}

pub(crate) fn holds(journal: &Journal, path: &str) -> bool {
    journal.history().entry(path).unwrap().is_some()
}

fn try_one(mutation: &Mutation) {
    let world = scene();
    (mutation.make)(&world);
    // Reading commands change nothing and do not hang.
    let read = look(world.options());
    let _ = errors(&world);
    put(&world, "build/new", "new");
    assert!(look(world.options()), "looked at afterwards");
    let journal = world.open();
    assert_eq!(
        journal.recovery().database_set_aside,
        None,
        "once is enough"
    );
    Steps::new("again")
        .put("build/a", "three")
        .try_commit(&journal)
        .unwrap();
    let mended = journal.history().events(&EventFilter::default()).unwrap();
    let mended = mended.iter().any(|event| event.kind == EventKind::Repaired);
    let has_past = holds(&journal, "build/dir/b");
    journal.close().unwrap();
    assert_eq!(errors(&world), 0);
    assert_eq!(
        world.read("build/a") + &world.read("build/dir/b") + &world.read("build/new"),
        "threebnew"
    );
    let kept = aside(&world).iter().any(|name| name.ends_with("-database"));
    match mutation.after {
        Used => assert!(has_past && !mended && !kept, "{has_past} {mended} {kept}"),
        Mended => assert!(
            has_past && mended && read && !kept,
            "{has_past} {mended} {read} {kept}"
        ),
        Saved => assert!(kept),
        Lost => assert!(!has_past),
    }
}

#[test]
fn g12_no_state_of_the_database_makes_commands_fail_for_ever() {
    let all = mutations();
    let failed = |mutation: &&Mutation| {
        let tried = std::panic::AssertUnwindSafe(|| try_one(mutation));
        std::panic::catch_unwind(tried).is_err()
    };
    let failed: Vec<_> = all.iter().filter(failed).map(|it| it.name).collect();
    assert_eq!(failed, [""; 0], "of {}", all.len());
}

/// A database in rollback mode whose writer was killed was torn: its journal was taken for another program's and
/// moved away.
#[test]
fn g9_the_hot_journal_of_a_database_in_rollback_mode_is_replayed() {
    let world = scene();
    let path = world.path(DATABASE);
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN;
             CREATE TABLE theirs (x);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO theirs SELECT randomblob(100) FROM n;
             UPDATE txn SET label = 'torn';",
        )
        .unwrap();
    // As a kill leaves them.
    let [database, journal] = ["", "-journal"].map(|end| fs::read(format!("{path}{end}")).unwrap());
    drop(other);
    let torn = scene();
    take_away(&torn);
    for (end, content) in [("", &database), ("-journal", &journal)] {
        torn.write(&format!("{DATABASE}{end}"), content);
    }
    assert!(look(torn.options()), "a copy of it is rolled back");
    put(&torn, "build/new", "new");
    let journal = torn.open();
    assert!(holds(&journal, "build/dir/b"));
    assert!(!torn.exists("build/.state.db-journal"));
    // The staged content is of another home.
    let kept = aside(&torn);
    assert!(
        !kept.iter().any(|name| name.ends_with("-database")),
        "{kept:?}"
    );
    drop(journal);
    let mut mode = [0];
    let file = fs::File::open(torn.path(DATABASE)).unwrap();
    file.read_exact_at(&mut mode, 18).unwrap();
    assert_eq!(mode, [2], "it has a write-ahead log again");
}

/// An older database in the place of a newer one, such as a restored backup.
#[test]
fn g9_an_older_database_is_worked_with() {
    let world = scene();
    let content = fs::read(world.path(DATABASE)).unwrap();
    for number in 0..3 {
        put(&world, "build/a", &number.to_string());
        put(&world, "build/later", &number.to_string());
    }
    take_away(&world);
    world.write(DATABASE, content);
    put(&world, "build/new", "new");
    put(&world, "build/later", "again");
    put(&world, "build/a", "again");
    assert_eq!(errors(&world), 0);
}

/// Reading eight labels that were computed to 480 MB each took nine gigabytes of memory.
#[test]
fn g8_a_schema_that_computes_is_refused_before_it_is_evaluated() {
    let world = scene();
    let database = Connection::open(world.path(DATABASE)).unwrap();
    let sql = "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;
               INSERT INTO voucher (run, root, path, digest, since) VALUES ('x', 0, 'x', x'00', '1.0');
               ALTER TABLE voucher ADD COLUMN more TEXT AS (hex(zeroblob(9))) VIRTUAL;";
    database.execute_batch(sql).unwrap();
    drop(database);
    assert!(!look(world.options()));
    assert!(errors(&world) > 0);
    put(&world, "build/new", "new");
    assert!(look(world.options()));
    assert_eq!(errors(&world), 0);
}
