//! Read access to a journal, through an open engine or an inspection: the catalog and the directories it refers to.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::catalog::{Catalog, CatalogError, EntryRow};
use crate::disk::{Dir, DiskError, unless_gone};
use crate::engine::{Engine, sqlite_turn};
use crate::error::Error;
use crate::home::{DATABASE, Map, WAL, named_below};
use crate::lock::{Runs, Wait};
use crate::model::{
    Anchor, Digest, Identity, KeyMaterial, Manifest, Place, RelPath, RunId, Timestamp,
};

/// A journal to be read.
pub(crate) struct Look<'a> {
    pub(crate) asked: Asked<'a>,
    pub(crate) map: &'a Map,
    pub(crate) root: &'a Dir,
    pub(crate) home: &'a Dir,
    /// The journal's own directory; `None` for a database alone.
    pub(crate) state: Option<Dir>,
    /// Tells which runs are alive, where that can be determined.
    pub(crate) runs: Option<&'a Runs>,
    /// Whether the database belongs to this directory. In a copy inodes have no meaning, and no process works.
    pub(crate) at_home: bool,
    /// The state of the database when it was read, if later writes by other processes are not visible.
    pub(crate) seen: Option<&'a Seen>,
    /// Paths whose content is never retained.
    pub(crate) key_material: &'a KeyMaterial,
    /// How long to wait for a lock.
    pub(crate) lock_wait: Option<Duration>,
}

/// The source of catalog data.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// A journal that is open for writing.
    Engine(&'a Engine),
    /// The same for a caller that skips unreadable rows, which do not mark the database as damaged.
    Past(&'a Engine),
    /// A catalog that is only read.
    Catalog(&'a Mutex<Catalog>),
    /// The same, with a private copy without the unreadable rows.
    Readable(&'a Mutex<Catalog>, &'a dyn Spare),
}

/// A private copy of the catalog without the unreadable rows, created when it is first needed.
pub(crate) trait Spare {
    /// The copy, if it exists.
    fn made(&self) -> Option<&Mutex<Catalog>>;

    /// The copy; `None` if it cannot be created.
    fn make(&self) -> Option<&Mutex<Catalog>>;
}

impl<'a> Look<'a> {
    /// Read access of an open engine.
    pub(crate) fn of(engine: &'a Engine) -> Self {
        let home = &engine.home;
        Self {
            asked: Asked::Engine(engine),
            map: &home.map,
            root: &home.root,
            home: &home.dir,
            state: Some(home.state.clone()),
            runs: Some(&engine.runs),
            at_home: true,
            seen: None,
            key_material: &engine.key_material,
            lock_wait: engine.lock_wait,
        }
    }

    /// Queries the catalog.
    pub(crate) fn ask<T>(
        &self,
        question: impl Fn(&Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, Error> {
        let ask = |catalog: &Mutex<Catalog>| {
            let catalog = catalog.lock().unwrap_or_else(PoisonError::into_inner);
            sqlite_turn(self.home, Wait::within(self.lock_wait), || {
                Ok(question(&catalog)?)
            })
        };
        match self.asked {
            Asked::Engine(engine) => engine.ask(question),
            Asked::Past(engine) => engine.read(question),
            Asked::Catalog(catalog) => ask(catalog),
            Asked::Readable(catalog, spare) => match ask(spare.made().unwrap_or(catalog)) {
                Err(error @ Error::Damaged(_)) => {
                    let answer = spare.make().and_then(|spare| ask(spare).ok());
                    answer.ok_or(error)
                }
                answer => answer,
            },
        }
    }

    /// The manifest with this digest. A damaged one condemns no database: it is written again with its tree.
    pub(crate) fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Error> {
        self.of_the_past().ask(|catalog| catalog.manifest(digest))
    }

    /// Read access for a caller that skips unreadable rows.
    pub(crate) fn of_the_past(&self) -> Self {
        let asked = match self.asked {
            Asked::Engine(engine) => Asked::Past(engine),
            asked => asked,
        };
        let state = self.state.clone();
        Self {
            asked,
            state,
            ..*self
        }
    }

    /// The place of a path of the caller.
    pub(crate) fn place(&self, path: &RelPath) -> Result<Place, Error> {
        match self.asked {
            Asked::Engine(engine) | Asked::Past(engine) => engine.home.place(path),
            Asked::Catalog(_) | Asked::Readable(..) => self.map.place(path),
        }
    }

    /// The same for a path that may be absolute.
    pub(crate) fn place_named(&self, path: &str) -> Result<Place, Error> {
        self.place(&named_below(self.root, path)?)
    }

    /// The path by which users know a place.
    pub(crate) fn shown(&self, place: &Place) -> String {
        self.map.shown(place)
    }

    /// A directory of the journal; `None` if it is missing.
    pub(crate) fn own_dir(&self, name: &str) -> Result<Option<Dir>, DiskError> {
        match &self.state {
            None => Ok(None),
            Some(state) => unless_gone(state.open_dir(name)),
        }
    }

    /// The parent directory of a place, if all components of the path are directories.
    pub(crate) fn parent(&self, place: &Place) -> Result<Option<Dir>, DiskError> {
        let anchor = self.anchor(place.anchor);
        match place.path.parent() {
            None => Ok(Some(anchor.clone())),
            Some(path) => unless_gone(anchor.open_dir(path.as_str())),
        }
    }

    /// Whether the database was written since it was read, and the change is not visible here.
    pub(crate) fn is_outdated(&self) -> Result<bool, DiskError> {
        match self.seen {
            None => Ok(false),
            Some(seen) => Ok(Seen::of(self.home)? != *seen),
        }
    }

    /// The directory that places with this anchor are relative to.
    pub(crate) fn anchor(&self, anchor: Anchor) -> &'a Dir {
        match anchor {
            Anchor::Home => self.home,
            Anchor::Root => self.root,
        }
    }

    /// Whether a run is alive; in a copy none is.
    pub(crate) fn is_alive(&self, run: RunId) -> Result<bool, DiskError> {
        self.runs.map_or(Ok(false), |runs| runs.is_alive(run))
    }

    /// The catalog's entry of a place.
    pub(crate) fn entry(&self, place: &Place) -> Result<Option<EntryRow>, Error> {
        self.ask(|catalog| catalog.entry(place))
    }
}

/// The properties of the database and its log that change with each write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen([Option<(Identity, u64, Timestamp)>; 2]);

impl Seen {
    pub(crate) fn of(home: &Dir) -> Result<Self, DiskError> {
        let look = |name| -> Result<_, DiskError> {
            let stat = home.stat(name)?;
            Ok(stat.map(|stat| (stat.identity, stat.size, stat.mtime)))
        };
        Ok(Self([look(DATABASE)?, look(WAL)?]))
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
