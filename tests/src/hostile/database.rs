use std::fs;
use std::io;

use arbitrary::{Arbitrary, Unstructured};
use camino::Utf8PathBuf;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tljournal_testkit::World;

use super::rows::plant_unfinished;
use super::watch::Watch;
use super::yard::{KEPT, use_as, yard};

/// A damage of one of the files.
#[derive(Debug, Arbitrary)]
struct Damage {
    file: Which,
    how: How,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Which {
    Database,
    Log,
    Index,
}

#[derive(Debug, Arbitrary)]
enum How {
    /// Flipped bits in one byte.
    Flip { at: u32, bits: u8 },
    /// A repeated byte.
    Fill { at: u32, count: u16, byte: u8 },
    /// Overwritten bytes.
    Write { at: u32, bytes: [u8; 8] },
    /// A page copied over another one.
    CopyPage { from: u8, to: u8 },
    /// Truncated.
    Cut { at: u32 },
    /// Data appended.
    Grow { count: u16, byte: u8 },
    /// Removed.
    Remove,
    /// Another program's database.
    Foreign,
    /// Replaced by one of the other files.
    Swap(Which),
}

const PAGE: usize = 4096;

/// Parses bytes as damages of a project's database, its log and its index, and uses the project. Nothing outside may
/// change, and the files on disk must still exist.
///
/// # Panics
/// If a guarantee is violated.
pub fn database(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let Ok((is_unfinished, damages)) = <(bool, Vec<Damage>)>::arbitrary(&mut input) else {
        return;
    };
    let world = yard();
    if is_unfinished {
        plant_unfinished(&world);
    }
    leave_a_log(&world);
    for damage in &damages {
        damage.inflict(&world).expect("a damage");
    }
    let watch = Watch::over(&world.outside(), &["project"]);
    use_as(&|| world.options());
    watch.assert_untouched("the database was damaged");
    assert_eq!(world.read(KEPT.0), KEPT.1);
    for (path, content) in [("build/dir/other", "other"), ("Project.lock", "locked")] {
        assert_eq!(world.read(path), content);
    }
}

/// Leaves a row in the log that is not in the database.
fn leave_a_log(world: &World) {
    let database = Connection::open(world.path("build/.state.db")).expect("a database");
    let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    database.set_db_config(keep, true).expect("a setting");
    let sql = "INSERT INTO event (at, kind, detail) VALUES ('1.0', 'test', 'in the log')";
    database.execute(sql, []).expect("a row");
}

impl Damage {
    fn inflict(&self, world: &World) -> io::Result<()> {
        let path = self.file.path(world);
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let len = bytes.len().max(1);
        let place = |at: u32| at as usize % len;
        match &self.how {
            How::Flip { at, bits } => {
                if let Some(byte) = bytes.get_mut(place(*at)) {
                    *byte ^= bits;
                }
            }
            How::Fill { at, count, byte } => {
                let range = bytes.iter_mut().skip(place(*at));
                range.take((*count).into()).for_each(|there| *there = *byte);
            }
            How::Write { at, bytes: new } => {
                let range = bytes.iter_mut().skip(place(*at));
                range.zip(new).for_each(|(there, new)| *there = *new);
            }
            How::CopyPage { from, to } => {
                let pages = (bytes.len() / PAGE).max(1);
                let at = |page: u8| page as usize % pages * PAGE;
                if let Some(page) = bytes.get(at(*from)..at(*from) + PAGE).map(<[u8]>::to_vec) {
                    bytes[at(*to)..at(*to) + PAGE].copy_from_slice(&page);
                }
            }
            How::Cut { at } => bytes.truncate(place(*at)),
            How::Grow { count, byte } => bytes.extend(vec![*byte; (*count).into()]),
            How::Remove => {
                return match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                };
            }
            How::Foreign => return foreign(world),
            How::Swap(other) => bytes = fs::read(other.path(world)).unwrap_or_default(),
        }
        fs::write(&path, bytes)
    }
}

impl Which {
    fn path(self, world: &World) -> Utf8PathBuf {
        world.path(match self {
            Self::Database => "build/.state.db",
            Self::Log => "build/.state.db-wal",
            Self::Index => "build/.state.db-shm",
        })
    }
}

fn foreign(world: &World) -> io::Result<()> {
    let other = world.outside().join("foreign.db");
    let database = Connection::open(&other).expect("a database");
    let sql = "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)";
    database.execute_batch(sql).expect("a table");
    drop(database);
    fs::copy(&other, world.path("build/.state.db"))?;
    fs::remove_file(other)
}
