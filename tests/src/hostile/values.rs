//! Values for hostile rows: valid ones and impossible ones.

use arbitrary::Arbitrary;
use rusqlite::{Connection, types::Value};
use tljournal::Image;
use tljournal::disk::{Dir, Disk};
use tljournal_testkit::World;

#[derive(Debug, Arbitrary)]
pub(super) enum Number {
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
pub(super) enum Path {
    Of(u8),
    Any(String),
}

/// Paths for rows: plain ones, and those that lead outside or to the journal's own files.
pub(super) const PATHS: [&str; 26] = [
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

/// A path that does not exist.
pub(super) const NOWHERE: &str = "/etc/tljournal-victim";

#[derive(Debug, Arbitrary)]
pub(super) enum Word {
    Of(u8),
    Any(String),
}

pub(super) const STATES: [&str; 6] = [
    "committed",
    "aborting",
    "staging",
    "applied",
    "aborted",
    "stuck",
];
pub(super) const OPS: [&str; 6] = ["put", "tree", "remove", "link", "parent", "adopt"];
const KINDS: [&str; 4] = ["file", "directory", "link", "special file"];

/// An image: of something on disk, or of something that never existed.
#[derive(Debug, Arbitrary)]
pub(super) enum Seen {
    There(u8),
    /// Of a kind other than the real one.
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

/// The paths of real images, below the directory of the project.
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
pub(super) enum Blob {
    /// The digest, or the encoding, of an existing manifest.
    Known(u8),
    Zeros(u8),
    Bytes(Vec<u8>),
    /// A valid manifest with a changed byte.
    Bent {
        at: u16,
        byte: u8,
    },
    None,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Any {
    Number(Number),
    Path(Path),
    Text(String),
    Blob(Vec<u8>),
    Null,
}

impl Number {
    /// The number; `ours` is the valid one.
    pub(super) fn value(&self, ours: i64) -> Value {
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
    pub(super) fn text(&self) -> String {
        match self {
            Self::Of(which) => PATHS[*which as usize % PATHS.len()].to_owned(),
            Self::Any(text) => text.clone(),
        }
    }
}

impl Word {
    pub(super) fn of(&self, words: &[&str]) -> String {
        match self {
            Self::Of(which) => words[*which as usize % words.len()].to_owned(),
            Self::Any(text) => text.clone(),
        }
    }
}

impl Any {
    pub(super) fn value(&self) -> Value {
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
    pub(super) fn value(&self, database: &Connection) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Known(which) => nth(database, "digest", *which).into(),
            other => other.encoded(database).into(),
        }
    }

    pub(super) fn encoded(&self, database: &Connection) -> Vec<u8> {
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
pub(super) struct Columns(pub(super) [Value; 6]);

impl Columns {
    pub(super) fn none() -> Self {
        Self([const { Value::Null }; 6])
    }

    /// The image of a path relative to the directory of the project.
    pub(super) fn of(world: &World, path: &str) -> Self {
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
    pub(super) fn columns(&self, world: &World) -> Columns {
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
