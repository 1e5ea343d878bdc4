//! One opened journal: its directories, its database, its locks and its run, and the two things that
//! every room above needs of them together: to record something, and to look something up.

mod around;
mod failure;
mod holds;
mod leftovers;
mod live_run;
mod own;
mod rings;
mod waits;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holds::Holds;
use live_run::LiveRun;

pub(crate) use holds::NotedHold;
pub(crate) use own::OwnHold;
pub(crate) use waits::{NotedWait, sqlite_turn};

use crate::ambient::{self, Maker, ProcessFacts};
use crate::catalog::{Catalog, CatalogError, Sync};
use crate::disk::DiskError;
use crate::error::{Conflict, ConflictKind, Damage, Error, UsageError};
use crate::home::{DatabaseFiles, Home};
use crate::kept;
use crate::lineage::{Lineage, Thing};
use crate::lock::{self, DbLock, GivesUp, Held, Mode, Runs};
use crate::model::{Digest, KeyMaterial, Manifest, Retention, RunId};

/// A journal that is open for work.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) home: Home,
    pub(crate) runs: Runs,
    /// Which inodes `.state.db` and its companions are.
    pub(crate) files: DatabaseFiles,
    /// How long to wait for the commit lock.
    pub(crate) lock_wait: Option<Duration>,
    /// Ends every wait before that.
    pub(crate) gives_up: GivesUp,
    /// How much is kept of what is not needed any more.
    pub(crate) retention: Retention,
    /// What is never kept.
    pub(crate) key_material: KeyMaterial,
    store: Arc<Mutex<Store>>,
    maker: Maker,
    run: Mutex<LiveRun>,
    holds: Holds,
    /// Locks held by this handle that others may wait for.
    pub(crate) held: AtomicUsize,
    failed: AtomicBool,
    /// Whether the last turn at the database did not come in time.
    gave_up: AtomicBool,
    own_writes: AtomicU64,
    /// Whether this run recorded anything that had to be durable.
    has_committed: AtomicBool,
    /// How many bytes came to be kept since it was looked how much that is altogether.
    pub(crate) kept_lately: AtomicU64,
    /// The runs around this process.
    pub(crate) lineage: Lineage,
}

/// Where the catalog stood. Two equal and quiet ones have seen nothing committed, and nothing being
/// applied, between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    data_version: i64,
    own_writes: u64,
    pub(crate) quiet: bool,
}

/// The database and the lock that every write of it queues on.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) catalog: Catalog,
    pub(crate) lock: DbLock,
    /// Which inodes the database and its companions were when it had been opened.
    pub(crate) files: DatabaseFiles,
}

/// How often an id is drawn anew when its byte is taken.
const RUN_ID_TRIES: u32 = 8;

impl Engine {
    pub(crate) fn new(
        home: Home,
        runs: Runs,
        store: Store,
        (lock_wait, gives_up): (Option<Duration>, GivesUp),
        (retention, key_material, lineage): (Retention, KeyMaterial, Lineage),
    ) -> Self {
        Self {
            home,
            runs,
            files: store.files,
            lock_wait,
            gives_up,
            retention,
            key_material,
            store: Arc::new(Mutex::new(store)),
            maker: Maker::here(),
            run: Mutex::default(),
            holds: Holds::default(),
            held: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            gave_up: AtomicBool::new(false),
            own_writes: AtomicU64::new(0),
            has_committed: AtomicBool::new(false),
            kept_lately: AtomicU64::new(0),
            lineage,
        }
    }

    /// Looks something up for whoever only reads: a row that cannot be read is theirs to tell of, or to do
    /// without, and condemns no database. Pages that cannot be read do.
    pub(crate) fn read<T>(
        &self,
        act: impl FnOnce(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        self.check_process()?;
        self.store()
            .catalog
            .snapshot(act)
            .map_err(|error| match error {
                CatalogError::Row(_) => error.into(),
                error => self.note(error),
            })
    }

    /// The manifest with this digest. One that is damaged is as good as none: whoever installs the tree again
    /// writes it again.
    pub(crate) fn known_manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Error> {
        match self.read(|catalog| catalog.manifest(digest)) {
            Err(error) if error.is_unreadable_row() => {
                tracing::warn!(%digest, %error, "a manifest is damaged");
                Ok(None)
            }
            found => found,
        }
    }

    /// Looks something up that work depends on: a database that is damaged is not worked with any more.
    pub(crate) fn look<T>(
        &self,
        act: impl FnOnce(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        self.check_process()?;
        let looked = self.store().catalog.snapshot(act);
        looked.map_err(|error| self.note(error))
    }

    /// Records something as one SQLite transaction, queued behind everybody else's. When space has run
    /// out, the reserve is given up and it is tried once more.
    pub(crate) fn record<T>(
        &self,
        sync: Sync,
        act: impl Fn(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        self.check_process()?;
        let mut store = self.store();
        let Store { catalog, lock, .. } = &mut *store;
        let _turn = self.db_turn(lock)?;
        // Whoever writes by an index that others do not share any more, overwrites what they wrote.
        self.home.check_files(self.files)?;
        let mut write = || {
            let write = || catalog.write(sync, &act).map_err(|error| self.note(error));
            sqlite_turn(&self.home, self.db_wait(), write)
        };
        let recorded = match write() {
            Err(Error::Catalog(CatalogError::Full(_))) if self.home.give_up_reserve() => write(),
            recorded => recorded,
        };
        self.own_writes.fetch_add(1, Ordering::AcqRel);
        if sync == Sync::Full {
            self.has_committed.store(true, Ordering::Release);
        }
        recorded
    }

    /// The row of this handle's run, if it has one.
    pub(crate) fn run_row(&self) -> Option<i64> {
        self.live_run().row
    }

    /// Notes where the catalog stands, to find out later whether anything was committed meanwhile.
    pub(crate) fn moment(&self) -> Result<Moment, Error> {
        Ok(self.look_at_moment(|_| Ok(()))?.0)
    }

    /// Looks something up as [`Engine::look`] does, and says which moment that is of.
    pub(crate) fn look_at_moment<T>(
        &self,
        act: impl FnOnce(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<(Moment, T), Error> {
        // The own writes are read first: one that happens in between makes the moment look old.
        let own_writes = self.own_writes.load(Ordering::Acquire);
        self.look(|catalog| {
            let quiet = catalog.unfinished()?.is_empty();
            let moment = Moment {
                data_version: catalog.data_version()?,
                own_writes,
                quiet,
            };
            Ok((moment, act(catalog)?))
        })
    }

    /// Takes the lock under which changes are checked and applied, and readers see one moment; for a
    /// transaction, if one is to be committed.
    pub(crate) fn commit_lock(
        &self,
        mode: Mode,
        purpose: &str,
        txn: Option<i64>,
    ) -> Result<Held, Error> {
        self.check_process()?;
        if self.is_reading() {
            let kind = ConflictKind::WouldDeadlock;
            return Err(Conflict::at("lock/commit", kind).into());
        }
        let what = ("lock/commit", purpose);
        let how = (txn, self.lock_wait);
        let held = self.waiting(&Thing::Moment, what, how, |wait| {
            lock::acquire(&self.home.locks, "commit", mode, purpose, wait)
        });
        let held = held.map_err(|error| self.explain(error))?;
        self.home.fence(held.file(), self.files)?;
        Ok(held)
    }

    /// The id of this handle's run, alive from now on.
    pub(crate) fn run_id(&self) -> Result<RunId, Error> {
        let mut run = self.live_run();
        if let Some((id, _)) = &run.entered {
            return Ok(*id);
        }
        for _ in 0..RUN_ID_TRIES {
            let id = ambient::fresh_run_id();
            if let Some(byte) = self.runs.enter(id)? {
                run.entered = Some((id, byte));
                return Ok(id);
            }
        }
        Err(DiskError::new("find a free byte in", "lock/runs", rustix::io::Errno::AGAIN).into())
    }

    /// Ends the life of this handle's run; its end is recorded by [`Engine::finish_run`]. What is done with
    /// the handle from now on is another run.
    pub(crate) fn leave_run(&self) {
        self.live_run().leave();
    }

    /// What keeps this handle's run alive, if it has begun, for whoever is to inherit it.
    pub(crate) fn with_run_file<T>(&self, act: impl FnOnce(Option<BorrowedFd<'_>>) -> T) -> T {
        let run = self.live_run();
        act(run.entered.as_ref().map(|(_, byte)| byte.file().as_fd()))
    }

    /// Records something together with the row of this handle's run, which is made if it is the first, and
    /// with what the run holds, if that is not recorded yet.
    pub(crate) fn record_in_run<T>(
        &self,
        sync: Sync,
        act: impl Fn(&Catalog, i64) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        let id = self.run_id()?;
        self.ensure_root()?;
        let pending = self.holds.pending();
        let act = |catalog: &Catalog, row| {
            pending.record(catalog, row)?;
            act(catalog, row)
        };
        let mut run = self.live_run();
        let (row, done) = if let Some(row) = run.row {
            drop(run);
            (row, self.record(sync, |catalog| act(catalog, row))?)
        } else {
            let (facts, parent) = (ProcessFacts::gather(), self.parent()?);
            let (row, done) = self.record(sync, |catalog| {
                let row = catalog.insert_run(id, parent, &facts)?;
                Ok((row, act(catalog, row)?))
            })?;
            run.row = Some(row);
            (row, done)
        };
        self.holds.are_recorded(&pending, row);
        Ok(done)
    }

    /// Records what the run holds, as far as that has not been done.
    pub(crate) fn note_holds(&self) -> Result<(), Error> {
        match self.holds.pending().is_empty() {
            true => Ok(()),
            false => self.record_in_run(Sync::Normal, |_, _| Ok(())),
        }
    }

    /// Makes sure that the root has a row, once.
    fn ensure_root(&self) -> Result<(), Error> {
        if self.look(|catalog| catalog.own_root())? != 0 {
            return Ok(());
        }
        let (root, path) = (self.home.root_stat.identity, self.home.root.path().as_str());
        self.record(Sync::Normal, |catalog| catalog.ensure_root(root, path))
    }

    /// Ends the run, if it changed anything: records how, and if it committed moves the log into the database,
    /// should nobody be in the way.
    pub(crate) fn finish_run(&self, outcome: &str) -> Result<(), Error> {
        self.check_process()?;
        let rows = self.live_run().take_rows(outcome);
        if rows.is_empty() {
            return Ok(());
        }
        if let Err(error) = crate::recovery::sweep(self).and_then(|()| kept::thin(self)) {
            tracing::warn!(%error, "what is left over remains until recovery");
        }
        self.record(Sync::Normal, |catalog| {
            rows.iter()
                .try_for_each(|(row, outcome)| catalog.end_run(*row, outcome))
        })?;
        // It costs four syncs: a run that made nothing durable, and has no failure to tell, leaves its few
        // rows to the next one.
        let failed = rows.iter().any(|(_, outcome)| outcome != "ok");
        if self.has_committed.load(Ordering::Acquire) || failed {
            self.checkpoint()?;
        }
        self.live_run().entered = None;
        Ok(())
    }

    /// Moves the log into the database if nobody is in the way. Queued like a write, so that whoever
    /// copies the database sees it before or after.
    fn checkpoint(&self) -> Result<(), Error> {
        let mut store = self.store();
        let Store { catalog, lock, .. } = &mut *store;
        let turn = self.db_turn(lock)?;
        self.home.check_files(self.files)?;
        let done = catalog.checkpoint().map_err(|error| self.note(error))?;
        drop(turn);
        drop(store);
        tracing::debug!(done, "checkpoint at the end of the run");
        Ok(())
    }

    /// Says what an error comes from if the directory that this was opened for, or its database, is not
    /// there any more.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let in_place = || {
            self.home.check_in_place()?;
            self.home.check_files(self.files)
        };
        match error {
            Error::Disk(_) | Error::Catalog(_) | Error::Damaged(Damage::Catalog { .. }) => {
                match in_place() {
                    Err(replaced @ Error::Replaced { .. }) => replaced,
                    _ => error,
                }
            }
            error => error,
        }
    }

    /// Refuses every further use of this handle but reading: its database is in a state that only opening
    /// it again can tell.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Refuses a handle whose database failed, or of another process.
    pub(crate) fn check_usable(&self) -> Result<(), Error> {
        self.check_process()?;
        match self.failed.load(Ordering::Acquire) {
            true => Err(UsageError::Failed.into()),
            false => Ok(()),
        }
    }

    /// Notes that the database is damaged, where it is, so that the next opening sets it aside.
    fn note(&self, error: CatalogError) -> Error {
        let is_damage = matches!(error, CatalogError::Corrupt(_) | CatalogError::Row(_));
        if is_damage && !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the catalog is damaged");
            if let Err(error) = self.home.mark_damaged(self.files.database) {
                tracing::error!(%error, "cannot leave a note about it");
            }
        }
        error.into()
    }

    /// Whether this thread shares the commit lock already, and would wait for itself to get it again.
    pub(crate) fn is_reading(&self) -> bool {
        self.own_mode(&Thing::Moment).is_some()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live_run(&self) -> MutexGuard<'_, LiveRun> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.check_process().is_err() {
            // To close the connection is to use it.
            std::mem::forget(self.store.clone());
            return;
        }
        // Whoever drops it on the way out of a panic has not done what it was opened for.
        let outcome = match std::thread::panicking() {
            true => "panicked",
            false => "ok",
        };
        if let Err(error) = self.finish_run(outcome) {
            tracing::warn!(%error, "the end of the run is not recorded");
        }
    }
}
