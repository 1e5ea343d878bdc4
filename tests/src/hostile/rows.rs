use std::fs;
use std::os::unix::fs::symlink;

use arbitrary::{Arbitrary, Unstructured};
use rusqlite::{Connection, ToSql, params_from_iter, types::Value};
use tljournal::disk::{Dir, Disk};
use tljournal::{Image, Journal, Options, RelPath};
use tljournal_testkit::World;

use super::watch::Watch;
use super::yard::{KEPT, use_as, yard};

/// The ids of the transactions that are planted, and of their directories.
const IDS: [&str; 3] = [
    "01920000-0000-7000-8000-000000000001",
    "01920000-0000-7000-8000-000000000002",
    "01920000-0000-7000-8000-000000000003",
];

/// Rows as no journal would write them.
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
    /// The root through a link, and the home not.
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

/// One of the few, so that rows refer to each other.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Few {
    One,
    Two,
    Three,
}

#[derive(Debug, Arbitrary)]
enum Number {
    Zero,
    One,
    Two,
    Three,
    Minus,
    Smallest,
    Largest,
    Beyond32,
    Any(i64),
}

#[derive(Debug, Arbitrary)]
enum Path {
    Of(u8),
    Any(String),
}

/// A path for a row: plain ones and those that lead out, or to what is the journal's own.
const PATHS: [&str; 26] = [
    "old.txt",
    "dir",
    "dir/other",
    "tools",
    "tools/sub/f1",
    "quick",
    "latest",
    "new",
    "new/deep",
    "out",
    "out/victim",
    "out/dir/victim",
    "build/old.txt",
    "build/tools",
    "Project.lock",
    "../outside/victim",
    "../../outside/victim",
    "dir/../../../outside/victim",
    "",
    ".",
    ".state.db",
    ".state/lock/commit",
    "build/.state/lock/commit",
    "build/.state/lock/db",
    ".state/txn",
    NOWHERE,
];

/// A path where nothing is.
const NOWHERE: &str = "/etc/tljournal-victim";

#[derive(Debug, Arbitrary)]
enum Word {
    Of(u8),
    Any(String),
}

const STATES: [&str; 6] = [
    "committed",
    "aborting",
    "staging",
    "applied",
    "aborted",
    "stuck",
];
const OPS: [&str; 6] = ["put", "tree", "remove", "link", "parent", "adopt"];
const KINDS: [&str; 4] = ["file", "directory", "link", "special file"];

/// An image: of something that is on disk, or of nothing that ever was.
#[derive(Debug, Arbitrary)]
enum Seen {
    There(u8),
    /// Of another kind than it is.
    Wrong(u8, u8),
    Never {
        kind: Word,
        ino: Number,
        born: String,
        size: Number,
        mode: Number,
        mtime: String,
    },
}

/// What images are taken of, below the directory that the project lies in.
const THERE: [&str; 14] = [
    "project/build/.state/txn/01920000-0000-7000-8000-000000000001/0",
    "project/build/.state/txn/01920000-0000-7000-8000-000000000001/1",
    "project/build/.state/txn/01920000-0000-7000-8000-000000000001/2",
    "project/build/.state/txn/01920000-0000-7000-8000-000000000001/3",
    "project/build/.state/txn/01920000-0000-7000-8000-000000000002/0",
    "project/build/old.txt",
    "project/build/dir",
    "project/build/tools",
    "project/build/quick",
    "project/build/latest",
    "project/Project.lock",
    "project/build/out",
    "outside/victim",
    "project/build/.state/lock/commit",
];

#[derive(Debug, Arbitrary)]
enum Blob {
    /// The digest, or the encoding, of a manifest that is there.
    Known(u8),
    Zeros(u8),
    Bytes(Vec<u8>),
    /// A good manifest with another byte in it.
    Bent {
        at: u16,
        byte: u8,
    },
    None,
}

#[derive(Debug, Arbitrary)]
enum Any {
    Number(Number),
    Path(Path),
    Text(String),
    Blob(Vec<u8>),
    Null,
}

const COLUMNS: [(&str, &str); 26] = [
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

/// Reads bytes as rows that contradict everything, writes them into the database of a project, and uses
/// the project. Nothing outside is touched, and what no row names is still there.
///
/// # Panics
/// If a promise is broken.
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
        // Not everything can be written: uniqueness and strict types hold, and schemas are used up.
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

/// Plants a transaction past its commit point that replaces a file, all of it right.
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

/// Something of each kind where staged content waits.
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
    let marks = vec!["?"; values.len()].join(", ");
    let sql = format!("INSERT OR REPLACE INTO {table} VALUES ({marks})");
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
                    // So that it is taken for what it says.
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

impl Number {
    /// The number; `ours` is the one that fits.
    fn value(&self, ours: i64) -> Value {
        Value::from(match self {
            Self::Zero => ours,
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
            Self::Minus => -1,
            Self::Smallest => i64::MIN,
            Self::Largest => i64::MAX,
            Self::Beyond32 => 1 << 32,
            Self::Any(number) => *number,
        })
    }
}

impl Path {
    fn text(&self) -> String {
        match self {
            Self::Of(which) => PATHS[*which as usize % PATHS.len()].to_owned(),
            Self::Any(text) => text.clone(),
        }
    }
}

impl Word {
    fn of(&self, words: &[&str]) -> String {
        match self {
            Self::Of(which) => words[*which as usize % words.len()].to_owned(),
            Self::Any(text) => text.clone(),
        }
    }
}

impl Any {
    fn value(&self) -> Value {
        match self {
            Self::Number(number) => number.value(0),
            Self::Path(path) => path.text().into(),
            Self::Text(text) => text.clone().into(),
            Self::Blob(bytes) => bytes.clone().into(),
            Self::Null => Value::Null,
        }
    }
}

impl Blob {
    fn value(&self, database: &Connection) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Known(which) => nth(database, "digest", *which).into(),
            other => other.encoded(database).into(),
        }
    }

    fn encoded(&self, database: &Connection) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Known(which) => nth(database, "encoded", *which),
            Self::Zeros(count) => vec![0; (*count).into()],
            Self::Bytes(bytes) => bytes.clone(),
            Self::Bent { at, byte } => {
                let mut bytes = nth(database, "encoded", 0);
                let at = *at as usize % bytes.len().max(1);
                bytes
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|there| *there = *byte);
                bytes
            }
        }
    }
}

fn nth(database: &Connection, column: &str, which: u8) -> Vec<u8> {
    let sql = format!("SELECT {column} FROM manifest ORDER BY digest LIMIT 1 OFFSET ?1");
    let found = database.query_row(&sql, [which % 2], |row| row.get(0));
    found.unwrap_or_default()
}

/// The six columns of an image.
struct Columns([Value; 6]);

impl Columns {
    fn none() -> Self {
        Self([const { Value::Null }; 6])
    }

    /// The image of what is at a path from the directory that the project lies in.
    fn of(world: &World, path: &str) -> Self {
        let full = world.outside().join(path);
        let (dir, name) = (full.parent().expect("a parent"), full.file_name());
        let stat = Dir::open(dir, Disk::default()).and_then(|dir| dir.stat(name.unwrap_or("")));
        let Ok(Some(stat)) = stat else {
            return Self::none();
        };
        let image = Image::of(&stat);
        Self([
            image.kind.as_str().to_owned().into(),
            image.identity.ino.cast_signed().into(),
            image.identity.born.to_string().into(),
            image.size.cast_signed().into(),
            i64::from(image.mode).into(),
            image.mtime.to_string().into(),
        ])
    }
}

impl Seen {
    fn columns(&self, world: &World) -> Columns {
        let there = |which: &u8| Columns::of(world, THERE[*which as usize % THERE.len()]);
        match self {
            Self::There(which) => there(which),
            Self::Wrong(which, kind) => {
                let mut columns = there(which);
                columns.0[0] = KINDS[*kind as usize % KINDS.len()].to_owned().into();
                columns
            }
            Self::Never {
                kind,
                ino,
                born,
                size,
                mode,
                mtime,
            } => Columns([
                kind.of(&KINDS).into(),
                ino.value(0),
                born.clone().into(),
                size.value(0),
                mode.value(0o644),
                mtime.clone().into(),
            ]),
        }
    }
}
