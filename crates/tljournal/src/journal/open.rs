use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::io::Errno;

use super::inspect::Inspection;
use super::store::open_store;
use super::work::Journal;
use crate::catalog::{self, Catalog, CatalogError, HomeRow, RecoveryRows};
use crate::disk::{Disk, Features};
use crate::engine::{Engine, Store, sqlite_turn};
use crate::error::{Damage, Error};
use crate::fsck::{self, Finding, FsckOptions, FsckReport};
use crate::home::{self, DATABASE, Home, txn_path};
use crate::kept;
use crate::lineage::Lineage;
use crate::lock::{self, GivesUp, Held, Mode, Runs, Wait};
use crate::model::{EventKind, Identity, KeyMaterial, RelPath, Retention, Stat, TxnId};
use crate::recovery::{self, Recovery};

/// The attempts to open, while the database turns out damaged or another process repairs it.
const OPEN_TRIES: u32 = 8;

/// How to open a journal.
#[derive(Debug, Clone)]
#[must_use = "options open nothing by themselves"]
pub struct Options {
    root: Utf8PathBuf,
    home: Utf8PathBuf,
    territory: Vec<RelPath>,
    lock_wait: Option<Duration>,
    gives_up: GivesUp,
    retention: Retention,
    key_material: KeyMaterial,
    disk: Disk,
}

impl Options {
    /// For the project in this directory, with its home in `build/` below it.
    pub fn new(root: impl Into<Utf8PathBuf>) -> Self {
        Self {
            root: root.into(),
            home: Utf8PathBuf::from("build"),
            territory: Vec::new(),
            lock_wait: None,
            gives_up: GivesUp::default(),
            retention: Retention::default(),
            key_material: KeyMaterial::default(),
            disk: Disk::default(),
        }
    }

    /// Puts the journal's own files into this directory; relative to the root.
    pub fn home(mut self, home: impl Into<Utf8PathBuf>) -> Self {
        self.home = home.into();
        self
    }

    /// Allows changes at and below this path only; may be called several times. Without it everything
    /// below the root is allowed.
    pub fn territory(mut self, path: RelPath) -> Self {
        self.territory.push(path);
        self
    }

    /// Limits waits for locks, and for other programs that use the database. Without it waits are unlimited.
    pub fn lock_wait(mut self, limit: Duration) -> Self {
        self.lock_wait = Some(limit);
        self
    }

    /// Calls this several times a second during every wait; if it returns true, the wait ends as if its limit had
    /// passed.
    pub fn gives_up(mut self, asked: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.gives_up = GivesUp(Some(Arc::new(asked)));
        self
    }

    /// The limits of retained content, history and logs. Without it [`Retention::default`].
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Paths whose content is never retained. Without it [`KeyMaterial::default`].
    pub fn key_material(mut self, paths: KeyMaterial) -> Self {
        self.key_material = paths;
        self
    }

    /// The access to the filesystem, for tests of crashes and faults.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// Opens for work: creates missing files, and finishes or rolls back unfinished transactions of ended runs.
    ///
    /// An unusable database is set aside as evidence, and a new one is created. A database that was copied or moved
    /// here is taken over, without applying its unfinished transactions.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a filesystem or a format that cannot be used, which is not changed;
    /// [`Error::Damaged`] when another entry is in the place of a file of the journal;
    /// [`Error::Disk`], [`Error::Catalog`], [`Error::Lock`] for other failures.
    pub fn work(self) -> Result<Journal, Error> {
        let span = tracing::debug_span!("open", root = %self.root, home = %self.home);
        let _in_span = span.enter();
        let (mut set_aside, mut last) = (None, None);
        for _ in 0..OPEN_TRIES {
            let home = match self.open_home() {
                // Another process may have removed it at the same time; otherwise the next attempt fails too.
                Err(Error::Disk(error)) if error.is(Errno::NOENT) => {
                    last = Some(error.into());
                    continue;
                }
                opened => opened?,
            };
            let found = match home.check_database_files() {
                Err(Error::Damaged(Damage::Planted { .. })) => {
                    self.set_planted_aside()?;
                    continue;
                }
                found => found?,
            };
            let seen = found.map(|stat| stat.identity);
            let held = home.clone();
            match self.open_engine(home, found) {
                Ok((engine, mut recovery)) => {
                    recovery.database_set_aside = set_aside;
                    return Ok(Journal::new(engine, recovery));
                }
                Err(Error::Damaged(Damage::Catalog { source, .. })) => {
                    match self.set_database_aside(seen, &source) {
                        Err(error @ Error::Replaced { .. }) => last = Some(error),
                        kept => set_aside = kept?.or(set_aside),
                    }
                }
                Err(Error::Damaged(Damage::Planted { .. })) => self.set_planted_aside()?,
                // An entry in the place of a lock file, or of another small file.
                Err(Error::Disk(error)) if error.is_about_kind() && last.is_none() => {
                    self.set_planted_aside()?;
                    last = Some(error.into());
                }
                // Another process repaired the database at the same time, or removed the directory.
                Err(error @ Error::Replaced { .. }) => last = Some(error),
                Err(error) if held.check_in_place().is_err() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        let path = self.home.to_string();
        Err(last.unwrap_or(Error::Replaced { path }))
    }

    /// Opens for reading: nothing is recovered, created or written.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no journal; [`Error::Damaged`] when the database cannot be read.
    pub fn inspect(self) -> Result<Inspection, Error> {
        let (root, home) = self.paths()?;
        let wait = self.wait();
        Inspection::open(&root, &home, &self.disk, self.key_material.clone(), wait)
    }

    /// Checks a journal as [`Inspection::fsck`] does; an unusable database is a finding too.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no journal; other errors if nothing can be read.
    pub fn fsck(
        self,
        options: &FsckOptions,
        told: &mut dyn FnMut(Finding) -> ControlFlow<()>,
    ) -> Result<FsckReport, Error> {
        let (root, home) = self.paths()?;
        let wait = Wait {
            gives_up: Some(&|| options.watch.is_stopped()),
            ..Wait::within(self.lock_wait)
        };
        match Inspection::open(&root, &home, &self.disk, self.key_material, wait) {
            Ok(inspection) => Ok(inspection.fsck(options, told)),
            Err(Error::Lock(_)) if options.watch.is_stopped() => Ok(FsckReport {
                cancelled: true,
                ..FsckReport::default()
            }),
            Err(error) => fsck::tell_unopened(error, (&root, &home), told),
        }
    }

    /// The limits of a wait for a lock.
    pub(super) fn wait(&self) -> Wait<'_> {
        self.gives_up.within(self.lock_wait)
    }

    fn paths(&self) -> Result<(Utf8PathBuf, Utf8PathBuf), Error> {
        let root = crate::disk::absolute(&self.root)?;
        let home = root.join(&self.home);
        Ok((root, home))
    }

    pub(super) fn open_home(&self) -> Result<Home, Error> {
        let (root, home) = self.paths()?;
        Home::open(&root, &home, self.territory.clone(), &self.disk, true)
    }

    fn open_engine(&self, home: Home, found: Option<Stat>) -> Result<(Engine, Recovery), Error> {
        if let Some(found) = found {
            Self::refuse_damaged(&home, found.identity)?;
            self.remove_foreign_journal(&home)?;
        }
        // Before any row is read, as recovery needs it.
        let directories = home.staged_ids()?;
        let acting = home.act_for_database()?;
        let (store, rows) = match self.open_ready(&home, found)? {
            Some((store, rows)) => (store, Some(rows)),
            None => (self.make_ready(&home)?, None),
        };
        drop(acting);
        let runs = Runs::open(&home.locks)?;
        let engine = Engine::new(
            home,
            runs,
            store,
            (self.lock_wait, self.gives_up.clone()),
            (
                self.retention.clone(),
                self.key_material.clone(),
                Lineage::of_this_process()?,
            ),
        );
        engine.home.keep_reserve();
        self.remove_stale_rebuilt(&engine.home)?;
        let rows = match rows {
            Some(rows) => rows,
            None => engine.look(|catalog| catalog.recovery_rows())?,
        };
        engine.know_leftovers(&rows.leftovers);
        let recovery = recovery::recover_from(&engine, directories, &rows)?;
        Ok((engine, recovery))
    }

    /// Takes the commit lock, and checks that the home was not replaced.
    pub(super) fn commit_lock(&self, home: &Home, purpose: &str) -> Result<Held, Error> {
        // The wait is not recorded, because the database is not open.
        let wait = self.wait();
        let held = lock::acquire(&home.locks, "commit", Mode::Exclusive, purpose, wait);
        home.check_in_place()?;
        let held = held?;
        home.fence_lock(held.file())?;
        Ok(held)
    }

    /// Sets a rollback journal next to the database aside: this program leaves none, and SQLite would replay it.
    fn remove_foreign_journal(&self, home: &Home) -> Result<(), Error> {
        if !home.has_foreign_journal()? {
            return Ok(());
        }
        let _lock = self.commit_lock(home, "open")?;
        // Another program has switched the database to this mode: SQLite must replay that program's journal.
        match home.has_rollback_mode()? {
            true => Ok(()),
            false => home.set_foreign_journal_aside(),
        }
    }

    /// Refuses a database that a statement found damaged.
    fn refuse_damaged(home: &Home, found: Identity) -> Result<(), Error> {
        match home.is_marked_damaged(found)? {
            true => Err(CatalogError::Corrupt("a statement found it damaged".to_owned()).into()),
            false => Ok(()),
        }
    }

    /// Opens a database that needs no creation, migration or takeover, and reads the rows for recovery; otherwise
    /// `None`.
    fn open_ready(
        &self,
        home: &Home,
        found: Option<Stat>,
    ) -> Result<Option<(Store, RecoveryRows)>, Error> {
        let Some(found) = found.filter(|stat| stat.size > 0) else {
            return Ok(None);
        };
        let own = home.home_stat.identity;
        let read = |catalog: &Catalog| {
            if !catalog.is_ready()? {
                return Ok(None);
            }
            catalog.check_numbers()?;
            match catalog.home()? {
                Some(row) if row.identity == own => catalog.recovery_rows().map(Some),
                _ => Ok(None),
            }
        };
        let (store, rows) = open_store(home, &found, self.wait(), read)?;
        Ok(rows.map(|rows| (store, rows)))
    }

    /// Creates, migrates or takes over a database, under the commit lock; another process may have done it before.
    fn make_ready(&self, home: &Home) -> Result<Store, Error> {
        home.try_locks()?;
        let _lock = self.commit_lock(home, "open")?;
        if let Some((store, _)) = self.open_ready(home, home.check_database_files()?)? {
            return Ok(store);
        }
        let features = home.try_features()?;
        let is_new = home
            .check_database_files()?
            .is_none_or(|stat| stat.size == 0);
        if is_new {
            let is_taken = home.take_rebuilt_database()?;
            if !is_taken && home::is_used(&home.state)? {
                tracing::warn!(
                    "the database was missing; a new one is created, and `tljournal fsck --rebuild --force --tree PATH` records a tree in it"
                );
            }
            home.forget_damage()?;
            // The rows about these directories were lost with the database: they are set aside as evidence.
            self.set_staging_aside(home, "unaccounted", &[])?;
            home.prepare_companions()?;
        }
        let database = home.ensure_database()?;
        let (mut store, ()) = open_store(home, &database, self.wait(), |_| Ok(()))?;
        let wait = self.wait();
        let Store { catalog, lock, .. } = &mut store;
        let turn = lock.take(wait)?;
        let mends = sqlite_turn(&home.dir, wait, || Ok(catalog.migrate()?))?;
        catalog.check_numbers()?;
        let row = HomeRow {
            identity: home.home_stat.identity,
            features,
        };
        let moved = catalog
            .home()?
            .is_some_and(|known| known.identity != row.identity);
        if is_new {
            home.sync_layout()?;
        }
        let set = |catalog: &Catalog| {
            if moved {
                tracing::warn!(
                    "the database was copied or moved here; its signatures are not trusted"
                );
                catalog.strand_unfinished()?;
                catalog.distrust_all()?;
            }
            for mend in &mends {
                tracing::warn!(mend, "the schema of the database was repaired");
                let path = Some(DATABASE);
                catalog.put_event((None, None), &EventKind::Repaired, path, mend)?;
            }
            for promise in weaker_promises(features) {
                tracing::warn!(home = %home.dir.path(), "{promise}");
                catalog.put_event((None, None), &EventKind::WeakerPromise, None, promise)?;
            }
            catalog.set_home(row)
        };
        sqlite_turn(&home.dir, wait, || {
            Ok(catalog.write(catalog::Sync::Full, set)?)
        })?;
        if is_new {
            // After the checkpoint the database file alone identifies its home.
            catalog.checkpoint()?;
            let _synced = home.dir.sync()?;
        }
        drop(turn);
        if moved {
            self.set_staging_aside(home, "stranded", &store.catalog.kept_txns()?)?;
        }
        // A database that was switched to a write-ahead log has companions now.
        let files = home.database_files()?;
        if files.database != store.files.database {
            let path = home.dir.path().to_string();
            return Err(Error::Replaced { path });
        }
        store.files = files;
        Ok(store)
    }

    /// Sets the directories of all transactions but these aside, as one item, without the keys in them. What cannot
    /// be moved stays, and is recorded as a leftover.
    fn set_staging_aside(&self, home: &Home, why: &str, but: &[(i64, TxnId)]) -> Result<(), Error> {
        let _acting = home.act_as_owner();
        let group = home.fresh_group(why);
        for id in home.staged_ids()? {
            if but.iter().any(|(_, other)| *other == id) {
                continue;
            }
            let name = id.to_string();
            let clear = || {
                if let Some(staging) = home.claim_staging(id)? {
                    kept::remove_staged_keys(&self.key_material, &staging)?;
                    home.set_aside_within(
                        (&group, false),
                        &home.txns,
                        &name,
                        &RelPath::new(&name)?,
                    )?;
                }
                Ok(())
            };
            let at = (&home.txns, name.as_ref());
            home.leftovers.attempt(&txn_path(id), at, clear)?;
        }
        Ok(())
    }
}

/// Guarantees that are weaker in a home because of missing features of its filesystem.
fn weaker_promises(features: Features) -> impl Iterator<Item = &'static str> {
    let exchange = "the filesystem cannot exchange two entries: a replaced path is missing for an \
                    instant, except for readers with the shared lock";
    let birth_times = "the filesystem has no birth times: a directory is identified by its \
                       inode number alone, which may be reused";
    let missing = [
        (features.exchange, exchange),
        (features.birth_times, birth_times),
    ];
    missing
        .into_iter()
        .filter(|(there, _)| !there)
        .map(|(_, promise)| promise)
}
