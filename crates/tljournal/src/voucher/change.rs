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

/// Tags that belong together, and the vouchers for them.
#[derive(Debug)]
pub struct Tags<'a> {
    journal: &'a Journal,
    pub(super) engine: &'a Arc<Engine>,
    pub(super) places: BTreeMap<RelPath, Place>,
    /// Whether the run around this process vouches, and not its own.
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

    /// Vouches in the name of the innermost run around this process, if there is one: what a command of a
    /// shell task vouches for has to outlive that command. By itself each process vouches for its own
    /// verification, so that two below one run do not take each other's tags.
    #[must_use]
    pub fn for_run_around(mut self) -> Self {
        self.for_run_around = true;
        self
    }

    /// Vouches for these tags under a digest, and for no others of them. Afterwards they are there, and of
    /// the rest only those that other live runs vouch for under the same digest. Says whether anything was
    /// changed: the same again by the same run changes nothing.
    ///
    /// While other runs vouch under another digest this waits until they have ended or withdrawn, for as long
    /// as the journal was opened to wait for locks. What this run vouched for before is withdrawn first.
    ///
    /// # Errors
    /// [`Error::Conflict`] instead of a wait that could be for ever, because something is held that others
    /// may wait for; [`Error::Lock`] when that took too long; [`Error::Usage`] for a file that is not among
    /// the tags; as for a commit.
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
            // Whatever comes of it: what this run vouched for before is not what it wants any more.
            self.withdraw_seen(&seen)?;
            self.refuse_to_wait(&seen, digest)?;
            drop(lock);
            waiting
                .get_or_insert_with(Waiting::begin)
                .wait(self, digest)?;
        }
    }

    /// Takes back what this run vouches for. Afterwards only those tags are there that other live runs vouch
    /// for, whoever put the rest there. Says whether anything was changed.
    ///
    /// # Errors
    /// As for a commit.
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

    /// Revokes whatever any run vouches for under a digest, because it was found wrong. The runs are told the
    /// reason when they ask for their vouchers. Says whether anything was changed.
    ///
    /// # Errors
    /// As for a commit.
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

    /// Who vouches for these tags: of one moment, with the revoked vouchers and those of dead runs that nobody
    /// has cleared.
    ///
    /// # Errors
    /// [`Error::Lock`] when the journal was opened with a limit that passed; [`Error::Catalog`].
    pub fn vouchers(&self) -> Result<Vec<Voucher>, Error> {
        // What was committed is in place then.
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

    /// The run in whose name this handle vouches.
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

    /// The runs that this process belongs to: its own, and those around it that live. What one of them vouches
    /// for, this process may rely on.
    ///
    /// # Errors
    /// As for [`Tags::claimant`].
    pub fn mine(&self) -> Result<BTreeSet<RunId>, Error> {
        self.engine.belongs_to()
    }

    pub(super) fn look(&self) -> Result<Seen, Error> {
        Seen::look(self.engine, self.claimant()?, self.places.values())
    }

    /// Whether this run vouches for these tags already, and they are as they should be; the disk is looked at
    /// first, so that what is recorded meanwhile counts.
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

    /// Withdraws what was seen of this run, under the lock.
    fn withdraw_seen(&self, seen: &Seen) -> Result<bool, Error> {
        let kept = seen.kept_by_others();
        self.make_so("clear tags", &kept, &Wanted::new(), &seen.withdrawal())
    }

    /// Takes the own vouchers back without changing files, after those could not be put there.
    fn unvouch(&self) {
        let removed = self.look().and_then(|seen| match seen.own.is_empty() {
            true => Ok(()),
            false => self.record(&seen.withdrawal()),
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "a voucher remains for tags that could not be written");
        }
    }

    /// Refuses to wait for vouchers while anything is held that others may wait for, and for a run that ends
    /// only after this process.
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
