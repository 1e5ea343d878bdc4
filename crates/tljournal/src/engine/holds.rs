//! Records what this handle holds and other processes may wait for, for diagnosis.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Engine;
use crate::ambient;
use crate::catalog::{Catalog, CatalogError, Sync};
use crate::model::{EventKind, Timestamp};

/// Everything that a handle holds. It is recorded together with the next record of the run, so that a run without
/// changes writes nothing.
#[derive(Debug, Default)]
pub(super) struct Holds {
    held: Mutex<Vec<Hold>>,
}

#[derive(Debug, Clone)]
struct Hold {
    number: u64,
    what: String,
    how: String,
    since: Timestamp,
    /// The run for which it is recorded.
    run: Option<i64>,
}

/// Something that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct NotedHold {
    engine: Arc<Engine>,
    number: u64,
}

impl NotedHold {
    /// Notes that something is held from now on, and how.
    pub(crate) fn begin(engine: &Arc<Engine>, what: &str, how: String) -> Self {
        let mut held = engine.holds.all();
        let number = held.last().map_or(0, |last| last.number + 1);
        held.push(Hold {
            number,
            what: what.to_owned(),
            how,
            since: ambient::now(),
            run: None,
        });
        drop(held);
        let engine = engine.clone();
        Self { engine, number }
    }
}

impl Drop for NotedHold {
    fn drop(&mut self) {
        if self.engine.check_process().is_err() {
            return;
        }
        let mut held = self.engine.holds.all();
        let at = held.iter().position(|hold| hold.number == self.number);
        let Some(hold) = at.map(|at| held.remove(at)) else {
            return;
        };
        drop(held);
        let run = self.engine.live_run().row;
        // An ended run holds nothing, so nothing is recorded.
        if hold.run.is_none() || hold.run != run {
            return;
        }
        let noted = self.engine.record(Sync::Normal, |catalog| {
            catalog.put_event(
                (run, None),
                &EventKind::Released,
                Some(&hold.what),
                &hold.how,
            )
        });
        if let Err(error) = noted {
            tracing::debug!(what = hold.what, %error, "the release of a lock is not recorded");
        }
    }
}

impl Holds {
    /// The holds that are not recorded yet.
    pub(super) fn pending(&self) -> Pending {
        let held = self.all();
        Pending(
            held.iter()
                .filter(|hold| hold.run.is_none())
                .cloned()
                .collect(),
        )
    }

    /// Notes that these are recorded for a run.
    pub(super) fn are_recorded(&self, pending: &Pending, run: i64) {
        if pending.0.is_empty() {
            return;
        }
        for hold in self.all().iter_mut() {
            if pending.0.iter().any(|other| other.number == hold.number) {
                hold.run = Some(run);
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The holds to be recorded with the next write.
pub(super) struct Pending(Vec<Hold>);

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn record(&self, catalog: &Catalog, run: i64) -> Result<(), CatalogError> {
        self.0.iter().try_for_each(|hold| {
            let (about, what) = ((Some(run), None), Some(hold.what.as_str()));
            catalog.put_event_at(hold.since, about, &EventKind::Holds, what, &hold.how)
        })
    }
}
