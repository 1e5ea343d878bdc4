use std::fs;
use std::os::unix::fs::symlink;

use arbitrary::{Arbitrary, Unstructured};
use rusqlite::{Connection, ToSql, params_from_iter, types::Value};
use tljournal::{Journal, Options, RelPath};
use tljournal_testkit::World;

use super::values::{Any, Blob, Columns, NOWHERE, Number, OPS, Path, STATES, Seen, Word};
use super::watch::Watch;
use super::yard::{KEPT, use_as, yard};

/// The ids of the planted transactions, and of their directories.
const IDS: [&str; 3] = [
    "01920000-0000-7000-8000-000000000001",
    "01920000-0000-7000-8000-000000000002",
    "01920000-0000-7000-8000-000000000003",
];

/// Rows that the journal never writes.
#[derive(Debug, Arbitrary)]
struct Hostile {
    view: View,
    is_unfinished: bool,
    rows: Vec<Row>,
}

/// How the project is opened.
#[derive(Debug, Arbitrary)]
enum View {
    Plain,
    /// The root through a link, and the home directly.
    Alias,
    Territory,
}

#[derive(Debug, Arbitrary)]
enum Row {
    Txn {
        id: Few,
        number: Number,
        run: Number,
        state: Word,
        commit_no: Number,
    },
    Change {
        txn: Few,
        n: Number,
        root: Number,
        path: Path,
        op: Word,
        before: Option<Seen>,
        after: Option<Seen>,
        digest: Blob,
        beside: Option<Path>,
        flags: (Number, Number),
    },
    Entry {
        root: Number,
        path: Path,
        txn: Few,
        n: Number,
        seen: Seen,
        racy: Number,
        digest: Blob,
        signature: Option<Blob>,
        unsettled: Option<Number>,
    },
    Manifest {
        digest: Blob,
        encoded: Blob,
    },
    /// One column of a table, in all rows.
    Set {
        column: u8,
        to: Any,
    },
    /// Another schema.
    Schema(u8),
}

/// One of a few values, so that rows refer to each other.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Few {
    One,
    Two,
    Three,
}

const COLUMNS: [(&str, &str); 32] = [
    ("txn", "kept"),
    ("txn", "undoes"),
    ("txn", "committed_at"),
    ("run", "purpose"),
    ("run", "parent"),
    ("run", "error"),
    ("home", "ino"),
    ("home", "born"),
    ("home", "incompat"),
    ("home", "compat_read"),
    ("root", "ino"),
    ("root", "born"),
    ("run", "uuid"),
    ("run", "pid"),
    ("run", "started_at"),
    ("run", "ended_at"),
    ("txn", "uuid"),
    ("txn", "state"),
    ("txn", "label"),
    ("txn", "run"),
    ("txn", "commit_no"),
    ("txn", "began_at"),
    ("change", "path"),
    ("change", "root"),
    ("change", "op"),
    ("change", "n"),
    ("change", "beside"),
    ("entry", "path"),
    ("entry", "txn"),
    ("entry", "digest"),
    ("entry", "signature"),
    ("event", "at"),
];

const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";

fn schema(which: u8) -> String {
    let scripts = [
        "DROP TABLE entry".to_owned(),
        "DROP INDEX txn_unfinished".to_owned(),
        "DELETE FROM home".to_owned(),
        "ALTER TABLE entry ADD COLUMN later TEXT".to_owned(),
        "ALTER TABLE txn DROP COLUMN reason".to_owned(),
        "PRAGMA user_version = 7".to_owned(),
        "PRAGMA user_version = 0".to_owned(),
        "PRAGMA application_id = 1".to_owned(),
        "CREATE TRIGGER t AFTER INSERT ON txn BEGIN DELETE FROM txn; END".to_owned(),
        "CREATE TRIGGER t BEFORE INSERT ON run BEGIN SELECT raise(IGNORE); END".to_owned(),
        format!(
            "CREATE TRIGGER t AFTER INSERT ON event BEGIN INSERT INTO event (at, kind, detail)
             SELECT x, x, x FROM ({ENDLESS} SELECT x FROM c); END"
        ),
        format!(
            "ALTER TABLE home RENAME TO h; CREATE VIEW home AS {ENDLESS}
             SELECT x AS ino, x AS born, 0 AS incompat, 0 AS compat_read FROM c WHERE x < 0"
        ),
        format!(
            "ALTER TABLE run RENAME TO r; CREATE VIEW run AS {ENDLESS}
             SELECT x AS id, x AS uuid, x AS pid, NULL AS ended_at FROM c WHERE x < 0"
        ),
    ];
    scripts[which as usize % scripts.len()].clone()
}

/// Parses bytes as contradictory rows, writes them into the database of a project, and uses the project. Nothing
/// outside may change, and paths without a row must still exist.
///
/// # Panics
/// If a guarantee is violated.
pub fn rows(bytes: &[u8]) {
    let Ok(hostile) = Hostile::arbitrary_take_rest(Unstructured::new(bytes)) else {
        return;
    };
    let world = yard();
    if hostile.is_unfinished {
        plant_unfinished(&world);
    }
    plant_staged(&world);
    let database = Connection::open(world.path("build/.state.db")).expect("a database");
    let lax = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;";
    database.execute_batch(lax).expect("a pragma");
    for row in &hostile.rows {
        // Some rows cannot be written: uniqueness and strict types are enforced, and a schema can change only once.
        let _ = row.write(&world, &database);
    }
    drop(database);
    let alias = world.outside().join("alias");
    symlink(world.root(), &alias).expect("a link");
    let options = || -> Options {
        match hostile.view {
            View::Plain => world.options(),
            View::Alias => Journal::options(&alias).home(world.path("build")),
            View::Territory => {
                let territory = RelPath::new("build").expect("a path");
                world.options().territory(territory)
            }
        }
    };
    let watch = Watch::over(&world.outside(), &["project"]);
    use_as(&options);
    watch.assert_untouched("hostile rows were read");
    assert!(fs::symlink_metadata(NOWHERE).is_err(), "{NOWHERE} is there");
    assert_eq!(world.read(KEPT.0), KEPT.1);
    for own in ["commit", "db", "runs"] {
        assert!(world.exists(&format!("build/.state/lock/{own}")), "{own}");
    }
}

/// Plants a valid transaction past its commit point that replaces a file.
pub(super) fn plant_unfinished(world: &World) {
    let dir = format!("build/.state/txn/{}", IDS[2]);
    world.write(&format!("{dir}/0"), "new");
    let database = Connection::open(world.path("build/.state.db")).expect("a database");
    let there = |path: &str| Columns::of(world, path);
    let txn = Row::Txn {
        id: Few::Three,
        number: Number::Any(50),
        run: Number::One,
        state: Word::Of(0),
        commit_no: Number::Any(50),
    };
    txn.write(world, &database).expect("a row");
    let (before, after) = (
        there("project/build/old.txt"),
        there(&format!("project/{dir}/0")),
    );
    let digest = tljournal::Digest::of(b"new").as_bytes().to_vec();
    let mut values = vec![
        Value::from(50),
        Value::from(0),
        Value::from(0),
        Value::from("old.txt".to_owned()),
        Value::from("put".to_owned()),
    ];
    values.extend(before.0);
    values.extend(after.0);
    values.extend([
        Value::from(digest),
        Value::Null,
        Value::Null,
        Value::from(0),
        Value::from(0),
    ]);
    insert(&database, "change", values).expect("a row");
}

/// Plants staged content of each kind.
fn plant_staged(world: &World) {
    for id in &IDS[..2] {
        let at = |name: &str| format!("build/.state/txn/{id}/{name}");
        world.write(&at("0"), "staged");
        world.link("../../../../../../outside/victim", &at("1"));
        world.link("../../../../../../outside", &at("2"));
        world.write(&at("3/sub/f1"), "staged");
    }
}

fn insert(database: &Connection, table: &str, values: Vec<Value>) -> rusqlite::Result<()> {
    // Columns that were added later are omitted.
    let mut columns =
        database.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
    let columns = columns.query_map([], |row| row.get::<_, String>(0))?;
    let columns: Vec<_> = columns.take(values.len()).collect::<Result<_, _>>()?;
    let (columns, marks) = (columns.join(", "), vec!["?"; values.len()].join(", "));
    let sql = format!("INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})");
    let values = values.iter().map(|value| value as &dyn ToSql);
    database.execute(&sql, params_from_iter(values)).map(drop)
}

impl Row {
    fn write(&self, world: &World, database: &Connection) -> rusqlite::Result<()> {
        let text = |text: &str| Value::from(text.to_owned());
        match self {
            Self::Txn {
                id,
                number,
                run,
                state,
                commit_no,
            } => {
                let values = vec![
                    number.value(*id as i64 + 40),
                    text(IDS[*id as usize]),
                    run.value(1),
                    Value::from(1),
                    text("planted"),
                    text(&state.of(&STATES)),
                    text("1.0"),
                    Value::Null,
                    commit_no.value(*id as i64 + 40),
                    Value::Null,
                ];
                insert(database, "txn", values)
            }
            Self::Change {
                txn,
                n,
                root,
                path,
                op,
                before,
                after,
                digest,
                beside,
                flags,
            } => {
                let image = |seen: &Option<Seen>| match seen {
                    Some(seen) => seen.columns(world).0,
                    None => Columns::none().0,
                };
                let mut values = vec![
                    Value::from(*txn as i64 + 40),
                    n.value(0),
                    root.value(0),
                    text(&path.text()),
                    text(&op.of(&OPS)),
                ];
                values.extend(image(before));
                values.extend(image(after));
                values.extend([
                    digest.value(database),
                    Value::Null,
                    beside.as_ref().map_or(Value::Null, |dir| text(&dir.text())),
                    flags.0.value(0),
                    flags.1.value(0),
                ]);
                insert(database, "change", values)
            }
            Self::Entry {
                root,
                path,
                txn,
                n,
                seen,
                racy,
                digest,
                signature,
                unsettled,
            } => {
                let mut values = vec![
                    root.value(0),
                    text(&path.text()),
                    Value::from(*txn as i64 + 40),
                    n.value(0),
                ];
                values.extend(seen.columns(world).0);
                values.extend([
                    text("1.0"),
                    racy.value(0),
                    digest.value(database),
                    Value::Null,
                    signature
                        .as_ref()
                        .map_or(Value::Null, |blob| blob.value(database)),
                    unsettled.as_ref().map_or(Value::Null, |_| Value::from(1)),
                    unsettled.as_ref().map_or(Value::Null, |_| text("a boot")),
                    unsettled
                        .as_ref()
                        .map_or(Value::Null, |mount| mount.value(0)),
                ]);
                insert(database, "entry", values)
            }
            Self::Manifest { digest, encoded } => {
                let encoded = encoded.encoded(database);
                let digest = match digest {
                    // So that its key matches its content.
                    Blob::None => Value::from(tljournal::Digest::of(&encoded).as_bytes().to_vec()),
                    digest => digest.value(database),
                };
                let values = vec![digest, Value::from(1), Value::from(1), encoded.into()];
                insert(database, "manifest", values)
            }
            Self::Set { column, to } => {
                let (table, column) = COLUMNS[*column as usize % COLUMNS.len()];
                let sql = format!("UPDATE OR IGNORE {table} SET {column} = ?1");
                database.execute(&sql, [to.value()]).map(drop)
            }
            Self::Schema(which) => database.execute_batch(&schema(*which)),
        }
    }
}
