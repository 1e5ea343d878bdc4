use std::fs::File;
use std::sync::atomic::Ordering;

use super::history::EntryView;
use crate::engine::{Engine, OwnHold};
use crate::error::Error;
use crate::home::Parent;
use crate::lineage::Holding;
use crate::lock::Held;
use crate::recovery;

/// A share of the commit lock: all reads through it see the same state.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Reading<'a> {
    engine: &'a Engine,
    own: OwnHold,
    _lock: Held,
}

impl<'a> Reading<'a> {
    pub(super) fn new(engine: &'a Engine, lock: Held) -> Self {
        engine.held.fetch_add(1, Ordering::AcqRel);
        Self {
            engine,
            own: engine.note_own(Holding::of_moment()),
            _lock: lock,
        }
    }

    /// Opens the file at a path; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Conflict`] or [`Error::Disk`] when it cannot be opened.
    pub fn open(&self, path: &str) -> Result<Option<File>, Error> {
        self.own.is_used();
        let place = self.engine.home.place_named(path)?;
        recovery::refuse_stuck(self.engine, &[&place])?;
        let Parent::There(parent) = self.engine.home.parent(&place)? else {
            return Ok(None);
        };
        match parent.open_file(place.path.name()) {
            Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }

    /// The recorded state of a path; `None` if the journal put nothing there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad path, [`Error::Catalog`] when the catalog cannot be read.
    pub fn entry(&self, path: &str) -> Result<Option<EntryView>, Error> {
        self.own.is_used();
        super::history::entry_view(self.engine, path)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.engine.held.fetch_sub(1, Ordering::AcqRel);
    }
}
