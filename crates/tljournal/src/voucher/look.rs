use std::collections::BTreeSet;

use crate::catalog::{VoucherChange, VoucherRow};
use crate::engine::Engine;
use crate::error::Error;
use crate::model::{Digest, Place, RunId};

/// Who vouches for some tags.
#[derive(Debug)]
pub(super) struct Seen {
    /// The run that this handle vouches for.
    pub(super) me: RunId,
    /// Its own vouchers, also the revoked ones.
    pub(super) own: Vec<VoucherRow>,
    /// What other live runs vouch for.
    pub(super) others: Vec<VoucherRow>,
    /// Vouchers of runs that are dead.
    dead: Vec<VoucherRow>,
}

impl Seen {
    /// Looks at the vouchers for tags at these places, as a run that may vouch for them.
    pub(super) fn look<'a>(
        engine: &Engine,
        me: RunId,
        places: impl Iterator<Item = &'a Place>,
    ) -> Result<Self, Error> {
        let mut seen = Self {
            me,
            own: Vec::new(),
            others: Vec::new(),
            dead: Vec::new(),
        };
        for place in places {
            for row in engine.look(|catalog| catalog.vouchers(place))? {
                match row.run == seen.me {
                    true => seen.own.push(row),
                    false if !engine.runs.is_alive(row.run)? => seen.dead.push(row),
                    // Kept, so that its run can be told.
                    false if row.revoked.is_some() => {}
                    false => seen.others.push(row),
                }
            }
        }
        Ok(seen)
    }

    /// The runs that vouch for anything but this.
    pub(super) fn in_the_way(&self, digest: Digest) -> BTreeSet<RunId> {
        let others = self.others.iter().filter(|row| row.digest != digest);
        others.map(|row| row.run).collect()
    }

    /// The places of tags that other live runs vouch for.
    pub(super) fn kept_by_others(&self) -> BTreeSet<Place> {
        let others = self.others.iter();
        others.map(|row| row.place.clone()).collect()
    }

    /// The places of tags that any live run vouches for, unless it is under this digest.
    pub(super) fn kept_without(&self, digest: Digest) -> BTreeSet<Place> {
        let own = self.own.iter().filter(|row| row.revoked.is_none());
        let kept = self
            .others
            .iter()
            .chain(own)
            .filter(|row| row.digest != digest);
        kept.map(|row| row.place.clone()).collect()
    }

    /// Whether anything of a digest is worth something still.
    pub(super) fn knows(&self, digest: Digest) -> bool {
        let mut all = self.others.iter().chain(&self.own);
        all.any(|row| row.digest == digest && row.revoked.is_none())
    }

    /// Whether this run vouches for exactly these tags already.
    pub(super) fn is_own<'a>(
        &self,
        digest: Digest,
        places: impl ExactSizeIterator<Item = &'a Place>,
    ) -> bool {
        let own = |place: &Place| {
            self.own
                .iter()
                .any(|row| row.place == *place && row.digest == digest && row.revoked.is_none())
        };
        places.len() == self.own.len() && { places }.all(own)
    }

    /// Removes the own vouchers and those of dead runs.
    pub(super) fn withdrawal(&self) -> Vec<VoucherChange> {
        let gone = self.own.iter().chain(&self.dead);
        gone.map(|row| VoucherChange::Remove(row.place.clone(), row.run))
            .collect()
    }

    /// Removes the vouchers of dead runs.
    pub(super) fn burial(&self) -> Vec<VoucherChange> {
        let dead = self.dead.iter();
        dead.map(|row| VoucherChange::Remove(row.place.clone(), row.run))
            .collect()
    }
}
