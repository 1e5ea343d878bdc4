use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::LOCK;
use super::change::Tags;
use super::look::Seen;
use crate::engine::{Engine, NotedWait};
use crate::error::Error;
use crate::lock::LockError;
use crate::model::{Digest, RunId};

/// A wait until other runs end or withdraw their claims.
#[derive(Debug)]
pub(super) struct Waiting {
    begun: Instant,
    told: bool,
    /// The runs whose end is watched.
    watched: BTreeSet<RunId>,
    bell: Sender<()>,
    rung: Receiver<()>,
    /// Whether the state must be polled because no thread could be started.
    polls: bool,
}

/// How long a wait lasts before it is announced.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// How often a waiter checks whether it is cancelled.
const ASK_EVERY: Duration = Duration::from_millis(100);

impl Waiting {
    pub(super) fn begin() -> Self {
        let (bell, rung) = channel();
        Self {
            begun: Instant::now(),
            told: false,
            watched: BTreeSet::new(),
            bell,
            rung,
            polls: false,
        }
    }

    /// Blocks until there is no claim on these tags under another digest; a new one may be made right afterwards.
    pub(super) fn wait(&mut self, tags: &Tags<'_>, digest: Digest) -> Result<(), Error> {
        let engine = tags.engine;
        let bell = self.bell.clone();
        // Started before the first read, so that no event is missed.
        let watch = engine.home.locks.watch(LOCK, move || bell.send(()).is_ok());
        if let Err(error) = &watch {
            tracing::debug!(%error, "without a watch, only the end of a run ends the wait");
        }
        let noted = engine.note_wait(("lock/vouchers", "vouch for other tags"), None);
        loop {
            let seen = tags.look()?;
            let runs = seen.in_the_way(digest);
            if runs.is_empty() {
                noted.is_over(true);
                return Ok(());
            }
            for run in runs {
                if self.watched.insert(run) {
                    let bell = self.bell.clone();
                    let rings = engine.runs.when_ended(run, move || {
                        // The receiver is gone if the wait is over.
                        let _ = bell.send(());
                    });
                    if let Err(error) = rings {
                        tracing::debug!(%error, "polling for the end of a run");
                        self.polls = true;
                    }
                }
            }
            let waited = self.block(engine, &noted, &seen, digest);
            waited.inspect_err(|_| noted.is_over(false))?;
        }
    }

    /// Blocks until an event arrives, and announces a long wait.
    fn block(
        &mut self,
        engine: &Engine,
        noted: &NotedWait<'_>,
        seen: &Seen,
        digest: Digest,
    ) -> Result<(), Error> {
        loop {
            let waited = self.begun.elapsed();
            let until_notice = (!self.told).then(|| NOTICE_AFTER.saturating_sub(waited));
            let until_limit = engine.lock_wait.map(|limit| limit.saturating_sub(waited));
            let pauses = [until_notice, until_limit].into_iter().flatten();
            let pause = pauses.fold(ASK_EVERY, Duration::min);
            if self.rung.recv_timeout(pause).is_ok() {
                return Ok(());
            }
            let waited = self.begun.elapsed();
            let is_over = engine.lock_wait.is_some_and(|limit| limit <= waited);
            if is_over || engine.gives_up.is_asked() {
                let (lock, holder) = (LOCK.to_owned(), who(engine, seen, digest));
                return Err(LockError::Timeout {
                    lock,
                    waited,
                    holder,
                }
                .into());
            }
            if !self.told && waited >= NOTICE_AFTER {
                let holder = who(engine, seen, digest);
                tracing::warn!("waiting to claim other tags until this run has ended: {holder}");
                noted.has_become_long(&holder);
                self.told = true;
            }
            if self.polls {
                return Ok(());
            }
        }
    }
}

/// Describes the runs with other claims: the tag and since when.
fn who(engine: &Engine, seen: &Seen, digest: Digest) -> String {
    let mut said = Vec::new();
    for run in seen.in_the_way(digest) {
        let since = seen.others.iter().find(|row| row.run == run);
        let Some(row) = since else { continue };
        let record = engine
            .look(|catalog| catalog.run_record(run))
            .ok()
            .flatten();
        let what = record.map_or_else(
            || "an unknown process".to_owned(),
            |record| format!("process {} ({})", record.pid, record.argv.escape_debug()),
        );
        let held = crate::ambient::now().as_nanos() - row.since.as_nanos();
        let seconds = Duration::from_nanos(u64::try_from(held).unwrap_or(0)).as_secs_f64();
        let path = engine.home.shown(&row.place);
        said.push(format!(
            "{what}, which claims `{path}` under another digest, for {seconds:.1} s"
        ));
    }
    said.join(" and ")
}
