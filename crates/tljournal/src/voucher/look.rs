use std::collections::BTreeSet;

use crate::catalog::{VoucherChange, VoucherRow};
use crate::engine::Engine;
use crate::error::Error;
use crate::model::{Digest, Place, RunId};

/// The claims on some tags.
#[derive(Debug)]
pub(super) struct Seen {
    /// The run that this handle claims for.
    pub(super) me: RunId,
    /// Its own claims, including revoked ones.
    pub(super) own: Vec<VoucherRow>,
    /// The claims of other running runs.
    pub(super) others: Vec<VoucherRow>,
    /// The claims of ended runs.
    dead: Vec<VoucherRow>,
}

impl Seen {
    /// Reads the claims on the tags at these places, for a run that may claim them.
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
                    // Kept, so that its run sees the reason.
                    false if row.revoked.is_some() => {}
                    false => seen.others.push(row),
                }
            }
        }
        Ok(seen)
    }

    /// The runs with claims under another digest.
    pub(super) fn in_the_way(&self, digest: Digest) -> BTreeSet<RunId> {
        let others = self.others.iter().filter(|row| row.digest != digest);
        others.map(|row| row.run).collect()
    }

    /// The places of tags that other running runs claim.
    pub(super) fn kept_by_others(&self) -> BTreeSet<Place> {
        let others = self.others.iter();
        others.map(|row| row.place.clone()).collect()
    }

    /// The places of tags that a running run claims under another digest.
    pub(super) fn kept_without(&self, digest: Digest) -> BTreeSet<Place> {
        let own = self.own.iter().filter(|row| row.revoked.is_none());
        let kept = self
            .others
            .iter()
            .chain(own)
            .filter(|row| row.digest != digest);
        kept.map(|row| row.place.clone()).collect()
    }

    /// Whether a claim under this digest is still valid.
    pub(super) fn knows(&self, digest: Digest) -> bool {
        let mut all = self.others.iter().chain(&self.own);
        all.any(|row| row.digest == digest && row.revoked.is_none())
    }

    /// Whether this run already claims exactly these tags.
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

    /// Removes the own claims and those of ended runs.
    pub(super) fn withdrawal(&self) -> Vec<VoucherChange> {
        let gone = self.own.iter().chain(&self.dead);
        gone.map(|row| VoucherChange::Remove(row.place.clone(), row.run))
            .collect()
    }

    /// Removes the claims of ended runs.
    pub(super) fn burial(&self) -> Vec<VoucherChange> {
        let dead = self.dead.iter();
        dead.map(|row| VoucherChange::Remove(row.place.clone(), row.run))
            .collect()
    }
}
