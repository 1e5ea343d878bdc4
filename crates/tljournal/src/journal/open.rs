use std::ops::ControlFlow;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use super::inspect::Inspection;
use super::work::Journal;
use crate::catalog::{Catalog, CatalogError, HomeRow};
use crate::disk::{Disk, Features};
use crate::engine::{Engine, Store};
use crate::error::{Damage, Error};
use crate::fsck::{self, Finding, FsckOptions, FsckReport};
use crate::home::{self, Home, txn_path};
use crate::kept;
use crate::lineage::Lineage;
use crate::lock::{self, Held, Mode, Runs, Wait};
use crate::model::{EventKind, Identity, KeyMaterial, RelPath, Retention, Stat, TxnId};
use crate::recovery::{self, Recovery};

/// How often opening is tried when the database turns out damaged, or others are mending it.
const OPEN_TRIES: u32 = 8;

/// How a journal is opened.
#[derive(Debug, Clone)]
#[must_use = "options open nothing by themselves"]
pub struct Options {
    root: Utf8PathBuf,
    home: Utf8PathBuf,
    territory: Vec<RelPath>,
    lock_wait: Option<Duration>,
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
            retention: Retention::default(),
            key_material: KeyMaterial::default(),
            disk: Disk::default(),
        }
    }

    /// Keeps the journal's own files in this directory; relative to the root.
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

    /// Gives up after waiting this long for the commit lock. Without it waiting has no limit.
    pub fn lock_wait(mut self, limit: Duration) -> Self {
        self.lock_wait = Some(limit);
        self
    }

    /// Keeps so much of what is not needed any more. Without it [`Retention::default`].
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Never keeps what is at these paths. Without it [`KeyMaterial::default`].
    pub fn key_material(mut self, paths: KeyMaterial) -> Self {
        self.key_material = paths;
        self
    }

    /// Goes to the filesystem this way: for tests of crashes and faults.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// Opens for work: makes what is missing, recovers what dead runs left.
    ///
    /// A database that cannot be used is set aside as evidence and a new one begun. One that was copied
    /// or moved here is taken over without redoing anything.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a filesystem or a format that cannot be used, which is left as it is;
    /// [`Error::Damaged`] when something was planted where the journal's files belong;
    /// [`Error::Disk`], [`Error::Catalog`], [`Error::Lock`] as the system says.
    pub fn work(self) -> Result<Journal, Error> {
        let span = tracing::debug_span!("open", root = %self.root, home = %self.home);
        let _in_span = span.enter();
        let (mut set_aside, mut last) = (None, None);
        for _ in 0..OPEN_TRIES {
            let home = match self.open_home() {
                // Somebody may have removed it at that moment; if not, it fails again.
                Err(Error::Disk(error)) if error.is(Errno::NOENT) => {
                    last = Some(error.into());
                    continue;
                }
                opened => opened?,
            };
            let seen = home.check_database_files()?.map(|stat| stat.identity);
            let held = home.clone();
            match self.open_engine(home) {
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
                // Somebody else was mending the database at that moment, or took everything away.
                Err(error @ Error::Replaced { .. }) => last = Some(error),
                Err(error) if held.check_in_place().is_err() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        let path = self.home.to_string();
        Err(last.unwrap_or(Error::Replaced { path }))
    }

    /// Opens to look only: nothing is recovered, created or written.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no journal; [`Error::Damaged`] when the database cannot be read.
    pub fn inspect(self) -> Result<Inspection, Error> {
        let (root, home) = self.paths()?;
        Inspection::open(&root, &home, &self.disk, self.key_material)
    }

    /// Checks a journal as [`Inspection::fsck`] does; that its database cannot be opened is a finding too.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no journal; as the system says when it cannot be looked at at all.
    pub fn fsck(
        self,
        options: &FsckOptions,
        told: &mut dyn FnMut(Finding) -> ControlFlow<()>,
    ) -> Result<FsckReport, Error> {
        let (root, home) = self.paths()?;
        match Inspection::open(&root, &home, &self.disk, self.key_material) {
            Ok(inspection) => Ok(inspection.fsck(options, told)),
            Err(error) => fsck::tell_unopened(error, (&root, &home), told),
        }
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

    fn open_engine(&self, home: Home) -> Result<(Engine, Recovery), Error> {
        if let Some(found) = home.check_database_files()? {
            Self::refuse_damaged(&home, found.identity)?;
            self.remove_foreign_journal(&home)?;
        }
        let acting = home.act_for_database()?;
        let store = match self.open_ready(&home)? {
            Some(store) => store,
            None => self.make_ready(&home)?,
        };
        drop(acting);
        let files = home.database_files()?;
        if files.database != store.database {
            let path = home.dir.path().to_string();
            return Err(Error::Replaced { path });
        }
        let runs = Runs::open(&home.locks)?;
        let engine = Engine::new(
            home,
            runs,
            store,
            files,
            self.lock_wait,
            (
                self.retention.clone(),
                self.key_material.clone(),
                Lineage::of_this_process()?,
            ),
        );
        engine.home.keep_reserve();
        self.remove_stale_rebuilt(&engine.home)?;
        engine.know_leftovers()?;
        let recovery = recovery::recover(&engine)?;
        Ok((engine, recovery))
    }

    /// Takes the commit lock of a home that is still the one at its path.
    pub(super) fn commit_lock(&self, home: &Home, purpose: &str) -> Result<Held, Error> {
        let wait = Wait {
            limit: self.lock_wait,
            // Nothing can be recorded yet.
            ..Wait::default()
        };
        let held = lock::acquire(&home.locks, "commit", Mode::Exclusive, purpose, wait);
        home.check_in_place()?;
        let held = held?;
        home.fence_lock(held.file())?;
        Ok(held)
    }

    /// Sets a rollback journal aside that lies beside the database: ours leaves none, and SQLite would
    /// replay it.
    fn remove_foreign_journal(&self, home: &Home) -> Result<(), Error> {
        if !home.has_foreign_journal()? {
            return Ok(());
        }
        let _lock = self.commit_lock(home, "open")?;
        home.set_foreign_journal_aside()
    }

    /// Refuses a database that some statement found damaged.
    fn refuse_damaged(home: &Home, found: Identity) -> Result<(), Error> {
        match home.is_marked_damaged(found)? {
            true => Err(CatalogError::Corrupt("a statement found it damaged".to_owned()).into()),
            false => Ok(()),
        }
    }

    /// Opens a database that needs nothing done to it; `None` if it does.
    fn open_ready(&self, home: &Home) -> Result<Option<Store>, Error> {
        let before = match home.check_database_files()? {
            Some(stat) if stat.size > 0 => stat,
            _ => return Ok(None),
        };
        let store = open_store(home, &before)?;
        let ready = !store.catalog.needs_migration()?
            && store
                .catalog
                .home()?
                .is_some_and(|row| row.identity == home.home_stat.identity);
        Ok(ready.then_some(store))
    }

    /// Makes, migrates or takes over a database, under the commit lock: whoever comes second finds it
    /// done.
    fn make_ready(&self, home: &Home) -> Result<Store, Error> {
        home.try_locks()?;
        let _lock = self.commit_lock(home, "open")?;
        if let Some(store) = self.open_ready(home)? {
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
                    "the database was gone; a new one is begun, and `tljournal fsck --rebuild --force --tree PATH` takes into it what stands at a path"
                );
            }
            home.forget_damage()?;
            // The rows that would tell what these are went with the database: they are evidence.
            self.set_staging_aside(home, "unaccounted", &[])?;
            home.prepare_companions()?;
        }
        let database = home.ensure_database()?;
        let mut store = open_store(home, &database)?;
        let failed = |errno| crate::disk::DiskError::new("lock", "lock/db", errno);
        lock::wait_exclusive(&store.lock).map_err(failed)?;
        store.catalog.migrate()?;
        let row = HomeRow {
            identity: home.home_stat.identity,
            features,
        };
        let moved = store
            .catalog
            .home()?
            .is_some_and(|known| known.identity != row.identity);
        if is_new {
            home.sync_layout()?;
        }
        store.catalog.write(crate::catalog::Sync::Full, |catalog| {
            if moved {
                tracing::warn!(
                    "the database was copied or moved here; nothing it says is taken on trust"
                );
                catalog.strand_unfinished()?;
                catalog.distrust_all()?;
            }
            for promise in weaker_promises(features) {
                tracing::warn!(home = %home.dir.path(), "{promise}");
                catalog.put_event((None, None), &EventKind::WeakerPromise, None, promise)?;
            }
            catalog.set_home(row)
        })?;
        if is_new {
            // The one file alone says whose it is from the beginning.
            store.catalog.checkpoint()?;
            let _synced = home.dir.sync()?;
        }
        lock::unlock(&store.lock).map_err(failed)?;
        if moved {
            self.set_staging_aside(home, "stranded", &store.catalog.kept_txns()?)?;
        }
        Ok(store)
    }

    /// Sets the directories of all transactions but these aside, as one thing, without the keys in them. What cannot
    /// be moved stays, and is noted.
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
                    home.set_aside_within(&group, &home.txns, &name, &RelPath::new(&name)?)?;
                }
                Ok(())
            };
            let at = (&home.txns, name.as_ref());
            home.leftovers.attempt(&txn_path(id), at, clear)?;
        }
        Ok(())
    }

    /// Sets a database aside that cannot be used, so that a new one can be begun; unless somebody else
    /// did that since it was `seen`.
    pub(super) fn set_database_aside(
        &self,
        seen: Option<Identity>,
        why: &CatalogError,
    ) -> Result<Option<String>, Error> {
        let home = self.open_home()?;
        let _lock = self.commit_lock(&home, "set a damaged database aside")?;
        Self::set_aside_locked(&home, seen, why)
    }

    /// The same for who holds the commit lock.
    pub(super) fn set_aside_locked(
        home: &Home,
        seen: Option<Identity>,
        why: &CatalogError,
    ) -> Result<Option<String>, Error> {
        let lock = home.locks.open_lock_file("db")?;
        let failed = |errno| crate::disk::DiskError::new("lock", "lock/db", errno);
        lock::wait_exclusive(&lock).map_err(failed)?;
        let found = home.check_database_files()?.map(|stat| stat.identity);
        let Some(damaged) = found.filter(|_| found == seen) else {
            return Ok(None);
        };
        // The mark says that the rest has to follow, should this be cut short: without its log a
        // database is an older one.
        home.mark_damaged(damaged)?;
        let _synced = home.state.sync()?;
        let kept = home.set_database_aside()?;
        let _synced = home.dir.sync()?;
        home.forget_damage()?;
        tracing::warn!(kept, why = %why, "the database was set aside and a new one is begun");
        Ok(Some(kept))
    }
}

/// What is promised less in a home than elsewhere, because its filesystem cannot do it.
fn weaker_promises(features: Features) -> impl Iterator<Item = &'static str> {
    let exchange = "the filesystem cannot exchange two entries: what is replaced is missing for an \
                    instant, for whoever does not take the shared lock";
    let birth_times = "the filesystem keeps no birth times: a directory is told from another one by its \
                       inode number alone, which may be handed out again";
    let missing = [
        (features.exchange, exchange),
        (features.birth_times, birth_times),
    ];
    missing
        .into_iter()
        .filter(|(there, _)| !there)
        .map(|(_, promise)| promise)
}

/// Opens the database by the real path of the held home, and makes sure that it is the file that was
/// looked at.
fn open_store(home: &Home, expected: &Stat) -> Result<Store, Error> {
    let lock = home.locks.open_lock_file("db")?;
    let opened = Catalog::open(&home.database_path()?);
    // Whatever came of it, it says something of this database only if it still is the one.
    match home.check_database_files()? {
        Some(now) if now.identity == expected.identity => {
            let mut catalog = opened?;
            catalog.set_root(home.root_stat.identity);
            let database = now.identity;
            Ok(Store {
                catalog,
                lock,
                database,
            })
        }
        _ => Err(Error::Replaced {
            path: Utf8Path::new(home.dir.path()).to_string(),
        }),
    }
}
