use std::cell::Cell;
use std::time::Duration;

use camino::Utf8Path;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::codec::HOME;
use super::schema::{self, Standing};
use super::{CatalogError, EMPTY, Sync, UNWRITABLE};
use crate::model::{Anchor, Identity, Place};

/// "tljl", the application id in the database's header.
const APPLICATION_ID: i32 = 0x746c_6a6c;

/// Incompatible format features that this version knows: none so far.
const FEATURES_KNOWN: i64 = 0;

/// The first SQLite version without the bug that loses committed pages when two connections checkpoint.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// How long a statement waits inside SQLite. Callers repeat it, so that they can announce, limit and cancel the wait.
const BUSY_SLICE: Duration = Duration::from_millis(20);

/// The largest number of a row: 2^62, so that there is always room for later numbers.
macro_rules! number_max {
    () => {
        "4611686018427387904"
    };
}
pub(super) use number_max;

/// How many thousand steps SQLite may use to read the schema: a schema with thousands of tables is not the journal's.
const SCHEMA_STEPS: u32 = 40;

/// Limits of SQLite that no statement of the catalog needs to exceed. `VACUUM INTO` attaches one database.
const LIMITS: [(Limit, i32); 6] = [
    (Limit::SQLITE_LIMIT_LENGTH, 256 << 20),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 256 << 10),
    (Limit::SQLITE_LIMIT_COLUMN, 200),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_ATTACHED, 1),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
];

/// An open database.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(super) conn: Connection,
    /// The opener's root, under which its places are recorded.
    pub(super) root: Option<Identity>,
    /// The row of the root, cached once it exists: another process may insert it at any time.
    pub(super) root_row: Cell<Option<i64>>,
    sync: Option<Sync>,
    /// The statements that repair the schema before the database is used for work.
    mends: Vec<String>,
}

impl Catalog {
    /// Opens an existing, possibly empty, database for reading and writing. Nothing is created, because no lock is
    /// held here.
    ///
    /// The file is only read, so that a newer format stays byte-identical. `path` must not contain links.
    pub(crate) fn open(path: &Utf8Path) -> Result<Self, CatalogError> {
        Ok(Self::open_and(path, |_| Ok(()))?.0)
    }

    /// The same, and reads something in the snapshot in which the schema was checked.
    pub(crate) fn open_and<T>(
        path: &Utf8Path,
        read: impl FnOnce(&mut Self) -> Result<T, CatalogError>,
    ) -> Result<(Self, T), CatalogError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut catalog = Self::connect(path.as_str(), flags)?;
        // A file that the system keeps from being written is no damage.
        let is_refused = catalog.is_read_only()?;
        catalog.conn.execute_batch("BEGIN")?;
        catalog.check_format("incompat | compat_read")?;
        if !is_refused {
            catalog.check_writable()?;
        }
        let done = read(&mut catalog)?;
        catalog.conn.execute_batch("COMMIT")?;
        Ok((catalog, done))
    }

    /// Refuses a database that SQLite has opened for writing and does not write, because its header names a format of
    /// a newer SQLite. The schema has been read.
    pub(crate) fn check_writable(&self) -> Result<(), CatalogError> {
        match self.is_read_only()? {
            true => Err(CatalogError::Corrupt(UNWRITABLE.to_owned())),
            false => Ok(()),
        }
    }

    /// Whether SQLite opens the database at this path for writing and then refuses to write it. SQLite itself is asked,
    /// because a file that this process opens and closes by hand loses the locks of its other connections.
    pub(crate) fn is_unwritable(path: &Utf8Path) -> bool {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let refuses = || {
            let catalog = Self::connect(path.as_str(), flags)?;
            let is_refused = catalog.is_read_only()?;
            catalog.first_read(|| schema::objects(&catalog.conn))?;
            Ok::<_, CatalogError>(!is_refused && catalog.is_read_only()?)
        };
        refuses().unwrap_or(false)
    }

    fn is_read_only(&self) -> Result<bool, CatalogError> {
        Ok(self.conn.is_readonly("main")?)
    }

    /// Opens a database for inspection; `immutable` promises that no process writes it.
    pub(crate) fn open_read_only(path: &Utf8Path, immutable: bool) -> Result<Self, CatalogError> {
        let escaped = path
            .as_str()
            .replace('%', "%25")
            .replace('?', "%3f")
            .replace('#', "%23");
        let tail = if immutable { "?immutable=1" } else { "" };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut catalog = Self::connect(&format!("file:{escaped}{tail}"), flags)?;
        catalog.check_format("incompat")?;
        if let Some(mend) = catalog.mends.first() {
            return Err(CatalogError::Schema(format!("it lacks `{mend}`")));
        }
        match catalog.schema_version()? {
            0 => Err(CatalogError::Corrupt(EMPTY.to_owned())),
            _ => Ok(catalog),
        }
    }

    /// Opens a private copy of a database for reading, and repairs its schema.
    pub(crate) fn open_copy(path: &Utf8Path) -> Result<Self, CatalogError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut catalog = Self::connect(path.as_str(), flags)?;
        catalog.check_format("incompat")?;
        catalog.mend()?;
        match catalog.schema_version()? {
            0 => Err(CatalogError::Corrupt(EMPTY.to_owned())),
            _ => Ok(catalog),
        }
    }

    /// The repairs that the schema needs, or that were made in a copy.
    pub(crate) fn mends(&self) -> &[String] {
        &self.mends
    }

    /// Opens a private copy of a database to salvage its readable rows, whatever its schema.
    pub(crate) fn open_to_salvage(path: &Utf8Path) -> Result<Self, CatalogError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let catalog = Self::connect(path.as_str(), flags)?;
        // An object that cannot be parsed must not hide the tables.
        let lenient = DbConfig::SQLITE_DBCONFIG_DEFENSIVE;
        catalog.conn.set_db_config(lenient, false)?;
        catalog.conn.execute_batch("PRAGMA writable_schema = ON")?;
        catalog.first_read(|| catalog.schema_version())?;
        Ok(catalog)
    }

    fn connect(path: &str, flags: OpenFlags) -> Result<Self, CatalogError> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            return Err(CatalogError::OldLibrary(rusqlite::version().to_owned()));
        }
        let opening = |source| match CatalogError::from(source) {
            CatalogError::Sql { source, .. } => CatalogError::Sql {
                verb: "open",
                source,
            },
            error => error,
        };
        let conn = Connection::open_with_flags(path, flags).map_err(opening)?;
        conn.busy_timeout(BUSY_SLICE)?;
        for (limit, most) in LIMITS {
            conn.set_limit(limit, most)?;
        }
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        conn.execute_batch(
            "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;
             PRAGMA cell_size_check = ON;",
        )?;
        conn.set_prepared_statement_cache_capacity(64);
        Ok(Self {
            conn,
            root: None,
            root_row: Cell::new(None),
            sync: None,
            mends: Vec::new(),
        })
    }

    /// Reads the schema for the first time, which makes SQLite parse all of it, within limits.
    fn first_read<T>(
        &self,
        read: impl FnOnce() -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let mut left = SCHEMA_STEPS;
        let exhausted = move || {
            left -= 1;
            left == 0
        };
        self.conn.progress_handler(1000, Some(exhausted))?;
        let read = read();
        self.conn.progress_handler(0, None::<fn() -> bool>)?;
        // The statements are the same for every database: what SQLite does not understand is the database.
        read.map_err(|error| match error {
            CatalogError::Sql { source, .. }
                if source.sqlite_error_code() == Some(ErrorCode::Unknown) =>
            {
                CatalogError::Corrupt(source.to_string())
            }
            error => error,
        })
    }

    /// Refuses a database of another program, one with incompatible features of a newer version, and one with an
    /// unknown schema. The text of the schema is checked before any row is read: a view may never end, a trigger may
    /// do anything, and a computed column may have any size.
    fn check_format(&mut self, features: &str) -> Result<(), CatalogError> {
        // The version first: that needs no schema, and so opens the snapshot that the schema is read in.
        let version = self.schema_version()?;
        let objects = self.first_read(|| schema::objects(&self.conn))?;
        let pragma = |name| {
            self.conn
                .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
        };
        let is_marked = pragma("application_id")? == APPLICATION_ID;
        let standing = schema::standing(&objects, version)?;
        if standing == Standing::Empty {
            return match version {
                0 => Ok(()),
                _ => Err(CatalogError::Schema("it has no tables".to_owned())),
            };
        }
        if standing == Standing::Foreign && !is_marked {
            return Err(CatalogError::Foreign);
        }
        if schema::has_features(&objects) {
            let features = format!("SELECT {features} FROM home");
            let bits = self
                .conn
                .query_row(&features, [], |row| row.get::<_, i64>(0));
            let bits = bits.optional()?.unwrap_or(0) & !FEATURES_KNOWN;
            if bits != 0 {
                return Err(CatalogError::Newer { features: bits });
            }
        }
        match standing {
            Standing::Ours(mends) => self.mends = mends,
            Standing::Damaged(why) => return Err(CatalogError::Schema(why)),
            _ => {
                return Err(CatalogError::Schema(
                    "none of its tables is known".to_owned(),
                ));
            }
        }
        if !is_marked {
            let mark = format!("PRAGMA application_id = {APPLICATION_ID}");
            self.mends.push(mark);
        }
        let encoding: String = self
            .conn
            .pragma_query_value(None, "encoding", |row| row.get(0))?;
        match encoding == "UTF-8" {
            true => Ok(()),
            // Paths are compared as UTF-8 bytes.
            false => Err(CatalogError::Schema(format!(
                "its text encoding is {encoding}"
            ))),
        }
    }

    /// The number of migrations applied. A database opened for inspection is never migrated.
    pub(super) fn schema_version(&self) -> Result<i64, CatalogError> {
        Ok(self
            .conn
            .pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    /// Whether the database must be changed before it is used: it lacks migrations or an index, or another program
    /// has changed the schema.
    pub(crate) fn needs_migration(&self) -> Result<bool, CatalogError> {
        Ok(self.is_older()? || !self.mends.is_empty())
    }

    /// Whether it lacks migrations.
    pub(crate) fn is_older(&self) -> Result<bool, CatalogError> {
        Ok(self.schema_version()? < schema::MIGRATIONS.len() as i64)
    }

    /// The same for use by a journal opened for work, which also needs WAL mode.
    pub(crate) fn is_ready(&self) -> Result<bool, CatalogError> {
        Ok(!self.needs_migration()? && self.journal_mode()? == "wal")
    }

    fn journal_mode(&self) -> Result<String, CatalogError> {
        let mode = |row: &rusqlite::Row<'_>| row.get(0);
        Ok(self.conn.pragma_query_value(None, "journal_mode", mode)?)
    }

    /// Migrates the schema. The caller holds `lock/commit` and `lock/db` and has opened the database under them.
    /// Returns the repairs made.
    pub(crate) fn migrate(&mut self) -> Result<Vec<String>, CatalogError> {
        // An earlier process may have been killed after the switch to WAL; with other connections open WAL mode
        // cannot be left.
        if self.journal_mode()? != "wal" {
            // In this mode no journal file is created: the switch changes one page.
            self.conn.pragma_update(None, "journal_mode", "MEMORY")?;
            self.conn.pragma_update(None, "journal_mode", "WAL")?;
            if self.journal_mode()? != "wal" {
                return Err(CatalogError::Busy);
            }
        }
        if !self.needs_migration()? {
            return Ok(Vec::new());
        }
        self.conn.pragma_update(None, "synchronous", "FULL")?;
        self.mend()?;
        let mends = std::mem::take(&mut self.mends);
        self.conn
            .pragma_update(None, "application_id", APPLICATION_ID)?;
        if !self.is_older()? {
            return Ok(mends);
        }
        let migrations = Migrations::new(schema::MIGRATIONS.map(M::up).to_vec());
        migrations
            .to_latest(&mut self.conn)
            .map_err(|error| match error {
                rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
                other => CatalogError::Corrupt(other.to_string()),
            })?;
        Ok(mends)
    }

    fn mend(&self) -> Result<(), CatalogError> {
        if self.mends.is_empty() {
            return Ok(());
        }
        let all = format!("BEGIN IMMEDIATE; {}; COMMIT", self.mends.join(";"));
        Ok(self.conn.execute_batch(&all)?)
    }

    /// Refuses numbers that leave no room for later ones. Each is read from the end of an index.
    pub(crate) fn check_numbers(&self) -> Result<(), CatalogError> {
        let most = number_max!();
        let bounds = ["run.id", "txn.id", "event.id", "root.id", "txn.commit_no"].map(|column| {
            let table = column.split('.').next().unwrap_or_default();
            format!(
                "(SELECT min({column}) FROM {table}) < 1 OR (SELECT max({column}) FROM {table}) > {most}"
            )
        });
        let sql = format!("SELECT coalesce({}, 0)", bounds.join(" OR "));
        match self.conn.query_row(&sql, [], |row| row.get(0))? {
            false => Ok(()),
            true => Err(CatalogError::Corrupt(
                "its numbers are out of range".to_owned(),
            )),
        }
    }

    /// Runs `act` as one SQLite transaction. The caller holds `lock/db`.
    ///
    /// # Errors
    /// [`CatalogError::Busy`] before anything was done, while another program holds SQLite's own lock.
    pub(crate) fn write<T, E: From<CatalogError>>(
        &mut self,
        sync: Sync,
        act: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.sync != Some(sync) {
            let level = match sync {
                Sync::Full => "PRAGMA synchronous = FULL",
                Sync::Normal => "PRAGMA synchronous = NORMAL",
            };
            self.conn.execute_batch(level).map_err(CatalogError::from)?;
            self.sync = Some(sync);
        }
        let begun =
            rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate);
        let txn = begun.map_err(CatalogError::from)?;
        let done = act(self)?;
        txn.commit().map_err(CatalogError::from)?;
        Ok(done)
    }

    /// A number that changes whenever another connection commits.
    pub(crate) fn data_version(&self) -> Result<i64, CatalogError> {
        let mut statement = self.conn.prepare_cached("PRAGMA data_version")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Checkpoints the whole write-ahead log into the database if no other connection prevents it, so that the one
    /// file is complete. Returns whether it did.
    pub(crate) fn checkpoint(&self) -> Result<bool, CatalogError> {
        self.conn.busy_timeout(Duration::ZERO)?;
        let busy = self
            .conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
        self.conn.busy_timeout(BUSY_SLICE)?;
        Ok(busy? == 0)
    }

    /// The value of the `root` column for a place.
    pub(super) fn root_of(&self, place: &Place) -> Result<i64, CatalogError> {
        match place.anchor {
            Anchor::Home => Ok(HOME),
            Anchor::Root => self.own_root(),
        }
    }
}
