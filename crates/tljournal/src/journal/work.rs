use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;

use super::history::History;
use super::inspect::Inspection;
use super::named::NamedLock;
use super::open::Options;
use super::reading::Reading;
use super::run::Run;
use crate::ambient;
use crate::apply;
use crate::catalog::{RunRecord, TxnRecord};
use crate::engine::Engine;
use crate::error::{Error, UsageError};
use crate::fsck::{self, Finding, FsckOptions, FsckReport, Repair, RepairOptions};
use crate::kept::{self, Gc};
use crate::lineage::Ancestor;
use crate::lock::{Mode, Wait};
use crate::model::{Kind, RelPath, Retention, RunId, TxnId};
use crate::pin::{self, Pin};
use crate::recovery::{self, Recovery};
use crate::tree::{Difference, TreeSource};
use crate::txn::{Transaction, TreeOptions};
use crate::undo::{self, Undo, UndoOptions};
use crate::voucher::Tags;

/// A journal that is open for work.
///
/// It may be shared between threads; a clone is the same handle. Dropping the last one ends the run;
/// [`Journal::close`] does the same and returns errors.
#[derive(Debug, Clone)]
pub struct Journal {
    pub(super) engine: Arc<Engine>,
    recovery: Recovery,
}

/// What [`Journal::install`] did.
#[derive(Debug)]
pub struct Installed {
    /// Whether anything was changed.
    pub changed: bool,
    /// Keeps the installed tree on disk until this is dropped, even if another one is installed at the path.
    pub pin: Pin,
}

impl Journal {
    pub(super) fn new(engine: Engine, recovery: Recovery) -> Self {
        Self {
            engine: Arc::new(engine),
            recovery,
        }
    }

    /// Opens the journal of the project in this directory, in its `build/`, for work.
    ///
    /// # Errors
    /// As for [`Options::work`].
    pub fn open(root: impl Into<camino::Utf8PathBuf>) -> Result<Self, Error> {
        Options::new(root).work()
    }

    /// Options for opening a journal.
    pub fn options(root: impl Into<camino::Utf8PathBuf>) -> Options {
        Options::new(root)
    }

    /// The directory that paths are relative to, as it was opened.
    #[must_use]
    pub fn root(&self) -> &camino::Utf8Path {
        self.engine.home.root.path()
    }

    /// What was recovered when the journal was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Begins a transaction. Nothing is written before its first real change. The label is shown by the history:
    /// secrets are redacted, and it is cut after a thousand characters.
    pub fn begin(&self, label: &str) -> Transaction {
        Transaction::new(self.engine.clone(), label)
    }

    /// Installs a tree, as a transaction of its own, and pins it.
    ///
    /// # Errors
    /// As for [`Transaction::tree`] and [`Prepared::commit`](crate::Prepared::commit).
    pub fn install(
        &self,
        path: &str,
        source: TreeSource,
        options: TreeOptions,
    ) -> Result<Installed, Error> {
        let mut txn = self.begin(&format!("install {path}"));
        txn.tree(path, source, options)?;
        Ok(Self::put_in_place(txn, path)?.0)
    }

    /// Commits the transaction of one tree; returns its id if it changed anything.
    pub(super) fn put_in_place(
        txn: Transaction,
        path: &str,
    ) -> Result<(Installed, Option<TxnId>), Error> {
        let mut receipt = txn.prepare()?.commit()?;
        match receipt.take_pin(path) {
            Some(pin) => {
                let changed = receipt.changed_anything();
                Ok((Installed { changed, pin }, receipt.txn()))
            }
            None => Err(Error::Replaced {
                path: path.to_owned(),
            }),
        }
    }

    /// Pins the tree at a path; `None` if there is no directory. Waits, within the limit of the handle, while another
    /// process holds the tree exclusively, unless this handle holds a lock.
    ///
    /// # Errors
    /// [`Error::Lock`] after the limit, [`Error::Conflict`] instead of a possible deadlock; [`Error::Usage`],
    /// [`Error::Disk`].
    pub fn pin(&self, path: &str) -> Result<Option<Pin>, Error> {
        self.pin_within(path, self.engine.lock_wait)
    }

    /// Pins the tree at a path as [`Journal::pin`] does, but waits no longer than `limit`.
    ///
    /// # Errors
    /// As for [`Journal::pin`].
    pub fn pin_within(&self, path: &str, limit: Option<Duration>) -> Result<Option<Pin>, Error> {
        let place = self.engine.home.place_named(path)?;
        loop {
            if let Some(pin) = pin::pin_within(&self.engine, &place, limit)? {
                return Ok(Some(pin));
            }
            // Without the exchange of entries a tree is missing while it is being replaced.
            let exchanges = self.history().status()?.exchanges;
            if exchanges || self.engine.is_reading() {
                return Ok(None);
            }
            let moment = self.read()?;
            let there = apply::stat_at(&self.engine, &place)?;
            drop(moment);
            if there.is_none_or(|stat| stat.kind != Kind::Dir) {
                return Ok(None);
            }
        }
    }

    /// Compares the tree at a path with the installed one: by signature, or all content if `full`.
    ///
    /// # Errors
    /// [`Error::Usage`] when no tree was installed there.
    pub fn verify(&self, path: &str, full: bool) -> Result<Vec<Difference>, Error> {
        let place = self.engine.home.place_named(path)?;
        let entry = self.engine.look(|catalog| catalog.entry(&place))?;
        let not_a_tree = || UsageError::NotATree {
            path: path.escape_debug().to_string(),
        };
        let entry = entry.ok_or_else(not_a_tree)?;
        let digest = entry.digest.ok_or_else(not_a_tree)?;
        let manifest = self
            .engine
            .look(|catalog| catalog.manifest(&digest))?
            .ok_or_else(not_a_tree)?;
        let Some(pin) = pin::pin(&self.engine, &place)? else {
            return Ok(vec![Difference::missing()]);
        };
        super::compare(pin.dir(), &entry, &manifest, full)
    }

    /// Shares the commit lock: until the guard is dropped no transaction is applied, so that several paths are read
    /// in one consistent state. An unfinished transaction of an ended process is finished first. The same thread must
    /// drop it before it commits or reads again, which is refused as a deadlock.
    ///
    /// # Errors
    /// [`Error::Lock`] when the journal was opened with a limit that passed.
    pub fn read(&self) -> Result<Reading<'_>, Error> {
        let unfinished = || {
            let rows = self.engine.look(|catalog| catalog.unfinished())?;
            let unfinished = rows.into_iter().filter(|row| row.state.is_unfinished());
            Ok::<BTreeSet<TxnId>, Error>(unfinished.map(|row| row.id).collect())
        };
        // A transaction that stays unfinished is out of reach or stuck; reads of its paths are refused individually.
        let mut hopeless = BTreeSet::new();
        loop {
            let lock = self.engine.commit_lock(Mode::Shared, "read", None)?;
            if unfinished()?.is_subset(&hopeless) {
                return Ok(Reading::new(&self.engine, lock));
            }
            drop(lock);
            let lock = self.engine.commit_lock(Mode::Exclusive, "recovery", None)?;
            recovery::finish_unfinished(&self.engine)?;
            hopeless = unfinished()?;
            drop(lock);
        }
    }

    /// Takes a named lock, whose meaning is up to its users. Take several in the order of their names, and before a
    /// commit. A lock that an ancestor run holds is borrowed.
    ///
    /// # Errors
    /// [`Error::Lock`] when it was not free within `limit`, with the holder; [`Error::Usage`] for an invalid name;
    /// [`Error::Conflict`] when an exclusive lock is wanted and an ancestor run shares it, when this thread holds it,
    /// and when its holder waits for what is held here.
    pub fn lock(
        &self,
        name: &str,
        mode: Mode,
        purpose: &str,
        limit: Option<Duration>,
    ) -> Result<NamedLock, Error> {
        NamedLock::acquire(&self.engine, name, mode, purpose, limit)
    }

    /// Locks a file like flock(2) and flock(1), anywhere on disk; it is created if it is missing, and never written
    /// to. Take several with [`Journal::lock_files`], and before named locks.
    ///
    /// # Errors
    /// As for [`Journal::lock`], and [`Error::Disk`] when it cannot be opened.
    pub fn lock_file(
        &self,
        path: &Utf8Path,
        mode: Mode,
        limit: Option<Duration>,
    ) -> Result<NamedLock, Error> {
        NamedLock::acquire_file(&self.engine, path, mode, limit)
    }

    /// Locks several such files, in a global order; a file with two names is locked once, and exclusively if either
    /// name asks for that.
    ///
    /// # Errors
    /// As for [`Journal::lock_file`].
    pub fn lock_files<'a>(
        &self,
        files: impl IntoIterator<Item = (&'a Utf8Path, Mode)>,
        limit: Option<Duration>,
    ) -> Result<Vec<NamedLock>, Error> {
        NamedLock::acquire_files(&self.engine, files, limit)
    }

    /// Begins a run that a command inherits, and records its label.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Catalog`] when it cannot be recorded.
    pub fn run(&self, label: &str) -> Result<Run, Error> {
        Run::begin(&self.engine, label)
    }

    /// The environment variable, and its value, by which a command that this process starts belongs to this run: its
    /// `tljournal` commands record this run as their parent, and may rely on its claims. It does not lend locks of
    /// this handle; [`Journal::run`] does.
    ///
    /// # Errors
    /// As for [`Journal::run_id`].
    pub fn environment(&self) -> Result<(&'static str, String), Error> {
        let mut lineage = self.engine.lineage.clone();
        lineage.0.push(Ancestor {
            run: self.run_id()?,
            holds: Vec::new(),
        });
        Ok((ambient::RUNS, lineage.variable()?))
    }

    /// A group of tags: small files that exist while a live run claims that they are valid.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is outside the territory or the journal's own.
    pub fn tags(&self, paths: impl IntoIterator<Item = RelPath>) -> Result<Tags<'_>, Error> {
        Tags::new(self, &self.engine, paths)
    }

    /// The history, and the recorded state of paths.
    #[must_use]
    pub fn history(&self) -> History<'_> {
        History::of(&self.engine)
    }

    /// The run of this handle, which counts as alive from now on.
    ///
    /// # Errors
    /// [`Error::Disk`] when its byte cannot be locked.
    pub fn run_id(&self) -> Result<RunId, Error> {
        self.engine.run_id()
    }

    /// Finishes or rolls back transactions of runs that ended since the journal was opened, and syncs rebuildable
    /// trees.
    ///
    /// # Errors
    /// Any failure; the call can be repeated.
    pub fn recover(&self) -> Result<Recovery, Error> {
        self.engine.try_leftovers_again();
        let report = recovery::recover(&self.engine)?;
        recovery::settle_trees(&self.engine)?;
        recovery::sweep(&self.engine)?;
        Ok(report)
    }

    /// Deletes the oldest retained content, history and logs until the limits hold. Content that is pinned or in use,
    /// unfinished transactions and records of present entries stay. [`History::plan_gc`] returns the plan.
    ///
    /// # Errors
    /// Any failure; the call can be repeated.
    pub fn gc(&self, retention: &Retention) -> Result<Gc, Error> {
        self.engine.try_leftovers_again();
        kept::collect(&self.engine, retention)
    }

    /// Reverts a transaction, by a transaction: what it replaced or removed is restored from retained content, and
    /// what it created is removed. If one path cannot be reverted, none is: [`Undo::is_refused`].
    /// [`History::plan_undo`] returns the plan.
    ///
    /// # Errors
    /// [`Error::Usage`] for a transaction that is not applied; [`Error::Conflict`] when something was changed
    /// concurrently, or retained content is damaged; and as for [`Prepared::commit`](crate::Prepared::commit).
    pub fn undo(&self, txn: &TxnRecord, options: &UndoOptions) -> Result<Undo, Error> {
        let undone = undo::undo(&self.engine, txn, options);
        undone.map_err(|error| self.engine.explain(error))
    }

    /// Restores a path to its state right after a transaction, by a transaction. A path in a tree is restored only
    /// with the tree.
    ///
    /// # Errors
    /// As for [`Journal::undo`].
    pub fn restore(
        &self,
        path: &RelPath,
        txn: &TxnRecord,
        options: &UndoOptions,
    ) -> Result<Undo, Error> {
        let restored = undo::restore(&self.engine, path.clone(), txn, options);
        restored.map_err(|error| self.engine.explain(error))
    }

    /// Checks the journal as [`Inspection::fsck`](crate::Inspection::fsck) does.
    ///
    /// # Errors
    /// As for [`Options::inspect`].
    pub fn fsck(
        &self,
        options: &FsckOptions,
        told: &mut dyn FnMut(Finding) -> ControlFlow<()>,
    ) -> Result<FsckReport, Error> {
        let home = &self.engine.home;
        let wait = Wait {
            gives_up: Some(&|| options.watch.is_stopped()),
            ..Wait::within(self.engine.lock_wait)
        };
        let inspection = Inspection::open(
            home.root.path(),
            home.dir.path(),
            home.dir.disk(),
            self.engine.key_material.clone(),
            wait,
        )?;
        Ok(inspection.fsck(options, told))
    }

    /// Repairs findings of a check where possible, each in its own transaction, and passes each result to `told`.
    /// Returns whether it was completed.
    ///
    /// # Errors
    /// Any failure; the call can be repeated.
    pub fn repair(
        &self,
        findings: &[Finding],
        options: &RepairOptions,
        told: &mut dyn FnMut(Repair) -> ControlFlow<()>,
    ) -> Result<bool, Error> {
        fsck::repair(&self.engine, findings, &self.recovery, options, told)
    }

    /// Whether a path exists now.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Conflict`] or [`Error::Disk`] when it cannot be read.
    pub fn exists(&self, path: &str) -> Result<bool, Error> {
        let place = self.engine.home.place_named(path)?;
        Ok(apply::stat_at(&self.engine, &place)?.is_some())
    }

    /// Records an error of the run, even if the run has changed nothing; the run then ends as failed, whatever its
    /// outcome. Secrets are redacted. Returns the record of the run.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Catalog`] when it cannot be recorded.
    pub fn fail(&self, error: &str) -> Result<RunRecord, Error> {
        let row = self.engine.note_failure(error)?;
        let run = self.engine.look(|catalog| catalog.run_numbered(row))?;
        run.ok_or_else(|| UsageError::Failed.into())
    }

    /// Ends the run: deletes content that is no longer held, records the end, and checkpoints the database unless it
    /// is in use. A run that changed nothing writes nothing.
    ///
    /// # Errors
    /// Any failure; committed transactions are not affected.
    pub fn close(self) -> Result<(), Error> {
        self.close_with("ok")
    }

    /// Ends the run as [`Journal::close`] does, with the given outcome.
    ///
    /// # Errors
    /// As for [`Journal::close`].
    pub fn close_with(self, outcome: &str) -> Result<(), Error> {
        match Arc::into_inner(self.engine) {
            Some(engine) => engine.finish_run(outcome),
            // Transactions or locks of this handle are still open: the last of them ends the run.
            None => Ok(()),
        }
    }
}
