//! What this handle waits for, recorded while it waits: whoever is killed meanwhile is seen to have waited.

use std::cell::Cell;
use std::time::Instant;

use super::Engine;
use crate::ambient;
use crate::catalog::Sync;
use crate::error::Error;
use crate::lock::Wait;
use crate::model::{EventKind, Timestamp};

/// A wait that may become long enough to be of interest.
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
    /// Waits, in `wait`, for something; a long wait is recorded, with who held it and what for.
    pub(crate) fn noting<T, E: Into<Error>>(
        &self,
        (what, why): (&str, &str),
        txn: Option<i64>,
        limit: Option<std::time::Duration>,
        wait: impl FnOnce(Wait<'_>) -> Result<T, E>,
    ) -> Result<T, Error> {
        let noted = self.note_wait((what, why), txn);
        let tell = |holder: &str| noted.has_become_long(holder);
        let got = wait(Wait {
            limit,
            tell: Some(&tell),
            gives_up: None,
        });
        noted.is_over(got.is_ok());
        got.map_err(Into::into)
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

impl NotedWait<'_> {
    /// Records who is waited for.
    pub(crate) fn has_become_long(&self, holder: &str) {
        self.is_long.set(true);
        let detail = format!("held by {holder}; wanted for \"{}\"", self.why);
        self.put(self.since, &EventKind::Waiting, &detail);
    }

    /// Records how long it took, if that was long.
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

    /// Only people read it: what is waited for does not depend on it.
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
