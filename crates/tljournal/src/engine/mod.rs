//! An open journal: its directories, database, locks and run. Other modules use it to record changes and to query the
//! catalog.

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

/// A journal that is open for writing.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) home: Home,
    pub(crate) runs: Runs,
    /// The inodes of `.state.db` and its companions.
    pub(crate) files: DatabaseFiles,
    /// The limit of waits for locks and trees.
    pub(crate) lock_wait: Option<Duration>,
    /// Ends every wait early.
    pub(crate) gives_up: GivesUp,
    /// The limits of retained content, history and logs.
    pub(crate) retention: Retention,
    /// Paths whose content is never retained.
    pub(crate) key_material: KeyMaterial,
    store: Arc<Mutex<Store>>,
    maker: Maker,
    run: Mutex<LiveRun>,
    holds: Holds,
    /// Locks held by this handle that others may wait for.
    pub(crate) held: AtomicUsize,
    failed: AtomicBool,
    /// Whether the last wait for a turn at the database ended without one.
    gave_up: AtomicBool,
    own_writes: AtomicU64,
    /// Whether this run recorded anything that had to be durable.
    has_committed: AtomicBool,
    /// The bytes retained since the total was last computed.
    pub(crate) kept_lately: AtomicU64,
    /// The ancestor runs of this process.
    pub(crate) lineage: Lineage,
}

/// A state of the catalog. If two equal and quiet ones are observed, nothing was committed or applied in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    data_version: i64,
    own_writes: u64,
    pub(crate) quiet: bool,
}

/// The database, and the lock that all its writers queue for.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) catalog: Catalog,
    pub(crate) lock: DbLock,
    /// The inodes of the database and its companions when it was opened.
    pub(crate) files: DatabaseFiles,
}

/// The attempts to draw a run id whose byte is free.
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

    /// Queries the catalog for a caller that only reads: an unreadable row is an error for the caller, and does not
    /// mark the database as damaged. Unreadable pages do.
    pub(crate) fn read<T>(
        &self,
        act: impl Fn(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        self.snapshot(act, |error| match error {
            CatalogError::Row(_) => error.into(),
            error => self.note(error),
        })
    }

    /// Queries the catalog for a command that changes something: an unreadable row marks the database as damaged, so
    /// that the next open for writing sets it aside. This handle remains usable.
    pub(crate) fn ask<T>(
        &self,
        act: impl Fn(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        let answer = self.read(act);
        if let Err(error) = &answer
            && error.is_unreadable_row()
        {
            self.mark(error);
        }
        answer
    }

    /// The manifest with this digest. A damaged one counts as missing: the next installation of its tree writes it
    /// again.
    pub(crate) fn known_manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Error> {
        match self.read(|catalog| catalog.manifest(digest)) {
            Err(error) if error.is_unreadable_row() => {
                tracing::warn!(%digest, %error, "a manifest is damaged");
                Ok(None)
            }
            found => found,
        }
    }

    /// Queries the catalog for a caller that writes: an unreadable row marks the database as damaged.
    pub(crate) fn look<T>(
        &self,
        act: impl Fn(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        self.snapshot(act, |error| self.note(error))
    }

    /// Reads as of one moment, as soon as no other program holds SQLite's own locks.
    fn snapshot<T>(
        &self,
        act: impl Fn(&Catalog) -> Result<T, CatalogError>,
        failed: impl Fn(CatalogError) -> Error,
    ) -> Result<T, Error> {
        self.check_process()?;
        let store = self.store();
        let read = sqlite_turn(&self.home.dir, self.db_wait(), || {
            store.catalog.snapshot(&act).map_err(&failed)
        });
        if matches!(read, Err(Error::Lock(_))) {
            self.gave_up.store(true, Ordering::Release);
        }
        read
    }

    /// Runs a SQLite transaction, queued with all other writers. If the disk is full, the reserve is deleted and the
    /// transaction is repeated once.
    pub(crate) fn record<T>(
        &self,
        sync: Sync,
        act: impl Fn(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        self.check_process()?;
        let mut store = self.store();
        let Store { catalog, lock, .. } = &mut *store;
        let wait = self.db_wait();
        let _turn = self.note_turn(lock.take(wait).map_err(Error::from))?;
        // A writer whose index is not shared with the other processes would overwrite their writes.
        self.home.check_files(self.files)?;
        let mut write = || {
            let write = || catalog.write(sync, &act).map_err(|error| self.note(error));
            self.note_turn(sqlite_turn(&self.home.dir, wait, write))
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

    /// The present state of the catalog, to detect commits that happen later.
    pub(crate) fn moment(&self) -> Result<Moment, Error> {
        Ok(self.look_at_moment(|_| Ok(()))?.0)
    }

    /// Queries the catalog as [`Engine::look`] does, and returns the state in which it was read.
    pub(crate) fn look_at_moment<T>(
        &self,
        act: impl Fn(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<(Moment, T), Error> {
        // The own writes are read first: a write in between makes the moment outdated.
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

    /// Takes the commit lock: exclusive, to check and apply changes; shared, to read a consistent state. `txn` is the
    /// transaction to be committed.
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

    /// The id of this handle's run, which is alive from now on.
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

    /// Ends this handle's run; [`Engine::finish_run`] records the end. Further use of the handle is a new run.
    pub(crate) fn leave_run(&self) {
        self.live_run().leave();
    }

    /// Passes the file whose lock keeps this handle's run alive, to be inherited by a child.
    pub(crate) fn with_run_file<T>(&self, act: impl FnOnce(Option<BorrowedFd<'_>>) -> T) -> T {
        let run = self.live_run();
        act(run.entered.as_ref().map(|(_, byte)| byte.file().as_fd()))
    }

    /// Records something together with the row of this handle's run, which is created if it is missing, and with the
    /// unrecorded holds of the run.
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

    /// Records the holds of the run that are not recorded yet.
    pub(crate) fn note_holds(&self) -> Result<(), Error> {
        match self.holds.pending().is_empty() {
            true => Ok(()),
            false => self.record_in_run(Sync::Normal, |_, _| Ok(())),
        }
    }

    /// Creates the row of the root if it is missing.
    fn ensure_root(&self) -> Result<(), Error> {
        if self.look(|catalog| catalog.own_root())? != 0 {
            return Ok(());
        }
        let (root, path) = (self.home.root_stat.identity, self.home.root.path().as_str());
        self.record(Sync::Normal, |catalog| catalog.ensure_root(root, path))
    }

    /// Ends the run, if it changed anything: records its outcome, and if it committed, checkpoints the write-ahead
    /// log unless it is in use.
    pub(crate) fn finish_run(&self, outcome: &str) -> Result<(), Error> {
        self.check_process()?;
        let rows = self.live_run().take_rows(outcome);
        if rows.is_empty() {
            return Ok(());
        }
        if let Err(error) = crate::recovery::sweep(self).and_then(|()| kept::thin(self)) {
            tracing::warn!(%error, "leftovers remain until recovery");
        }
        self.record(Sync::Normal, |catalog| {
            rows.iter()
                .try_for_each(|(row, outcome)| catalog.end_run(*row, outcome))
        })?;
        // A checkpoint costs four syncs. A run without durable changes and without a failure leaves its few rows in
        // the log.
        let failed = rows.iter().any(|(_, outcome)| outcome != "ok");
        if self.has_committed.load(Ordering::Acquire) || failed {
            self.checkpoint()?;
        }
        self.live_run().entered = None;
        Ok(())
    }

    /// Checkpoints the write-ahead log unless it is in use. Queued like a write, so that a process that copies the
    /// database sees the state before or after.
    fn checkpoint(&self) -> Result<(), Error> {
        let mut store = self.store();
        let Store { catalog, lock, .. } = &mut *store;
        let turn = self.note_turn(lock.take(self.db_wait()).map_err(Error::from))?;
        self.home.check_files(self.files)?;
        let done = catalog.checkpoint().map_err(|error| self.note(error))?;
        drop(turn);
        drop(store);
        tracing::debug!(done, "checkpoint at the end of the run");
        Ok(())
    }

    /// Replaces an error by its cause if the directory of this handle, or its database, was removed or replaced.
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

    /// Refuses further writes by this handle: the state of its database is unknown until it is opened again.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Refuses a handle whose database failed, or that was inherited by a fork.
    pub(crate) fn check_usable(&self) -> Result<(), Error> {
        self.check_process()?;
        match self.failed.load(Ordering::Acquire) {
            true => Err(UsageError::Failed.into()),
            false => Ok(()),
        }
    }

    /// Whether this thread shares the commit lock already, so that taking it again would deadlock.
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
            // Closing the connection would use it.
            std::mem::forget(self.store.clone());
            return;
        }
        // A handle that is dropped by a panic has not completed its work.
        let outcome = match std::thread::panicking() {
            true => "panicked",
            false => "ok",
        };
        if let Err(error) = self.finish_run(outcome) {
            tracing::warn!(%error, "the end of the run is not recorded");
        }
    }
}
