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
/// May be shared between threads; a clone is the same handle. Dropping the last one ends the run;
/// [`Journal::close`] does the same and says what went wrong.
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
    /// Holds what was installed: it stays whole on disk until this is dropped, whatever is installed at
    /// the path next.
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

    /// How else to open one.
    pub fn options(root: impl Into<camino::Utf8PathBuf>) -> Options {
        Options::new(root)
    }

    /// The directory that paths are relative to, as it was opened.
    #[must_use]
    pub fn root(&self) -> &camino::Utf8Path {
        self.engine.home.root.path()
    }

    /// What had to be recovered when the journal was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Begins a transaction. Nothing is written before its first real change. Its label is what history calls
    /// it: without what looks like a secret, and not longer than a thousand characters.
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

    /// Commits the transaction that brings one tree; says which it was, if it changed anything.
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

    /// Pins the tree at a path; `None` if there is no directory. Waits while it is being replaced by
    /// somebody who waited for its pins, unless this handle holds a lock.
    ///
    /// # Errors
    /// [`Error::Conflict`] instead of a wait that could be for ever; [`Error::Usage`], [`Error::Disk`].
    pub fn pin(&self, path: &str) -> Result<Option<Pin>, Error> {
        self.pin_within(path, None)
    }

    /// Pins the tree at a path as [`Journal::pin`] does, and waits no longer than `limit`.
    ///
    /// # Errors
    /// As for [`Journal::pin`], and [`Error::Lock`] when it was being replaced for that long.
    pub fn pin_within(&self, path: &str, limit: Option<Duration>) -> Result<Option<Pin>, Error> {
        let place = self.engine.home.place_named(path)?;
        loop {
            if let Some(pin) = pin::pin(&self.engine, &place, limit)? {
                return Ok(Some(pin));
            }
            // Where nothing can be exchanged it may be missing only while it is being replaced.
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

    /// Compares the tree at a path with what was installed there: every signature, or all the content if
    /// `full`.
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
        let Some(pin) = pin::pin(&self.engine, &place, None)? else {
            return Ok(vec![Difference::missing()]);
        };
        super::compare(pin.dir(), &entry, &manifest, full)
    }

    /// Shares the commit lock: as long as the guard lives no transaction is put in place, so that
    /// several paths are seen as of one moment. One that a dead process left half-way is finished first.
    /// Drop it before the same thread commits or reads again: that is refused, as it would wait for itself.
    ///
    /// # Errors
    /// [`Error::Lock`] when the journal was opened with a limit that passed.
    pub fn read(&self) -> Result<Reading<'_>, Error> {
        let unfinished = || {
            let rows = self.engine.look(|catalog| catalog.unfinished())?;
            let unfinished = rows.into_iter().filter(|row| row.state.is_unfinished());
            Ok::<BTreeSet<TxnId>, Error>(unfinished.map(|row| row.id).collect())
        };
        // What stays unfinished is beyond reach or stuck; its paths are refused one by one.
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

    /// Takes a named lock, which means whatever its users agree on. Take several in the order of their
    /// names, and before any transaction is committed. What a run around this process holds is borrowed.
    ///
    /// # Errors
    /// [`Error::Lock`] when it was not free within `limit`, naming who holds it; [`Error::Usage`] for a
    /// name that is none; [`Error::Conflict`] when it is wanted alone, and a run around this process
    /// shares it, when this thread holds it, and when waiting for it would never end, because its holder waits for
    /// what is held here.
    pub fn lock(
        &self,
        name: &str,
        mode: Mode,
        purpose: &str,
        limit: Option<Duration>,
    ) -> Result<NamedLock, Error> {
        NamedLock::acquire(&self.engine, name, mode, purpose, limit)
    }

    /// Locks a file that any program may lock with flock(2) or flock(1), wherever it lies; made if it is
    /// missing, and never written to. Take several with [`Journal::lock_files`], and before named locks.
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

    /// Locks several such files, in an order that is the same for everybody; of two names of one file it takes
    /// the first, and exclusively if any says so.
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

    /// Begins a run that a command is to inherit, and writes down what it is for.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Catalog`] when it cannot be recorded.
    pub fn run(&self, label: &str) -> Result<Run, Error> {
        Run::begin(&self.engine, label)
    }

    /// The environment variable, and its value, that tells a command which this process starts that it belongs
    /// to this run: its own `tljournal` commands name this run as their parent, and what this run vouches for
    /// is theirs. Locks of this handle are not lent so; for that there is [`Journal::run`].
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

    /// Tags that belong together: small files that are there because a live run vouches for them.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is outside the territory or the journal's own.
    pub fn tags(&self, paths: impl IntoIterator<Item = RelPath>) -> Result<Tags<'_>, Error> {
        Tags::new(self, &self.engine, paths)
    }

    /// What is known of the past and of what stands where.
    #[must_use]
    pub fn history(&self) -> History<'_> {
        History::of(&self.engine)
    }

    /// The run of this handle: alive, for others, from now on.
    ///
    /// # Errors
    /// [`Error::Disk`] when its byte cannot be locked.
    pub fn run_id(&self) -> Result<RunId, Error> {
        self.engine.run_id()
    }

    /// Makes right whatever dead runs have left since the journal was opened, and puts rebuildable trees
    /// on the medium.
    ///
    /// # Errors
    /// Whatever stops it; it can be repeated.
    pub fn recover(&self) -> Result<Recovery, Error> {
        self.engine.try_leftovers_again();
        let report = recovery::recover(&self.engine)?;
        recovery::settle_trees(&self.engine)?;
        recovery::sweep(&self.engine)?;
        Ok(report)
    }

    /// Deletes the oldest of what is kept of transactions, of history and of logs, so far that these limits
    /// hold. What is pinned, in use, in flight or standing stays. [`History::plan_gc`] says what that would be.
    ///
    /// # Errors
    /// Whatever stops it; it can be repeated.
    pub fn gc(&self, retention: &Retention) -> Result<Gc, Error> {
        self.engine.try_leftovers_again();
        kept::collect(&self.engine, retention)
    }

    /// Takes back what a transaction did, by a transaction: what it replaced or removed comes back from what
    /// is kept, and what it made goes. If something cannot be taken back, nothing is:
    /// [`Undo::is_refused`]. [`History::plan_undo`] says what that would be.
    ///
    /// # Errors
    /// [`Error::Usage`] for a transaction that is not in place; [`Error::Conflict`] when somebody changed
    /// something at the same time, or what is kept is damaged; and as for
    /// [`Prepared::commit`](crate::Prepared::commit).
    pub fn undo(&self, txn: &TxnRecord, options: &UndoOptions) -> Result<Undo, Error> {
        let undone = undo::undo(&self.engine, txn, options);
        undone.map_err(|error| self.engine.explain(error))
    }

    /// Makes a path what it was right after a transaction, by a transaction. A path in a tree cannot be
    /// restored without the tree.
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

    /// Repairs what a check found, as far as that can be: each repair is a transaction of its own. Tells what
    /// became of each. Says whether it came to its end.
    ///
    /// # Errors
    /// Whatever stops it; it can be repeated.
    pub fn repair(
        &self,
        findings: &[Finding],
        options: &RepairOptions,
        told: &mut dyn FnMut(Repair) -> ControlFlow<()>,
    ) -> Result<bool, Error> {
        fsck::repair(&self.engine, findings, &self.recovery, options, told)
    }

    /// Whether something is at a path now.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Conflict`] or [`Error::Disk`] when it cannot be looked at.
    pub fn exists(&self, path: &str) -> Result<bool, Error> {
        let place = self.engine.home.place_named(path)?;
        Ok(apply::stat_at(&self.engine, &place)?.is_some())
    }

    /// Records what a run reports that has failed, also if it has changed nothing; whatever is said of it at
    /// its end, it ends as failed. What looks like a secret is hidden. Returns what is known of the run.
    ///
    /// # Errors
    /// [`Error::Disk`], [`Error::Catalog`] when it cannot be recorded.
    pub fn fail(&self, error: &str) -> Result<RunRecord, Error> {
        let row = self.engine.note_failure(error)?;
        let run = self.engine.look(|catalog| catalog.run_numbered(row))?;
        run.ok_or_else(|| UsageError::Failed.into())
    }

    /// Ends the run: clears what nobody holds any more, records the end, and moves the log into the
    /// database if nobody is in the way. A run that changed nothing writes nothing.
    ///
    /// # Errors
    /// Whatever stops it; nothing that was committed is in danger.
    pub fn close(self) -> Result<(), Error> {
        self.close_with("ok")
    }

    /// Ends the run as [`Journal::close`] does, with another word for how it ended.
    ///
    /// # Errors
    /// As for [`Journal::close`].
    pub fn close_with(self, outcome: &str) -> Result<(), Error> {
        match Arc::into_inner(self.engine) {
            Some(engine) => engine.finish_run(outcome),
            // Transactions or locks of this handle are still open: the run ends with the last of them.
            None => Ok(()),
        }
    }
}
