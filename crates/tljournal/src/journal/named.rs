use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use crate::engine::{Engine, NotedHold, OwnHold};
use crate::error::{Conflict, ConflictKind, Error, UsageError};
use crate::home::NAMED;
use crate::lineage::{Holding, Loan, Thing};
use crate::lock::{self, ByPath, Held, LockError, Mode, Wait};

/// A named lock or a locked file, held until this is dropped; or a borrowed lock, which an ancestor run holds.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct NamedLock {
    engine: Arc<Engine>,
    name: String,
    holding: Holding,
    /// `None` if it is borrowed.
    held: Option<Held>,
    /// Dropped after the lock, so that no waiter waits for the record of the release.
    _noted: Option<NotedHold>,
    _own: Option<OwnHold>,
}

impl NamedLock {
    pub(super) fn acquire(
        engine: &Arc<Engine>,
        name: &str,
        mode: Mode,
        purpose: &str,
        limit: Option<Duration>,
    ) -> Result<Self, Error> {
        if !lock::is_name(name) {
            return Err(UsageError::LockName {
                name: name.escape_debug().to_string(),
            }
            .into());
        }
        let thing = Thing::Named(name.to_owned());
        let held = match is_lent(engine, name, &thing, mode)? {
            true => None,
            false => {
                let names = engine.home.locks.ensure_own_dir(NAMED);
                let names = names.map_err(|error| engine.explain(error.into()))?;
                let held = wait_for(engine, &thing, mode, (name, purpose), limit, |wait| {
                    lock::acquire(&names, name, mode, purpose, wait)
                });
                // A lock in a directory that was removed or renamed excludes no other process.
                engine.home.fence_names(&names)?;
                Some(held?)
            }
        };
        let holding = Holding { thing, mode };
        Ok(Self::new(engine, (name, purpose), holding, held))
    }

    /// Locks several files in a global order, independent of their names; a file with several names is locked once.
    pub(super) fn acquire_files<'a>(
        engine: &Arc<Engine>,
        files: impl IntoIterator<Item = (&'a Utf8Path, Mode)>,
        limit: Option<Duration>,
    ) -> Result<Vec<Self>, Error> {
        let (begun, disk) = (Instant::now(), engine.home.dir.disk());
        let mut order = BTreeMap::new();
        for (path, mode) in files {
            engine.home.refuse_path_to_own(path)?;
            // A missing file is created, because the identity decides the order.
            let file = ByPath::open(disk, path)?;
            let (_, strongest) = order.entry(file.order()).or_insert((path, mode));
            if mode == Mode::Exclusive {
                *strongest = mode;
            }
        }
        let in_order = order.into_values();
        in_order
            .map(|(path, mode)| {
                let limit = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
                Self::acquire_file(engine, path, mode, limit)
            })
            .collect()
    }

    pub(super) fn acquire_file(
        engine: &Arc<Engine>,
        path: &Utf8Path,
        mode: Mode,
        limit: Option<Duration>,
    ) -> Result<Self, Error> {
        let (begun, disk) = (Instant::now(), engine.home.dir.disk());
        loop {
            engine.home.refuse_path_to_own(path)?;
            let file = ByPath::open(disk, path)?;
            let thing = Thing::File(file.identity);
            let held = match is_lent(engine, path.as_str(), &thing, mode)? {
                true => None,
                false => {
                    let limit = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
                    let what = (path.as_str(), "lock a file");
                    let lock = |wait: Wait<'_>| ByPath::open(disk, path)?.lock(mode, wait);
                    match wait_for(engine, &thing, mode, what, limit, lock)? {
                        Some(held) => Some(held),
                        // Another file was put at the path, and must be locked instead.
                        None => continue,
                    }
                }
            };
            let holding = Holding { thing, mode };
            return Ok(Self::new(engine, (path.as_str(), ""), holding, held));
        }
    }

    fn new(
        engine: &Arc<Engine>,
        (name, purpose): (&str, &str),
        holding: Holding,
        held: Option<Held>,
    ) -> Self {
        engine.held.fetch_add(1, Ordering::AcqRel);
        let how = match holding.mode {
            Mode::Exclusive => "alone",
            Mode::Shared => "shared",
        };
        let how = match purpose {
            "" => how.to_owned(),
            purpose => format!("{how}, for \"{purpose}\""),
        };
        // A borrowed lock is held by another run.
        let noted = held.as_ref().map(|_| NotedHold::begin(engine, name, how));
        let own = held.as_ref().map(|_| engine.note_own(holding.clone()));
        Self {
            _noted: noted,
            _own: own,
            engine: engine.clone(),
            name: name.to_owned(),
            holding,
            held,
        }
    }

    /// Its name, or its path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the acquisition took.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.held
            .as_ref()
            .map_or(Duration::ZERO, |held| held.waited)
    }

    /// Releases the lock; a borrowed one stays with its holder.
    pub fn release(self) {
        drop(self);
    }

    /// What child processes need to inherit it; `None` if it is borrowed.
    pub(super) fn to_hand_down(&self) -> Option<(&File, &Holding)> {
        Some((self.held.as_ref()?.file(), &self.holding))
    }
}

/// Waits for a lock, except for one that this thread holds itself: that one is shared at once or refused.
fn wait_for<T>(
    engine: &Engine,
    thing: &Thing,
    mode: Mode,
    what: (&str, &str),
    limit: Option<Duration>,
    lock: impl Fn(Wait<'_>) -> Result<T, LockError>,
) -> Result<T, Error> {
    let own = engine.own_mode(thing);
    let limit = match own {
        Some(_) => Some(Duration::ZERO),
        None => limit,
    };
    match (engine.waiting(thing, what, (None, limit), lock), own) {
        (Err(Error::Lock(_)), Some(own)) => {
            let kind = ConflictKind::HeldByThread {
                shared: own == Mode::Shared && mode == Mode::Exclusive,
            };
            Err(Conflict::at(what.0, kind).into())
        }
        (got, _) => got,
    }
}

fn is_lent(engine: &Engine, name: &str, thing: &Thing, mode: Mode) -> Result<bool, Error> {
    engine.check_process()?;
    match engine.loan(thing, mode)? {
        Loan::None => Ok(false),
        Loan::Borrowed => Ok(true),
        Loan::Never(run) => Err(Conflict::at(name, ConflictKind::SharedAbove { run }).into()),
    }
}

impl Drop for NamedLock {
    fn drop(&mut self) {
        self.engine.held.fetch_sub(1, Ordering::AcqRel);
    }
}
