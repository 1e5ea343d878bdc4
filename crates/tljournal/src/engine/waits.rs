//! Records the waits of this handle while they last, so that the history of a killed run shows what it waited for.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Engine;
use crate::ambient;
use crate::catalog::{CatalogError, Sync};
use crate::disk::{Dir, DiskError};
use crate::error::Error;
use crate::home::{DATABASE, SHM, WAL};
use crate::lock::{self, Awaited, Mode, Wait};
use crate::model::{EventKind, Timestamp};

/// A wait that is recorded if it becomes long.
pub(crate) struct NotedWait<'a> {
    engine: &'a Engine,
    what: &'a str,
    why: &'a str,
    /// The transaction that waits, if one does.
    txn: Option<i64>,
    begun: Instant,
    since: Timestamp,
    is_long: Cell<bool>,
}

impl Engine {
    /// Waits, in `wait`, for something; a long wait is recorded with the holder and the purpose.
    pub(crate) fn noting<T, E: Into<Error>>(
        &self,
        (what, why): (&str, &str),
        txn: Option<i64>,
        limit: Option<Duration>,
        wait: impl FnOnce(Wait<'_>) -> Result<T, E>,
    ) -> Result<T, Error> {
        let noted = self.note_wait((what, why), txn);
        let tell = |holder: &str| noted.has_become_long(holder);
        let got = wait(Wait {
            tell: Some(&tell),
            ..self.gives_up.within(limit)
        });
        noted.is_over(got.is_ok());
        got.map_err(Into::into)
    }

    /// The limits of a wait for the database. After a wait that timed out the next one does not wait: further records
    /// of a command must not multiply its limit.
    pub(super) fn db_wait(&self) -> Wait<'_> {
        self.gives_up
            .within(match self.gave_up.load(Ordering::Acquire) {
                true => Some(Duration::ZERO),
                false => self.lock_wait,
            })
    }

    /// Notes whether a turn at the database, at its queue or at SQLite's own locks, did not come in time.
    pub(super) fn note_turn<T>(&self, got: Result<T, Error>) -> Result<T, Error> {
        let gave_up = matches!(got, Err(Error::Lock(_)));
        self.gave_up.store(gave_up, Ordering::Release);
        got
    }

    /// A wait that begins now.
    pub(crate) fn note_wait<'a>(
        &'a self,
        (what, why): (&'a str, &'a str),
        txn: Option<i64>,
    ) -> NotedWait<'a> {
        NotedWait {
            engine: self,
            what,
            why,
            txn,
            begun: Instant::now(),
            since: ambient::now(),
            is_long: Cell::new(false),
        }
    }
}

/// Uses the database when no other program holds SQLite's own locks on it. Processes of this program queue for
/// `lock/db` first, so only other programs are waited for here.
pub(crate) fn sqlite_turn<T>(
    home: &Dir,
    wait: Wait<'_>,
    mut act: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let holder = || {
        let files = [SHM, DATABASE].map(|name| home.stat(name).ok().flatten());
        let inodes = files.into_iter().flatten();
        lock::user_of(inodes.map(|stat| stat.identity.ino))
    };
    let awaited = Awaited {
        name: DATABASE,
        path: home.path().join(DATABASE),
        mode: Mode::Exclusive,
        holder: &holder,
    };
    lock::poll(&awaited, wait, || match act() {
        Err(Error::Catalog(CatalogError::Busy)) => Ok(None),
        Err(Error::Catalog(error)) if error.is_refusal() => Err(refused(home, error)),
        done => done.map(Some),
    })
}

/// Names the file that the system keeps SQLite from writing, which SQLite does not.
fn refused(home: &Dir, error: CatalogError) -> Error {
    let why = |name: &str| Some((home.path().join(name), home.attribute_of(name)?));
    match [DATABASE, WAL, SHM].into_iter().find_map(why) {
        Some((path, why)) => {
            let why = std::io::Error::new(std::io::ErrorKind::PermissionDenied, why);
            DiskError::new("write", path.as_str(), why).into()
        }
        None => error.into(),
    }
}

impl NotedWait<'_> {
    /// Records the holder.
    pub(crate) fn has_become_long(&self, holder: &str) {
        self.is_long.set(true);
        let detail = format!("held by {holder}; wanted for \"{}\"", self.why);
        self.put(self.since, &EventKind::Waiting, &detail);
    }

    /// Records the duration, if the wait was long.
    pub(crate) fn is_over(&self, got_it: bool) {
        if !self.is_long.get() {
            return;
        }
        let kind = match got_it {
            true => &EventKind::Waited,
            false => &EventKind::GaveUp,
        };
        let waited = self.begun.elapsed().as_secs_f64();
        let detail = format!("{waited:.1} s for \"{}\"", self.why);
        self.put(ambient::now(), kind, &detail);
    }

    /// The record is only informative: the wait does not depend on it.
    fn put(&self, at: Timestamp, kind: &EventKind, detail: &str) {
        let noted = self.engine.record_in_run(Sync::Normal, |catalog, run| {
            let about = (Some(run), self.txn);
            catalog.put_event_at(at, about, kind, Some(self.what), detail)
        });
        if let Err(error) = noted {
            tracing::warn!(what = self.what, %error, "a long wait is not recorded");
        }
    }
}
