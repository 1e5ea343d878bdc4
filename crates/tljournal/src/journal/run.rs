use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::FdFlags;

use super::named::NamedLock;
use crate::ambient;
use crate::catalog::Sync;
use crate::engine::{Engine, NotedHold};
use crate::error::Error;
use crate::home::LOG;
use crate::kept;
use crate::lineage::{Ancestor, Holding, Lineage};
use crate::model::{Digest, RunId};
use crate::pin::Pin;
use crate::redact;
use crate::tree::Fingerprint;

/// A run that a command and its descendants belong to, with the locks and pins that are held for them.
///
/// The command inherits the descriptors, without using them, so the locks are held until it exits, even if this
/// process is killed. Dropping this releases everything, also if a process that the command left behind still has the
/// descriptors; the run then continues as that of the journal's handle.
#[derive(Debug)]
#[must_use = "everything it holds is released when this is dropped"]
pub struct Run {
    engine: Arc<Engine>,
    id: RunId,
    number: i64,
    label: String,
    locks: Vec<NamedLock>,
    pins: Vec<(Pin, NotedHold)>,
    keys: Vec<Holding>,
}

impl Run {
    /// Begins the run of this handle in the catalog, with its label.
    pub(super) fn begin(engine: &Arc<Engine>, label: &str) -> Result<Self, Error> {
        let label = redact::label(label);
        let number = engine.record_in_run(Sync::Normal, |catalog, row| {
            catalog.label_run(row, &label)?;
            Ok(row)
        })?;
        Ok(Self {
            engine: engine.clone(),
            id: engine.run_id()?,
            number,
            label,
            locks: Vec::new(),
            pins: Vec::new(),
            keys: Vec::new(),
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Its short number.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Its purpose.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Holds a lock for the command.
    pub fn hand_down_lock(&mut self, lock: NamedLock) {
        self.locks.push(lock);
    }

    /// Holds a tree for the command.
    pub fn hand_down_pin(&mut self, pin: Pin) {
        let path = pin.dir().path();
        let path = path
            .strip_prefix(self.engine.home.root.path())
            .unwrap_or(path);
        let noted = NotedHold::begin(&self.engine, path.as_str(), "pinned".to_owned());
        self.pins.push((pin, noted));
    }

    /// Tells the command that it fills the tree at a path. A process below it that populates the same path with the
    /// same key gets an error instead of a deadlock.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is outside the territory or the journal's own.
    pub fn hand_down_key(&mut self, path: &str, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let place = self.engine.home.place_named(path)?;
        let key = Fingerprint::of_key(Digest::of(key.as_ref()), &place).digest;
        self.keys.push(Holding::of_key(key));
        Ok(())
    }

    /// Creates log files in `.state/log/` for the command's output: one for each suffix, which is empty or begins
    /// with a dot. Old logs of ended runs are deleted before, within the limits.
    ///
    /// # Errors
    /// [`Error::Disk`] when they cannot be made, [`Error::Catalog`] when they cannot be recorded.
    pub fn logs(&self, suffixes: &[&str]) -> Result<Vec<File>, Error> {
        let home = &self.engine.home;
        let dir = home.state.ensure_own_dir(LOG)?;
        if let Err(error) = kept::thin_logs(&self.engine, &self.engine.retention.logs) {
            tracing::warn!(%error, "old logs remain");
        }
        let mut logs = Vec::new();
        for suffix in suffixes {
            logs.push(dir.create_log(&format!("{}{suffix}", self.id))?);
        }
        let log = format!(".state/{LOG}/{}", self.id);
        self.engine
            .record_in_run(Sync::Normal, |catalog, row| catalog.set_run_log(row, &log))?;
        Ok(logs)
    }

    /// Starts the command, with everything that is held for it.
    ///
    /// A command that another thread spawns at the same time inherits the same descriptors, and keeps them if this
    /// process is killed.
    ///
    /// # Errors
    /// As for [`Command::spawn`], and with [`UsageError::TooNested`](crate::UsageError::TooNested) as its source when
    /// there are too many ancestor runs.
    pub fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        // Two concurrent calls would reset the flags of each other's descriptors.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lineage = self.lineage().variable();
        command.env(ambient::RUNS, lineage.map_err(std::io::Error::other)?);
        if let Err(error) = self.engine.note_holds() {
            tracing::warn!(%error, "the locks of the command are not recorded");
        }
        self.engine.with_run_file(|run| {
            let held: Vec<BorrowedFd<'_>> = run
                .into_iter()
                .chain(self.locks.iter().filter_map(|lock| {
                    let (file, _) = lock.to_hand_down()?;
                    Some(file.as_fd())
                }))
                .chain(self.pins.iter().map(|(pin, _)| pin.dir().as_fd()))
                .collect();
            let inherit = |flags| {
                held.iter()
                    .try_for_each(|fd| rustix::io::fcntl_setfd(fd, flags))
            };
            let spawned = inherit(FdFlags::empty())
                .map_err(std::io::Error::from)
                .and_then(|()| command.spawn());
            inherit(FdFlags::CLOEXEC)?;
            spawned
        })
    }

    /// The ancestors of the command: those of this process, and this run.
    fn lineage(&self) -> Lineage {
        let locks = self.locks.iter().filter_map(NamedLock::to_hand_down);
        let pins = self.pins.iter();
        let pins = pins.map(|(pin, _)| Holding::of_tree(pin.identity()));
        let holds = locks.map(|(_, holding)| holding.clone()).chain(pins);
        let holds = holds.chain(self.keys.iter().cloned());
        let own = Ancestor {
            run: self.id,
            holds: holds.collect(),
        };
        let mut lineage = self.engine.lineage.clone();
        lineage.0.push(own);
        lineage
    }

    /// Ends the run after its command: releases everything that is held for it, and ends its life, so that processes
    /// that the command left behind cannot borrow the locks. Closing the journal records the end.
    pub fn release(self) {
        self.engine.leave_run();
        drop(self);
    }
}
