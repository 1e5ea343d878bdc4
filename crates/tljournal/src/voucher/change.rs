use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::LOCK;
use super::files::Wanted;
use super::look::Seen;
use super::view::{Voucher, view};
use super::wait::Waiting;
use crate::catalog::VoucherChange;
use crate::engine::Engine;
use crate::error::{Conflict, ConflictKind, Error, UsageError};
use crate::journal::Journal;
use crate::lock::{self, Held, Mode};
use crate::model::{Digest, Place, RelPath, RunId};

/// Tags that belong together, and the claims on them.
#[derive(Debug)]
pub struct Tags<'a> {
    journal: &'a Journal,
    pub(super) engine: &'a Arc<Engine>,
    pub(super) places: BTreeMap<RelPath, Place>,
    /// Whether claims are made for the run around this process instead of its own run.
    for_run_around: bool,
}

impl<'a> Tags<'a> {
    pub(crate) fn new(
        journal: &'a Journal,
        engine: &'a Arc<Engine>,
        paths: impl IntoIterator<Item = RelPath>,
    ) -> Result<Self, Error> {
        let place = |path: RelPath| Ok((path.clone(), engine.home.place(&path)?));
        let places = paths.into_iter().map(place);
        Ok(Self {
            journal,
            engine,
            places: places.collect::<Result<_, Error>>()?,
            for_run_around: false,
        })
    }

    /// Makes claims in the name of the innermost run around this process, if there is one: the claim of a shell
    /// task's command must outlive that command. By default each process claims for itself, so that two processes
    /// below one run do not take over each other's tags.
    #[must_use]
    pub fn for_run_around(mut self) -> Self {
        self.for_run_around = true;
        self
    }

    /// Claims these tags under a digest, and none of the other tags. Afterwards they exist, and of the other tags
    /// only those that other running runs claim under the same digest. Returns whether anything was changed:
    /// repeating the call in the same run changes nothing.
    ///
    /// While other runs claim tags under another digest this waits until they have ended or withdrawn, up to the
    /// journal's limit for locks. The earlier claims of this run are withdrawn first.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the wait could deadlock, because this process holds something that others may wait for;
    /// [`Error::Lock`] when the wait took too long; [`Error::Usage`] for a file that is not one of the tags; and the
    /// errors of a commit.
    pub fn vouch(&self, digest: Digest, files: &BTreeMap<RelPath, Vec<u8>>) -> Result<bool, Error> {
        let mut wanted = Wanted::new();
        for (path, content) in files {
            let not_a_tag = || UsageError::NotATag {
                path: path.to_string(),
            };
            wanted.insert(self.places.get(path).ok_or_else(not_a_tag)?, content);
        }
        if wanted.is_empty() {
            return self.withdraw();
        }
        if self.is_so(digest, &wanted)? {
            return Ok(false);
        }
        let mut waiting = None;
        loop {
            let lock = self.lock("vouch for tags")?;
            let seen = self.look()?;
            if seen.in_the_way(digest).is_empty() {
                let mut changes = seen.withdrawal();
                let put = |place: &&Place| VoucherChange::Put((*place).clone(), seen.me, digest);
                changes.extend(wanted.keys().map(put));
                let done = self.make_so("write tags", &seen.kept_by_others(), &wanted, &changes);
                if done.is_err() {
                    self.unvouch();
                }
                return done;
            }
            // The earlier claims of this run are obsolete in any case.
            self.withdraw_seen(&seen)?;
            self.refuse_to_wait(&seen, digest)?;
            drop(lock);
            waiting
                .get_or_insert_with(Waiting::begin)
                .wait(self, digest)?;
        }
    }

    /// Withdraws the claims of this run. Afterwards only those tags exist that other running runs claim, whichever
    /// program wrote the rest. Returns whether anything was changed.
    ///
    /// # Errors
    /// The errors of a commit.
    pub fn withdraw(&self) -> Result<bool, Error> {
        let there = self.there()?;
        let seen = self.look()?;
        let kept = seen.kept_by_others();
        if seen.own.is_empty() && there.iter().all(|place| kept.contains(*place)) {
            return Ok(false);
        }
        let _lock = self.lock("clear tags")?;
        self.withdraw_seen(&self.look()?)
    }

    /// Revokes all claims under a digest, of any run, because it was found wrong. The runs see the reason when they
    /// read their claims. Returns whether anything was changed.
    ///
    /// # Errors
    /// The errors of a commit.
    pub fn revoke(&self, digest: Digest, reason: &str) -> Result<bool, Error> {
        let _lock = self.lock("revoke tags")?;
        let seen = self.look()?;
        let mut changes = seen.burial();
        if seen.knows(digest) {
            let revoke =
                |place: &Place| VoucherChange::Revoke(place.clone(), digest, reason.to_owned());
            changes.extend(self.places.values().map(revoke));
        }
        let kept = seen.kept_without(digest);
        self.make_so("revoke tags", &kept, &Wanted::new(), &changes)
    }

    /// A consistent list of the claims on these tags, including revoked ones and those of ended runs that were not
    /// deleted yet.
    ///
    /// # Errors
    /// [`Error::Lock`] when the journal was opened with a limit that passed; [`Error::Catalog`].
    pub fn vouchers(&self) -> Result<Vec<Voucher>, Error> {
        // Waits until everything that is committed is applied.
        let _moment = self.journal.read()?;
        let mut found = Vec::new();
        for place in self.places.values() {
            found.extend(self.engine.look(|catalog| catalog.vouchers(place))?);
        }
        let (me, home) = (self.claimant()?, &self.engine.home);
        let alive = |run| Ok(run == me || self.engine.runs.is_alive(run)?);
        let process = |run| self.engine.look(|catalog| catalog.run_record(run));
        found
            .into_iter()
            .map(|row| view(row, |place| home.shown(place), alive, process))
            .collect()
    }

    /// The run in whose name this handle makes claims.
    ///
    /// # Errors
    /// [`Error::Disk`] when its byte cannot be locked.
    pub fn claimant(&self) -> Result<RunId, Error> {
        let around = match self.for_run_around {
            true => self.engine.parent()?,
            false => None,
        };
        around.map_or_else(|| self.engine.run_id(), Ok)
    }

    /// The runs that this process belongs to: its own, and the running ones around it. This process may rely on their
    /// claims.
    ///
    /// # Errors
    /// As for [`Tags::claimant`].
    pub fn mine(&self) -> Result<BTreeSet<RunId>, Error> {
        self.engine.belongs_to()
    }

    pub(super) fn look(&self) -> Result<Seen, Error> {
        Seen::look(self.engine, self.claimant()?, self.places.values())
    }

    /// Whether this run already claims these tags and they have the right content; the disk is read first, so that a
    /// claim made meanwhile counts.
    fn is_so(&self, digest: Digest, wanted: &Wanted<'_>) -> Result<bool, Error> {
        if !self.stand_as(wanted)? {
            return Ok(false);
        }
        let there = self.there()?;
        let seen = self.look()?;
        let kept = seen.kept_by_others();
        let accounted = |place: &Place| wanted.contains_key(place) || kept.contains(place);
        Ok(seen.is_own(digest, wanted.keys().copied())
            && seen.in_the_way(digest).is_empty()
            && there.into_iter().all(accounted))
    }

    fn lock(&self, purpose: &str) -> Result<Held, Error> {
        self.engine.check_usable()?;
        if self.engine.is_reading() {
            return Err(Conflict::at("lock/vouchers", ConflictKind::WouldDeadlock).into());
        }
        let (what, limit) = (("lock/vouchers", purpose), self.engine.lock_wait);
        let held = self.engine.noting(what, None, limit, |wait| {
            lock::acquire(
                &self.engine.home.locks,
                LOCK,
                Mode::Exclusive,
                purpose,
                wait,
            )
        });
        let held = held.map_err(|error| self.engine.explain(error))?;
        self.engine.home.check_in_place()?;
        Ok(held)
    }

    /// Withdraws the claims of this run that were read, under the lock.
    fn withdraw_seen(&self, seen: &Seen) -> Result<bool, Error> {
        let kept = seen.kept_by_others();
        self.make_so("clear tags", &kept, &Wanted::new(), &seen.withdrawal())
    }

    /// Withdraws the claims of this run without changing files, after the files could not be written.
    fn unvouch(&self) {
        let removed = self.look().and_then(|seen| match seen.own.is_empty() {
            true => Ok(()),
            false => self.record(&seen.withdrawal()),
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "failed to withdraw a claim on tags that could not be written");
        }
    }

    /// Refuses to wait for claims while this process holds anything that others may wait for, and to wait for a run
    /// that ends only after this process.
    fn refuse_to_wait(&self, seen: &Seen, digest: Digest) -> Result<(), Error> {
        let own: BTreeSet<_> = self.places.values().collect();
        let all = self.engine.look(|catalog| catalog.all_vouchers())?;
        let elsewhere = all
            .iter()
            .any(|row| row.run == seen.me && row.revoked.is_none() && !own.contains(&row.place));
        let mut never = elsewhere || self.engine.holds_anything()?;
        never = never || !seen.in_the_way(digest).is_disjoint(&self.mine()?);
        match (never, self.places.keys().next()) {
            (true, Some(path)) => Err(Conflict::at(path, ConflictKind::WouldDeadlock).into()),
            _ => Ok(()),
        }
    }
}
