use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::history::EntryView;
use crate::engine::Engine;
use crate::error::{Error, UsageError};
use crate::home::Parent;
use crate::lock::{self, Held, Mode, Wait};
use crate::model::RelPath;
use crate::recovery;

/// A share of the commit lock: what is read through it is of one moment.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Reading<'a> {
    engine: &'a Engine,
    reader: std::thread::ThreadId,
    _lock: Held,
}

impl<'a> Reading<'a> {
    pub(super) fn new(engine: &'a Engine, lock: Held) -> Self {
        engine.held.fetch_add(1, Ordering::AcqRel);
        engine.note_reader();
        Self {
            engine,
            reader: std::thread::current().id(),
            _lock: lock,
        }
    }

    /// Opens the file at a path; `None` if nothing is there.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::Conflict`] or [`Error::Disk`] when it cannot be opened.
    pub fn open(&self, path: &str) -> Result<Option<File>, Error> {
        let place = self.engine.home.place(&RelPath::new(path)?)?;
        recovery::refuse_stuck(self.engine, &[&place])?;
        let Parent::There(parent) = self.engine.home.parent(&place)? else {
            return Ok(None);
        };
        match parent.open_file(place.path.name()) {
            Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }

    /// What the catalog says of a path; `None` if it put nothing there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad path, [`Error::Catalog`] when the catalog cannot be read.
    pub fn entry(&self, path: &str) -> Result<Option<EntryView>, Error> {
        super::history::entry_view(self.engine, path)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.engine.forget_reader(self.reader);
        self.engine.held.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A named lock, held until this is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct NamedLock {
    engine: Arc<Engine>,
    name: String,
    held: Held,
}

const NAME_CHARS_MAX: usize = 100;

impl NamedLock {
    pub(super) fn acquire(
        engine: &Arc<Engine>,
        name: &str,
        mode: Mode,
        purpose: &str,
        limit: Option<Duration>,
    ) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let taken = name.ends_with(lock::TURNSTILE);
        if !begins || taken || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
            return Err(UsageError::LockName {
                name: name.escape_debug().to_string(),
            }
            .into());
        }
        let names = engine.home.locks.ensure_dir("name", 0o755)?;
        let held = lock::acquire(&names, name, mode, purpose, Wait { limit })?;
        engine.held.fetch_add(1, Ordering::AcqRel);
        Ok(Self {
            engine: engine.clone(),
            name: name.to_owned(),
            held,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it took to get it.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.held.waited
    }

    /// Gives the lock back.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for NamedLock {
    fn drop(&mut self) {
        self.engine.held.fetch_sub(1, Ordering::AcqRel);
    }
}
