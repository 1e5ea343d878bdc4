//! The tags themselves: reads them, and writes them together with their claims.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Tags;
use crate::apply;
use crate::catalog::{Sync, VoucherChange};
use crate::error::{Conflict, ConflictKind, Error};
use crate::home::Parent;
use crate::model::{Expect, Kind, Place};
use crate::txn::{Payload, Transaction};

/// The tags to write, with their content.
pub(super) type Wanted<'a> = BTreeMap<&'a Place, &'a [u8]>;

/// How often tags are written again after another program changed them meanwhile.
const TRIES: u32 = 4;

/// A longer tag is rewritten without comparing it.
const TAG_BYTES_MAX: u64 = 16 << 20;

impl Tags<'_> {
    /// Writes the wanted tags, keeps some, removes the rest, and records the claims in the same transaction. Returns
    /// whether anything was changed.
    pub(super) fn make_so(
        &self,
        label: &str,
        kept: &BTreeSet<Place>,
        wanted: &Wanted<'_>,
        changes: &[VoucherChange],
    ) -> Result<bool, Error> {
        let mut tries = 0;
        let receipt = loop {
            tries += 1;
            self.clear_the_way(wanted)?;
            let mut txn = Transaction::new(self.engine.clone(), label);
            for (path, place) in &self.places {
                match wanted.get(place) {
                    Some(content) => txn.put(path, Payload::from(*content), Expect::Any)?,
                    None if kept.contains(place) => {}
                    None => txn.remove(path, Expect::Any)?,
                }
            }
            txn.vouchers = changes.to_vec();
            match txn.prepare()?.commit() {
                Err(Error::Conflict(Conflict {
                    kind: ConflictKind::Edited,
                    ..
                })) if tries < TRIES => {}
                done => break done?,
            }
        };
        if receipt.txn().is_none() && !changes.is_empty() {
            self.record(changes)?;
        }
        Ok(receipt.changed_anything() || !changes.is_empty())
    }

    /// Changes claims without changing files.
    pub(super) fn record(&self, changes: &[VoucherChange]) -> Result<(), Error> {
        self.engine.home.check_in_place()?;
        self.engine.home.check_files(self.engine.files)?;
        self.engine.record_in_run(Sync::Normal, |catalog, _| {
            catalog.change_vouchers(changes, None)
        })
    }

    /// Removes anything but files from the paths of the tags.
    fn clear_the_way(&self, wanted: &Wanted<'_>) -> Result<(), Error> {
        let mut txn = Transaction::new(self.engine.clone(), "clear the way for tags");
        for (path, place) in &self.places {
            let there = apply::stat_at(self.engine, place)?;
            if wanted.contains_key(place) && there.is_some_and(|stat| stat.kind != Kind::File) {
                txn.remove(path, Expect::Any)?;
            }
        }
        match txn.id() {
            None => Ok(()),
            Some(_) => txn.prepare()?.commit().map(drop),
        }
    }

    /// Whether the wanted tags exist with the right content.
    pub(super) fn stand_as(&self, wanted: &Wanted<'_>) -> Result<bool, Error> {
        for (place, content) in wanted {
            let Parent::There(parent) = self.engine.home.parent(place)? else {
                return Ok(false);
            };
            let name = place.path.name();
            match parent.stat(name)? {
                Some(stat) if stat.kind == Kind::File => {}
                _ => return Ok(false),
            }
            if parent.read_small(name, TAG_BYTES_MAX)?.as_deref() != Some(*content) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The places that are not empty.
    pub(super) fn there(&self) -> Result<Vec<&Place>, Error> {
        let mut there = Vec::new();
        for place in self.places.values() {
            if apply::stat_at(self.engine, place)?.is_some() {
                there.push(place);
            }
        }
        Ok(there)
    }
}
