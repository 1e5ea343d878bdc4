use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use crate::catalog::{Catalog, CatalogError, EntryRow, RunRecord, TxnRecord};
use crate::disk::{Dir, DiskError};
use crate::error::Error;
use crate::home::{LOCK, Map, STATE};
use crate::lock::{self, Awaited, Mode, Runs, Wait};
use crate::model::{Anchor, Place, RunId};

/// How long somebody may be putting things in place before what waits for it is given up.
const MOMENT_WAIT: Duration = Duration::from_secs(60);

/// A journal that is looked at.
pub(crate) struct Look<'a> {
    pub(crate) catalog: &'a Mutex<Catalog>,
    pub(crate) map: &'a Map,
    pub(crate) root: &'a Dir,
    pub(crate) home: &'a Dir,
    /// The journal's own directory; `None` for a database alone.
    pub(crate) state: Option<Dir>,
    /// Tells who lives, where somebody can.
    pub(crate) runs: Option<&'a Runs>,
    /// Whether the database belongs to this directory. Elsewhere inodes mean nothing, and nobody works.
    pub(crate) at_home: bool,
}

/// A moment in which nothing is being put in place; over when this is dropped.
pub(super) struct Moment {
    _lock: Option<File>,
}

impl Look<'_> {
    /// Asks the catalog.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        let catalog = self.catalog.lock();
        Ok(question(&catalog.unwrap_or_else(PoisonError::into_inner))?)
    }

    /// The path that people know a place by.
    pub(super) fn shown(&self, place: &Place) -> String {
        self.map.shown(place)
    }

    /// The same of something among the journal's own files.
    pub(super) fn shown_own(&self, dir: &str, name: &str) -> String {
        let path = match dir.is_empty() {
            true => self.home.path().join(STATE).join(name),
            false => self.home.path().join(STATE).join(dir).join(name),
        };
        let below = path.strip_prefix(self.root.path());
        below.unwrap_or(&path).to_string()
    }

    /// A directory of the journal; `None` if it is missing.
    pub(super) fn own_dir(&self, name: &str) -> Result<Option<Dir>, DiskError> {
        match &self.state {
            None => Ok(None),
            Some(state) => unless_gone(state.open_dir(name)),
        }
    }

    /// The directory that a place lies in, if the way there leads through directories only.
    pub(super) fn parent(&self, place: &Place) -> Result<Option<Dir>, DiskError> {
        let anchor = match place.anchor {
            Anchor::Home => self.home,
            Anchor::Root => self.root,
        };
        match place.path.parent() {
            None => Ok(Some(anchor.clone())),
            Some(path) => unless_gone(anchor.open_dir(path.as_str())),
        }
    }

    /// Whether a run lives. Of a copy nobody does.
    pub(super) fn is_alive(&self, run: RunId) -> Result<bool, Error> {
        Ok(self.runs.map_or(Ok(false), |runs| runs.is_alive(run))?)
    }

    /// What is recorded at a place.
    pub(super) fn entry(&self, place: &Place) -> Result<Option<EntryRow>, Error> {
        self.ask(|catalog| catalog.entry(place))
    }

    /// The transaction with this number, as history tells it; `None` too if its row cannot be read.
    pub(super) fn txn(&self, number: i64) -> Option<Box<TxnRecord>> {
        let record = self.ask(|catalog| catalog.txn_record(number));
        record.ok().flatten().map(Box::new)
    }

    /// The run with this id, as history tells it.
    pub(super) fn run(&self, id: RunId) -> Option<Box<RunRecord>> {
        let record = self.ask(|catalog| catalog.run_record(id));
        record.ok().flatten().map(Box::new)
    }

    /// Waits until nobody is putting anything in place, and keeps everybody from it.
    ///
    /// # Errors
    /// [`Error::Lock`] when somebody was at it for a minute.
    pub(super) fn moment(&self) -> Result<Moment, Error> {
        let open = || {
            self.own_dir(LOCK)?
                .map(|dir| dir.open_file("commit"))
                .transpose()
        };
        let file = match open() {
            Ok(Some(file)) if self.at_home => file,
            Ok(_) => return Ok(Moment { _lock: None }),
            Err(error) if error.is(Errno::NOENT) => return Ok(Moment { _lock: None }),
            Err(error) => return Err(error.into()),
        };
        let ino = self.home.stat_open(&file)?.identity.ino;
        let awaited = Awaited {
            name: "commit",
            path: self.home.path().join(STATE).join(LOCK).join("commit"),
            mode: Mode::Shared,
            holder: &|| lock::of_inode(ino),
        };
        let wait = Wait {
            limit: Some(MOMENT_WAIT),
            ..Wait::default()
        };
        let (file, _) = lock::in_line(&awaited, Vec::new(), file, wait)?;
        Ok(Moment { _lock: Some(file) })
    }
}

impl std::fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Look")
            .field("home", &self.home.path())
            .field("at_home", &self.at_home)
            .finish_non_exhaustive()
    }
}

/// `None` for what is not there, or is no directory, or behind a link.
pub(super) fn unless_gone<T>(told: Result<T, DiskError>) -> Result<Option<T>, DiskError> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(error)
            if [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
                .iter()
                .any(|errno| error.is(*errno)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
