use std::collections::BTreeMap;

use super::act::{Outcome, run, settle};
use super::decide::Direction;
use crate::ambient;
use crate::catalog::{EntryRow, Sync, Unsettled};
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::{Damage, Error, chain};
use crate::home::Parent;
use crate::model::{
    Change, Digest, Durability, EventKind, Facts, Kind, Op, Place, Signature, Stat, Timestamp,
    TxnId, TxnState,
};
use crate::tree::{self, Depth};

/// What the process that staged a transaction knows in addition to its changes; recovery does not have it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The signatures of trees, by the number of the change.
    pub(crate) signatures: BTreeMap<u32, Signature>,
    /// The fingerprints of sources, and their manifests.
    pub(crate) sources: Vec<(Digest, Digest)>,
    /// Entries that were verified by hashing and now have a signature that proves their content.
    pub(crate) refreshed: Vec<(Place, EntryRow)>,
    /// The number of retained bytes, if it is known without reading the disk.
    pub(crate) kept: Option<u64>,
}

/// A transaction past its commit point.
#[derive(Debug)]
pub(crate) struct Committed<'a> {
    pub(crate) row: i64,
    pub(crate) id: TxnId,
    pub(crate) changes: &'a [Change],
}

/// The result of a transaction.
#[derive(Debug)]
pub(crate) enum Ending {
    Applied,
    /// A change of another program at this place prevented it, and everything was rolled back.
    TakenBack(Place),
}

/// The event text for a tree that was filled in place.
const FILLED: &str = "it lies in the lower layer of an overlay and cannot be exchanged: it was changed in \
                      place, entry by entry, and readers may have seen a mixture meanwhile";

/// A change within this time after another one may get the same ctime.
pub(crate) const RACY_NANOS: i128 = 20_000_000;

impl Committed<'_> {
    /// Finishes the transaction: applies it, syncs it, and records that. If a change of another program prevents it,
    /// or the system refuses, it is rolled back.
    pub(crate) fn finish(&self, engine: &Engine, known: &Known) -> Result<Ending, Error> {
        let span = tracing::info_span!("apply", txn = %self.id, changes = self.changes.len());
        let _in_span = span.enter();
        match run(engine, self.id, self.changes, Direction::Forward) {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Unreachable(place)) => return Err(self.unreachable(engine, &place)),
            Ok(Outcome::Blocked(place)) => {
                let reason = format!("another program changed `{}`", engine.home.shown(&place));
                self.begin_abort(engine, &reason)?;
                self.take_back(engine)?;
                return Ok(Ending::TakenBack(place));
            }
            Err(error) => {
                self.begin_abort(engine, &chain(&error))?;
                self.take_back(engine)?;
                return Err(error);
            }
        }
        settle(engine, self.changes)?;
        self.record_applied(engine, known)?;
        Ok(Ending::Applied)
    }

    /// Leaves the transaction as it is, until the staging slot next to its target can be reached again.
    fn unreachable(&self, engine: &Engine, place: &Place) -> Error {
        let shown = engine.home.shown(place);
        let reason = format!(
            "what it staged next to `{shown}` is missing; its filesystem may not be mounted"
        );
        Damage::Stuck {
            txn: self.id,
            reason,
        }
        .into()
    }

    /// Rolls the transaction back for the caller's reason.
    pub(crate) fn give_up(&self, engine: &Engine, reason: &str) -> Result<Ending, Error> {
        self.begin_abort(engine, reason)?;
        self.take_back(engine)?;
        Ok(match self.changes.first() {
            Some(change) => Ending::TakenBack(change.place.clone()),
            None => Ending::Applied,
        })
    }

    /// Decides durably that the transaction is rolled back. If this cannot be recorded, nothing may be undone and it
    /// stays committed.
    fn begin_abort(&self, engine: &Engine, reason: &str) -> Result<(), Error> {
        tracing::warn!(txn = %self.id, reason, "rolling a committed transaction back");
        engine.record(Sync::Full, |catalog| {
            catalog.move_txn(
                self.row,
                TxnState::Committed,
                TxnState::Aborting,
                Some(reason),
            )
        })?;
        Ok(())
    }

    /// Undoes the changes of an aborting transaction that are in place.
    pub(crate) fn take_back(&self, engine: &Engine) -> Result<(), Error> {
        let outcome = run(engine, self.id, self.changes, Direction::Back)?;
        settle(engine, self.changes)?;
        let (Outcome::Blocked(place) | Outcome::Unreachable(place)) = outcome else {
            engine.record(Sync::Normal, |catalog| {
                catalog.move_txn(self.row, TxnState::Aborting, TxnState::Aborted, None)
            })?;
            return Ok(());
        };
        let shown = engine.home.shown(&place);
        let kept = engine.home.txns.path().join(self.id.to_string());
        let reason =
            format!("`{shown}` was changed meanwhile; what was there before is in `{kept}`");
        engine.record(Sync::Full, |catalog| {
            let stuck = Some(reason.as_str());
            catalog.move_txn(self.row, TxnState::Aborting, TxnState::Stuck, stuck)
        })?;
        Err(Damage::Stuck {
            txn: self.id,
            reason,
        }
        .into())
    }

    /// Records that all changes are applied, with the resulting entries.
    pub(crate) fn record_applied(&self, engine: &Engine, known: &Known) -> Result<(), Error> {
        let mut entries = Vec::new();
        let has_entry = |change: &&Change| !matches!(change.op, Op::Parent | Op::Dir | Op::Part);
        for change in self.changes.iter().filter(has_entry) {
            entries.push((change, self.entry_after(engine, change, known)?));
        }
        let filled = self.changes.iter().filter(|change| change.op == Op::Fill);
        let filled: Vec<_> = filled
            .map(|change| engine.home.shown(&change.place))
            .collect();
        engine.record(Sync::Normal, |catalog| {
            for (look, manifest) in &known.sources {
                catalog.put_source(look, manifest)?;
            }
            for (place, entry) in &known.refreshed {
                catalog.put_entry(place, entry)?;
            }
            for (change, entry) in &entries {
                match entry {
                    Some(entry) => catalog.put_entry(&change.place, entry)?,
                    None => catalog.remove_entry(&change.place)?,
                }
            }
            if known.kept.is_some() {
                catalog.set_kept(self.row, known.kept)?;
            }
            for path in &filled {
                let txn = (None, Some(self.row));
                catalog.put_event(txn, &EventKind::WeakerPromise, Some(path), FILLED)?;
            }
            catalog.move_txn(self.row, TxnState::Committed, TxnState::Applied, None)
        })?;
        Ok(())
    }

    /// The entry to record for a change's place; `None` if nothing is there.
    fn entry_after(
        &self,
        engine: &Engine,
        change: &Change,
        known: &Known,
    ) -> Result<Option<EntryRow>, Error> {
        let Some(image) = change.new else {
            return Ok(None);
        };
        let there = stat_at(engine, &change.place)?.filter(|stat| image.is_same_inode(stat));
        let read = match change.op {
            // A process that cannot read the whole tree may still have applied it.
            Op::Fill => sign(engine, change).unwrap_or_else(|error| {
                tracing::warn!(%error, "a tree that was filled in place is not signed");
                None
            }),
            _ => None,
        };
        let signature = known.signatures.get(&change.n).or(read.as_ref());
        let ctime = there.map_or(Timestamp::default(), |stat| stat.ctime);
        let newest = match change.op {
            // The rename of its root does not change the entries of a tree.
            Op::Tree | Op::Fill => signature.and_then(Signature::newest),
            Op::Adopt => signature.map_or(Some(ctime), Signature::newest),
            // The rename has just set the ctime.
            Op::Put | Op::Link | Op::Remove | Op::Parent | Op::Dir | Op::Part => None,
        };
        let unsettled = (change.durability == Durability::Rebuildable).then(|| Unsettled {
            boot: ambient::boot_id().to_owned(),
            mount: engine.home.home_stat.mount,
        });
        let facts = match &there {
            Some(stat) if stat.kind == Kind::File => facts_at(engine, &change.place, stat)?,
            _ => None,
        };
        Ok(Some(EntryRow {
            facts,
            txn: self.row,
            n: change.n,
            image,
            ctime,
            racy: !newest.is_some_and(is_settled),
            digest: change.digest,
            target: change.target.clone(),
            signature: signature.cloned(),
            unsettled,
        }))
    }
}

/// Verifies and signs a tree that was filled in place; `None` if it differs from the manifest.
fn sign(engine: &Engine, change: &Change) -> Result<Option<Signature>, Error> {
    let (Some(digest), Some(root)) = (change.digest, open_tree(engine, &change.place)?) else {
        return Ok(None);
    };
    let Some(manifest) = engine.known_manifest(&digest)? else {
        return Ok(None);
    };
    let verdict = tree::verify(&root, &manifest, None, Depth::Full, &|_| {})?;
    match verdict.differences.first() {
        None => Ok(verdict.refreshed),
        Some(difference) => {
            let path = engine.home.shown(&change.place);
            tracing::warn!(path, %difference, "the tree was changed by another program while it was filled");
            Ok(None)
        }
    }
}

/// The owner, group and attributes of the file at a place.
fn facts_at(engine: &Engine, place: &Place, stat: &Stat) -> Result<Option<Facts>, Error> {
    let Some(parent) = parent_at(engine, place)? else {
        return Ok(None);
    };
    let attributes = parent.attributes(place.path.name())?.mark();
    Ok(Some(Facts {
        attributes,
        ..Facts::of(stat)
    }))
}

/// Whether a change made from now on must get a later ctime. If the time is a whole second, the filesystem's clock
/// may have a resolution of seconds.
pub(crate) fn is_settled(newest: Timestamp) -> bool {
    let tick = RACY_NANOS.max(i128::from(newest.grain()));
    newest.as_nanos() + tick < ambient::now().as_nanos()
}

/// The `stat` of what is at a place, if anything.
pub(crate) fn stat_at(engine: &Engine, place: &Place) -> Result<Option<Stat>, Error> {
    match parent_at(engine, place)? {
        Some(parent) => Ok(parent.stat(place.path.name())?),
        None => Ok(None),
    }
}

/// The tree at a place, if there is one.
pub(crate) fn open_tree(engine: &Engine, place: &Place) -> Result<Option<Dir>, Error> {
    let Some(parent) = parent_at(engine, place)? else {
        return Ok(None);
    };
    match parent.stat(place.path.name())? {
        Some(stat) if stat.kind == Kind::Dir => Ok(Some(parent.open_dir(place.path.name())?)),
        _ => Ok(None),
    }
}

/// The directory that holds a place; `None` if a link or a file is on the way there by now.
pub(crate) fn parent_at(engine: &Engine, place: &Place) -> Result<Option<Dir>, Error> {
    match engine.home.parent(place) {
        Ok(Parent::There(parent)) => Ok(Some(parent)),
        Ok(Parent::Missing { .. }) | Err(Error::Conflict(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
