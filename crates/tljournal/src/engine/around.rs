//! The live ancestor runs of this process, and the locks that they hold.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::Engine;
use crate::ambient;
use crate::error::Error;
use crate::lineage::{self, Ancestor, Loan, Thing};
use crate::lock::{self, Mode};
use crate::model::RunId;

impl Engine {
    /// The live ancestor runs of this process in this home, the outermost first.
    pub(super) fn ancestors(&self) -> Result<Vec<&Ancestor>, Error> {
        let mut living = Vec::new();
        for ancestor in &self.lineage.0 {
            if self.runs.is_alive(ancestor.run)? {
                living.push(ancestor);
            }
        }
        Ok(living)
    }

    /// The run that started this one.
    pub(crate) fn parent(&self) -> Result<Option<RunId>, Error> {
        Ok(self.ancestors()?.last().map(|ancestor| ancestor.run))
    }

    /// Whether this process was started, directly or indirectly, by a run.
    pub(crate) fn is_started_by(&self, run: RunId) -> Result<bool, Error> {
        Ok(self.ancestors()?.iter().any(|ancestor| ancestor.run == run))
    }

    /// Whether an ancestor holds something, so that this handle need not acquire it, or can never acquire it.
    pub(crate) fn loan(&self, thing: &Thing, mode: Mode) -> Result<Loan, Error> {
        // A run of another home is not in the list of live runs here; the inherited descriptor proves that it holds
        // the lock.
        let lenders = match thing {
            Thing::File(file) | Thing::Tree(file) if ambient::inherits_lock(file.ino) => {
                self.lineage.0.iter().collect()
            }
            _ => self.ancestors()?,
        };
        Ok(lineage::loan(lenders.into_iter(), thing, mode))
    }

    /// An ancestor run that holds something.
    pub(crate) fn held_above(&self, thing: &Thing) -> Result<Option<RunId>, Error> {
        let ancestors = self.ancestors()?;
        let mut holding = ancestors
            .iter()
            .filter(|ancestor| ancestor.mode_of(thing).is_some());
        Ok(holding.next().map(|ancestor| ancestor.run))
    }

    /// Whether this handle or an ancestor run holds a lock that other processes may wait for.
    pub(crate) fn keeps_others_waiting(&self) -> Result<bool, Error> {
        if self.held.load(Ordering::Acquire) > 0 {
            return Ok(true);
        }
        let ancestors = self.ancestors()?;
        let mut held = ancestors.iter().flat_map(|ancestor| &ancestor.holds);
        Ok(held.any(|held| !matches!(held.thing, Thing::Tree(_))))
    }

    /// Whether this process or an ancestor run holds anything that other processes may wait for.
    pub(crate) fn holds_anything(&self) -> Result<bool, Error> {
        let held = self.held.load(Ordering::Acquire) > 0
            || crate::pin::holds_any(self.home_key())
            || lock::KeyByte::is_held_here();
        let above = |ancestor: &&Ancestor| !ancestor.holds.is_empty();
        Ok(held || self.ancestors()?.iter().any(above))
    }

    /// The runs of this process: its own and its live ancestors.
    pub(crate) fn belongs_to(&self) -> Result<BTreeSet<RunId>, Error> {
        let around = self.ancestors()?.into_iter().map(|ancestor| ancestor.run);
        let mut runs: BTreeSet<_> = around.collect();
        runs.insert(self.run_id()?);
        Ok(runs)
    }
}
