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

/// A run that a command and everything it starts belong to, with what is held for them.
///
/// What it holds is held as long as the command lives, even if this process is killed: the command
/// inherits the descriptors, and never touches them. When this is dropped everything is given back, also
/// if something that the command left behind still has them open; the run itself goes on then, as that of
/// the journal's handle.
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
    /// Begins the run of this handle in the catalog, with what it is for.
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

    /// What it is for.
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

    /// Has the command know that it fills the tree at a path, for whoever populates that with a key: below it
    /// nobody waits for that, nor for anything that others may hold while they do.
    ///
    /// # Errors
    /// [`Error::Usage`] for a path that is outside the territory or the journal's own.
    pub fn hand_down_key(&mut self, path: &str, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let place = self.engine.home.place_named(path)?;
        let key = Fingerprint::of_key(Digest::of(key.as_ref()), &place).digest;
        self.keys.push(Holding::of_key(key));
        Ok(())
    }

    /// Makes files in `.state/log/` for the command's output, to be read and written: one for each suffix,
    /// which is empty or begins with a dot. Logs of runs that have ended are thinned before.
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
    /// A command that another thread starts at that moment in another way inherits the same, and keeps it
    /// if this process is killed.
    ///
    /// # Errors
    /// As for [`Command::spawn`], and with [`UsageError::TooNested`](crate::UsageError::TooNested) as its source
    /// when there are too many runs around it.
    pub fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        // Two at a time would close the descriptors of each other.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lineage = self.lineage().variable();
        command.env(ambient::RUNS, lineage.map_err(std::io::Error::other)?);
        if let Err(error) = self.engine.note_holds() {
            tracing::warn!(%error, "what is held for the command is not recorded");
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

    /// The runs around the command: those around this process, and this one.
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

    /// Ends the run, because its command has ended: gives back everything that is held for it, and its
    /// life, so that nobody whom the command left behind borrows what others have by now. That it ended is
    /// recorded when the journal is closed.
    pub fn release(self) {
        self.engine.leave_run();
        drop(self);
    }
}
