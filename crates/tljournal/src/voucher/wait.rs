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

/// A wait for other runs to end or to withdraw what they vouch for.
#[derive(Debug)]
pub(super) struct Waiting {
    begun: Instant,
    told: bool,
    /// The runs whose end is waited for.
    watched: BTreeSet<RunId>,
    bell: Sender<()>,
    rung: Receiver<()>,
    /// Whether something can happen without a ring, because no thread could be had.
    polls: bool,
}

/// After how long a waiter is told who it waits for.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// How often a waiter asks whether it is to give up.
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

    /// Blocks until nobody vouches for tags at these places under any other digest; somebody else may be
    /// quicker then.
    pub(super) fn wait(&mut self, tags: &Tags<'_>, digest: Digest) -> Result<(), Error> {
        let engine = tags.engine;
        let bell = self.bell.clone();
        // Before the first look, so that nothing is missed after it.
        let watch = engine.home.locks.watch(LOCK, move || bell.send(()).is_ok());
        if let Err(error) = &watch {
            tracing::debug!(%error, "only the end of a run can be waited for");
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
                        // Nothing listens any more if the wait is over.
                        let _ = bell.send(());
                    });
                    if let Err(error) = rings {
                        tracing::debug!(%error, "the end of a run is asked for again and again");
                        self.polls = true;
                    }
                }
            }
            let waited = self.block(engine, &noted, &seen, digest);
            waited.inspect_err(|_| noted.is_over(false))?;
        }
    }

    /// Blocks until anything has happened, and says meanwhile who is waited for.
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
                tracing::warn!("waiting to vouch for other tags until this has ended: {holder}");
                noted.has_become_long(&holder);
                self.told = true;
            }
            if self.polls {
                return Ok(());
            }
        }
    }
}

/// Says who vouches for something else, for what and since when.
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
            || "a process that has told nothing of itself".to_owned(),
            |record| format!("process {} ({})", record.pid, record.argv.escape_debug()),
        );
        let held = crate::ambient::now().as_nanos() - row.since.as_nanos();
        let seconds = Duration::from_nanos(u64::try_from(held).unwrap_or(0)).as_secs_f64();
        let path = engine.home.shown(&row.place);
        said.push(format!(
            "{what}, which vouches for `{path}` under another digest, for {seconds:.1} s"
        ));
    }
    said.join(" and ")
}
