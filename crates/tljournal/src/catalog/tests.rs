#![allow(
    clippy::disallowed_methods,
    reason = "tests read and change the database without the engine"
)]

use camino::Utf8PathBuf;
use rusqlite::Connection;

use super::*;
use crate::disk::Features;
use crate::model::{
    Anchor, Change, Digest, Durability, Identity, Image, Kind, Op, Place, RelPath, Spot, Timestamp,
    TxnState,
};

pub(super) struct Scratch {
    _dir: tempfile::TempDir,
    path: Utf8PathBuf,
}

pub(super) fn scratch() -> Scratch {
    let dir = tempfile::tempdir().unwrap();
    let real = std::fs::canonicalize(dir.path()).unwrap();
    let path = Utf8PathBuf::from_path_buf(real.join(".state.db")).unwrap();
    std::fs::write(&path, "").unwrap();
    Scratch { _dir: dir, path }
}

fn identity(ino: u64) -> Identity {
    Identity {
        ino,
        born: Timestamp::new(-1, 5),
    }
}

pub(super) fn fresh(scratch: &Scratch) -> Catalog {
    let mut catalog = Catalog::open(&scratch.path).unwrap();
    catalog.migrate().unwrap();
    let features = Features {
        exchange: true,
        birth_times: true,
    };
    let row = HomeRow {
        identity: identity(u64::MAX),
        features,
    };
    let made: Result<(), CatalogError> = catalog.write(Sync::Full, |catalog| {
        catalog.set_home(row)?;
        catalog.ensure_root(identity(2), "/project")
    });
    made.unwrap();
    catalog.set_root(identity(2));
    assert_eq!(catalog.home().unwrap(), Some(row));
    catalog
}

/// The schema as SQLite stores it, one statement per line.
fn schema(catalog: &Catalog) -> String {
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name";
    let mut statement = catalog.conn.prepare(sql).unwrap();
    let rows = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let squeeze = |sql: String| {
        let lines = sql
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default());
        lines
            .flat_map(str::split_whitespace)
            .collect::<Vec<_>>()
            .join(" ")
    };
    rows.map(|sql| squeeze(sql.unwrap()) + "\n").collect()
}

#[test]
fn the_schema_is_the_golden_one() {
    let scratch = scratch();
    let found = schema(&fresh(&scratch));
    let golden = include_str!("golden_schema.sql");
    assert!(found == golden, "the schema is now:\n{found}");
}

#[test]
fn migrating_again_changes_nothing() {
    let scratch = scratch();
    let before = schema(&fresh(&scratch));
    let mut again = Catalog::open(&scratch.path).unwrap();
    assert!(!again.needs_migration().unwrap());
    again.migrate().unwrap();
    assert_eq!(schema(&again), before);
}

#[test]
fn g9_a_newer_incompatible_format_is_refused_and_left_byte_identical() {
    let scratch = scratch();
    let catalog = fresh(&scratch);
    catalog
        .conn
        .execute("UPDATE home SET incompat = 4", [])
        .unwrap();
    assert!(catalog.checkpoint().unwrap());
    drop(catalog);
    let before = std::fs::read(&scratch.path).unwrap();
    let refused = Catalog::open(&scratch.path).unwrap_err();
    assert!(
        matches!(refused, CatalogError::Newer { features: 4 }),
        "{refused}"
    );
    assert_eq!(std::fs::read(&scratch.path).unwrap(), before);
}

#[test]
fn additions_of_a_newer_version_are_ignored_or_limit_to_reading() {
    let scratch = scratch();
    let catalog = fresh(&scratch);
    let later = "ALTER TABLE run ADD COLUMN mood TEXT; PRAGMA user_version = 99;
                 UPDATE home SET compat = 1";
    catalog.conn.execute_batch(later).unwrap();
    let again = Catalog::open(&scratch.path).unwrap();
    assert!(!again.needs_migration().unwrap());
    let for_reading = "UPDATE home SET compat_read = 2";
    catalog.conn.execute_batch(for_reading).unwrap();
    let refused = Catalog::open(&scratch.path).unwrap_err();
    assert!(
        matches!(refused, CatalogError::Newer { features: 2 }),
        "{refused}"
    );
    assert!(Catalog::open_read_only(&scratch.path, false).is_ok());
}

#[test]
fn g9_a_foreign_database_and_rubbish_are_recognized() {
    let foreign = scratch();
    let other = Connection::open(&foreign.path).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(other);
    assert!(matches!(
        Catalog::open(&foreign.path),
        Err(CatalogError::Foreign)
    ));
    let rubbish = scratch();
    std::fs::write(&rubbish.path, [7; 9000]).unwrap();
    assert!(matches!(
        Catalog::open(&rubbish.path),
        Err(CatalogError::Corrupt(_))
    ));
}

#[test]
fn changes_are_read_as_they_were_recorded() {
    let scratch = scratch();
    let catalog = fresh(&scratch);
    let image = Image {
        kind: Kind::File,
        identity: identity(u64::MAX - 1),
        size: 7,
        mode: 0o640,
        mtime: Timestamp::new(i64::MIN, 999_999_999),
    };
    let change = Change {
        n: 3,
        place: Place {
            anchor: Anchor::Root,
            path: RelPath::new("a\nb/c").unwrap(),
        },
        op: Op::Put,
        pre: None,
        new: Some(image),
        digest: Some(Digest::of(b"x")),
        target: None,
        spot: Spot::Beside(Some(RelPath::new("a\nb").unwrap())),
        durability: Durability::Rebuildable,
        drift: true,
    };
    let run = crate::ambient::fresh_run_id();
    let id = crate::ambient::fresh_txn_id();
    let facts = crate::ambient::ProcessFacts::gather();
    let run = catalog.insert_run(run, None, &facts).unwrap();
    let row = catalog.begin_txn(id, run, "label").unwrap();
    catalog
        .insert_changes(row, std::slice::from_ref(&change))
        .unwrap();
    assert_eq!(catalog.changes(row).unwrap(), Some(vec![change]));
    assert!(catalog.commit_txn(row, Default::default(), None).unwrap());
    assert!(
        !catalog.commit_txn(row, Default::default(), None).unwrap(),
        "it is staging only once"
    );
    assert_eq!(catalog.unfinished().unwrap()[0].state, TxnState::Committed);
    let (from, to) = (TxnState::Committed, TxnState::Applied);
    assert!(catalog.move_txn(row, from, to, None).unwrap());
    assert!(catalog.unfinished().unwrap().is_empty());
}

#[test]
fn g8_rows_with_paths_that_climb_are_damage() {
    let scratch = scratch();
    let catalog = fresh(&scratch);
    let run = crate::ambient::fresh_run_id();
    let run = catalog
        .insert_run(run, None, &crate::ambient::ProcessFacts::gather())
        .unwrap();
    let row = catalog
        .begin_txn(crate::ambient::fresh_txn_id(), run, "")
        .unwrap();
    for (path, beside) in [("../x", "NULL"), ("/x", "NULL"), ("x", "'../y'")] {
        let sql = format!(
            "INSERT OR REPLACE INTO change (txn, n, root, path, op, beside, rebuildable, drift)
             VALUES ({row}, 0, 0, '{path}', 'remove', {beside}, 0, 0)"
        );
        catalog.conn.execute_batch(&sql).unwrap();
        let read = catalog.changes(row);
        assert!(
            matches!(read, Err(CatalogError::Row(_))),
            "{path} {beside}: {read:?}"
        );
    }
}

/// A process that creates a database may be killed between the switch to WAL and the commit of the schema. The next
/// process left WAL mode to enter it again, which fails while another connection is open.
#[test]
fn a_database_without_a_schema_is_migrated_while_others_have_it_open() {
    let scratch = scratch();
    let maker = Connection::open(&scratch.path).unwrap();
    maker.pragma_update(None, "journal_mode", "WAL").unwrap();
    let other = Catalog::open(&scratch.path).unwrap();
    assert!(other.needs_migration().unwrap());
    fresh(&scratch);
    assert!(!other.needs_migration().unwrap());
}

#[test]
fn g10_a_copy_of_the_first_format_is_read_although_it_cannot_be_migrated() {
    let scratch = scratch();
    let old = Connection::open(&scratch.path).unwrap();
    let sql = include_str!("../../migrations/0001_catalog.sql");
    old.execute_batch(sql).unwrap();
    let id = crate::ambient::fresh_run_id();
    old.execute_batch(&format!(
        "PRAGMA application_id = {}; PRAGMA user_version = 1;
         INSERT INTO run (uuid, pid, host, boot, uid, cwd, argv, version, started_at)
         VALUES ('{id}', 7, 'h', 'b', 0, '/', 'make', '0.1.0', '1.5');
         INSERT INTO root (id, ino, born, path) VALUES (1, 2, '1.0', '/project');
         INSERT INTO txn (uuid, run, root, label, state, began_at)
         VALUES ('{}', 1, 1, 'a label', 'applied', '2.5');",
        0x746c_6a6c,
        crate::ambient::fresh_txn_id(),
    ))
    .unwrap();
    drop(old);
    let catalog = Catalog::open_read_only(&scratch.path, true).unwrap();
    let runs = catalog.runs(&RunFilter::default()).unwrap();
    assert_eq!((runs[0].id, runs[0].argv.as_str()), (id, "make"));
    assert_eq!(
        (&runs[0].label, runs[0].parent, &runs[0].log),
        (&None, None, &None)
    );
    let txns = catalog.history(&TxnFilter::latest(9), None).unwrap();
    assert_eq!((txns[0].label.as_str(), txns[0].run.id), ("a label", id));
    assert!(catalog.txn_record(1).unwrap().is_some());
}

#[test]
fn a_run_records_its_label_its_parent_and_its_log() {
    let scratch = scratch();
    let mut catalog = fresh(&scratch);
    let (outer, inner) = (
        crate::ambient::fresh_run_id(),
        crate::ambient::fresh_run_id(),
    );
    let facts = crate::ambient::ProcessFacts::gather();
    let made: Result<(), CatalogError> = catalog.write(Sync::Normal, |catalog| {
        catalog.insert_run(outer, None, &facts)?;
        let row = catalog.insert_run(inner, Some(outer), &facts)?;
        catalog.label_run(row, "vendor")?;
        catalog.set_run_log(row, ".state/log/x")?;
        catalog.end_run(row, "exited 3")
    });
    made.unwrap();
    let runs = catalog.runs(&RunFilter::default()).unwrap();
    assert_eq!(
        (runs.len(), runs[0].id, runs[0].parent),
        (2, inner, Some(outer))
    );
    let told = (&runs[0].label, &runs[0].log, &runs[0].outcome);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        told,
        (&text("vendor"), &text(".state/log/x"), &text("exited 3"))
    );
}
