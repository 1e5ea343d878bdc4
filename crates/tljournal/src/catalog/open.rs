use std::cell::Cell;
use std::time::Duration;

use camino::Utf8Path;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::codec::HOME;
use super::{CatalogError, EMPTY, Sync};
use crate::model::{Anchor, Identity, Place};

/// The migrations, oldest first; append only.
const MIGRATIONS: &[M<'_>] = &[
    M::up(include_str!("../../../../migrations/0001_catalog.sql")),
    M::up(include_str!(
        "../../../../migrations/0002_runs_and_vouchers.sql"
    )),
    M::up(include_str!("../../../../migrations/0003_history.sql")),
    M::up(include_str!("../../../../migrations/0004_facts.sql")),
    M::up(include_str!("../../../../migrations/0005_leftovers.sql")),
];

/// "tljl", which says whose database it is.
const APPLICATION_ID: i32 = 0x746c_6a6c;

/// Format features of this version that an older one must refuse, at all or for writing: none so far.
const FEATURES_KNOWN: i64 = 0;

/// The first SQLite without the bug that loses committed pages when two connections checkpoint.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Writers queue on `lock/db`; this only has to outlast a checkpoint or a copy of the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// An open database.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(super) conn: Connection,
    /// The opener's root, which its places are recorded under.
    pub(super) root: Option<Identity>,
    /// Its row, once it is known to have one: another process may make it at any time.
    pub(super) root_row: Cell<Option<i64>>,
    sync: Option<Sync>,
}

impl Catalog {
    /// Opens a database for reading and writing. It is there, be it empty: nothing is created here, where
    /// nobody holds a lock.
    ///
    /// What is there is only read, so that a newer format is left byte-identical. `path` must lead
    /// through no link.
    pub(crate) fn open(path: &Utf8Path) -> Result<Self, CatalogError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let catalog = Self::connect(path.as_str(), flags)?;
        catalog.check_format("incompat | compat_read")?;
        Ok(catalog)
    }

    /// Opens a database to look at it; `immutable` promises that nobody writes it.
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
        let catalog = Self::connect(&format!("file:{escaped}{tail}"), flags)?;
        catalog.check_format("incompat")?;
        match catalog.schema_version()? {
            0 => Err(CatalogError::Corrupt(EMPTY.to_owned())),
            _ => Ok(catalog),
        }
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
        conn.busy_timeout(BUSY_TIMEOUT)?;
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
        })
    }

    /// Refuses what belongs to another program, or has features of a newer version in these columns.
    fn check_format(&self, features: &str) -> Result<(), CatalogError> {
        let pragma = |name| {
            self.conn
                .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
        };
        let empty = self.schema_version()? == 0 && {
            let tables = "SELECT count(*) FROM sqlite_schema";
            self.conn
                .query_row(tables, [], |row| row.get::<_, i64>(0))?
                == 0
        };
        if empty {
            return Ok(());
        }
        if pragma("application_id")? != APPLICATION_ID {
            return Err(CatalogError::Foreign);
        }
        // A view may never come to its end, and a trigger may do anything: ours has neither. What a newer
        // version has is for its features to say, so that they are read first where that can be done.
        let (home, all) = self.conn.query_row(
            "SELECT count(*) FILTER (WHERE lower(name) = 'home'), count(*) FROM sqlite_schema
             WHERE rootpage = 0 OR rootpage IS NULL",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )?;
        let active = || CatalogError::Corrupt("its schema holds more than tables".to_owned());
        if home > 0 {
            return Err(active());
        }
        let features = format!("SELECT {features} FROM home");
        match self
            .conn
            .query_row(&features, [], |row| row.get::<_, i64>(0))
        {
            Ok(bits) if bits & !FEATURES_KNOWN != 0 => Err(CatalogError::Newer {
                features: bits & !FEATURES_KNOWN,
            }),
            Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) if all > 0 => Err(active()),
            Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// How many migrations the database has seen: one that is only looked at is never migrated.
    pub(super) fn schema_version(&self) -> Result<i64, CatalogError> {
        Ok(self
            .conn
            .pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    /// Whether this version has migrations that the database has not seen.
    pub(crate) fn needs_migration(&self) -> Result<bool, CatalogError> {
        Ok(self.schema_version()? < MIGRATIONS.len() as i64)
    }

    /// Brings the schema up to date. The caller holds `lock/commit` and `lock/db`; the version is
    /// checked again under them.
    pub(crate) fn migrate(&mut self) -> Result<(), CatalogError> {
        if !self.needs_migration()? {
            return Ok(());
        }
        let mode: String = self
            .conn
            .pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        // Whoever began this may have died over it; others are connected, and WAL cannot be left then.
        if mode != "wal" {
            // On the way there nothing is to lie beside the database: a rollback journal is never ours.
            self.conn.pragma_update(None, "journal_mode", "MEMORY")?;
            self.conn.pragma_update(None, "journal_mode", "WAL")?;
        }
        self.conn.pragma_update(None, "synchronous", "FULL")?;
        self.conn
            .pragma_update(None, "application_id", APPLICATION_ID)?;
        Migrations::from_slice(MIGRATIONS)
            .to_latest(&mut self.conn)
            .map_err(|error| match error {
                rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
                other => CatalogError::Corrupt(other.to_string()),
            })
    }

    /// Runs `act` as one SQLite transaction. The caller holds `lock/db`.
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

    /// Changes whenever another connection commits.
    pub(crate) fn data_version(&self) -> Result<i64, CatalogError> {
        let mut statement = self.conn.prepare_cached("PRAGMA data_version")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Moves the whole write-ahead log into the database, if nobody is in the way, so that the one file
    /// tells everything. Says whether it did.
    pub(crate) fn checkpoint(&self) -> Result<bool, CatalogError> {
        self.conn.busy_timeout(Duration::ZERO)?;
        let busy = self
            .conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
        self.conn.busy_timeout(BUSY_TIMEOUT)?;
        Ok(busy? == 0)
    }

    /// The `root` column of a place.
    pub(super) fn root_of(&self, place: &Place) -> Result<i64, CatalogError> {
        match place.anchor {
            Anchor::Home => Ok(HOME),
            Anchor::Root => self.own_root(),
        }
    }
}
