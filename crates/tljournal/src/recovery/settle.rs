//! Rebuildable trees: synced after their commit, and checked after a power cut that came before.

use super::report::Recovery;
use crate::ambient;
use crate::apply::stat_at;
use crate::catalog::{EntryRow, Sync};
use crate::engine::Engine;
use crate::error::Error;
use crate::home::Parent;
use crate::lock::Mode;
use crate::model::{Change, Durability, Identity, Image, Kind, Place, Timestamp, TxnId};
use crate::tree::{self, Depth};

/// Syncs the trees that may not be on the medium yet, once for all of them; what they replaced is free
/// afterwards.
pub(crate) fn settle_trees(engine: &Engine) -> Result<(), Error> {
    let waiting = engine.look(|catalog| catalog.unsettled())?;
    let waiting: Vec<_> = waiting
        .into_iter()
        .filter(|(_, entry)| was_written_here(engine, entry))
        .collect();
    if waiting.is_empty() {
        return Ok(());
    }
    for (place, entry) in &waiting {
        if let Parent::There(parent) = engine.home.parent(place)? {
            match parent.open_dir(place.path.name()) {
                Ok(tree) => drop(tree.sync_filesystem()?),
                // Replaced or removed by somebody: there is nothing to settle any more.
                Err(error) => tracing::debug!(%error, txn = entry.txn, "nothing to settle"),
            }
        }
    }
    record_settled(engine, &waiting)
}

fn record_settled(engine: &Engine, settled: &[(Place, EntryRow)]) -> Result<(), Error> {
    engine.record(Sync::Normal, |catalog| {
        settled
            .iter()
            .try_for_each(|(place, entry)| catalog.settle_entry(place, entry.txn))
    })
}

/// Whether nothing can have happened to a tree since it was written but what a sync would mend.
fn was_written_here(engine: &Engine, entry: &EntryRow) -> bool {
    entry.unsettled.as_ref().is_some_and(|written| {
        written.boot == ambient::boot_id() && written.mount == engine.home.home_stat.mount
    })
}

/// Hashes the trees that were not known to be on the medium when the machine went down, and puts back
/// what was there before each torn one.
pub(super) fn check_after_reboot(engine: &Engine, report: &mut Recovery) -> Result<(), Error> {
    let waiting = engine.look(|catalog| catalog.unsettled())?;
    let doubtful: Vec<_> = waiting
        .into_iter()
        .filter(|(_, entry)| !was_written_here(engine, entry))
        .collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    let _lock = engine.commit_lock(Mode::Exclusive, "check trees after a power cut")?;
    super::finish_unfinished(engine)?;
    for (place, _) in doubtful {
        // Looked up again under the lock.
        let Some(entry) = engine.look(|catalog| catalog.entry(&place))? else {
            continue;
        };
        if entry.unsettled.is_none() || was_written_here(engine, &entry) {
            continue;
        }
        if is_whole(engine, &place, &entry)? {
            record_settled(engine, &[(place, entry)])?;
        } else {
            put_back(engine, &place, &entry)?;
            report.trees_put_back += 1;
        }
    }
    Ok(())
}

/// Whether a tree has the content it was installed with. Somebody else's tree at its path is left alone.
fn is_whole(engine: &Engine, place: &Place, entry: &EntryRow) -> Result<bool, Error> {
    let Some(root) = open(engine, place)? else {
        return Ok(false);
    };
    if root.own_stat()?.identity != entry.image.identity {
        // What is there is the one before, from a recovery that was cut short, or somebody else's.
        return Ok(
            replaced_by(engine, place, entry)?.is_none_or(|(_, identity)| {
                root.own_stat().is_ok_and(|stat| stat.identity != identity)
            }),
        );
    }
    let manifest = match entry.digest {
        Some(digest) => engine.look(|catalog| catalog.manifest(&digest))?,
        None => None,
    };
    match manifest {
        Some(manifest) => {
            let verdict = tree::verify(&root, &manifest, None, Depth::Full, &|_| {})?;
            Ok(verdict.differences.is_empty())
        }
        None => Ok(false),
    }
}

/// Whether a rebuildable tree that still waits at its spot is not what was staged: it was never synced,
/// and a power cut may have come before the medium had it.
pub(super) fn is_torn(engine: &Engine, id: TxnId, changes: &[Change]) -> Result<bool, Error> {
    for change in changes
        .iter()
        .filter(|change| change.durability == Durability::Rebuildable)
    {
        let (Some(new), Some(digest)) = (change.new, change.digest) else {
            continue;
        };
        let Some((dir, name)) = engine.home.spot(id, change)? else {
            continue;
        };
        if !dir
            .stat(&name)?
            .is_some_and(|stat| new.is_same_inode(&stat))
        {
            continue;
        }
        let Some(manifest) = engine.look(|catalog| catalog.manifest(&digest))? else {
            return Ok(true);
        };
        let root = dir.open_dir(&name)?;
        let verdict = tree::verify(&root, &manifest, None, Depth::Full, &|_| {})?;
        // The root is staged writable, whatever its mode will be.
        if verdict
            .differences
            .iter()
            .any(|difference| !difference.is_root())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts back what a torn tree replaced; where it replaced nothing it is moved out of the way. What is
/// torn is kept aside. May be cut short and repeated.
fn put_back(engine: &Engine, place: &Place, entry: &EntryRow) -> Result<(), Error> {
    let shown = engine.home.shown(place);
    let before = replaced_by(engine, place, entry)?;
    if let (Some((id, identity)), Parent::There(parent)) = (before, engine.home.parent(place)?) {
        let target = place.path.name();
        let dir = engine.home.txns.open_dir(&id.to_string());
        let name = entry.n.to_string();
        let waits = match &dir {
            Ok(dir) => dir
                .stat(&name)?
                .is_some_and(|stat| stat.identity == identity),
            Err(_) => false,
        };
        if let (true, Ok(dir)) = (waits, dir) {
            match parent.stat(target)? {
                Some(_) => dir.exchange(&name, &parent, target)?,
                None => dir.rename_new(&name, &parent, target)?,
            }
            let _synced = parent.sync()?;
        }
        let there = stat_at(engine, place)?;
        if let Some(stat) = there.filter(|stat| stat.identity == identity) {
            return record_earlier(engine, place, entry, Image::of(&stat), stat.ctime, &shown);
        }
    }
    if let Parent::There(parent) = engine.home.parent(place)? {
        let there = parent.stat(place.path.name())?;
        if there.is_some_and(|stat| stat.identity == entry.image.identity) {
            let kept = engine.home.set_aside(&parent, place.path.name(), "torn")?;
            let _synced = parent.sync()?;
            tracing::warn!(
                path = shown,
                kept,
                "a power cut tore this tree; it was moved away"
            );
        }
    }
    engine.record(Sync::Full, |catalog| {
        catalog.remove_entry(place)?;
        let detail = "a power cut tore the tree before it was on the medium; it is absent now";
        catalog.put_event((None, Some(entry.txn)), "tree lost", Some(&shown), detail)
    })
}

/// Records the earlier tree that is in place again.
fn record_earlier(
    engine: &Engine,
    place: &Place,
    entry: &EntryRow,
    image: Image,
    ctime: Timestamp,
    shown: &str,
) -> Result<(), Error> {
    let Some(root) = open(engine, place)? else {
        return Ok(());
    };
    let read = tree::read(&root, &|_| {})?;
    let row = EntryRow {
        image,
        ctime,
        racy: true,
        digest: Some(read.manifest.digest()),
        signature: None,
        unsettled: None,
        ..entry.clone()
    };
    tracing::warn!(
        path = shown,
        "a power cut tore this tree; the one before is back"
    );
    engine.record(Sync::Full, |catalog| {
        catalog.put_manifest(&read.manifest)?;
        catalog.put_entry(place, &row)?;
        let detail =
            "a power cut tore the tree before it was on the medium; the one before is back";
        catalog.put_event(
            (None, Some(entry.txn)),
            "tree put back",
            Some(shown),
            detail,
        )
    })
}

/// The transaction that installed a tree, and the inode that it replaced.
fn replaced_by(
    engine: &Engine,
    place: &Place,
    entry: &EntryRow,
) -> Result<Option<(TxnId, Identity)>, Error> {
    let changes = engine
        .look(|catalog| catalog.changes(entry.txn))?
        .unwrap_or_default();
    let change = changes
        .into_iter()
        .find(|change| change.n == entry.n && change.place == *place);
    let Some(pre) = change.and_then(|change| change.pre) else {
        return Ok(None);
    };
    let record = engine.look(|catalog| catalog.txn_record(entry.txn))?;
    Ok(record.map(|record| (record.id, pre.identity)))
}

fn open(engine: &Engine, place: &Place) -> Result<Option<crate::disk::Dir>, Error> {
    match stat_at(engine, place)? {
        Some(stat) if stat.kind == Kind::Dir => {}
        _ => return Ok(None),
    }
    match engine.home.parent(place)? {
        Parent::There(parent) => Ok(Some(parent.open_dir(place.path.name())?)),
        Parent::Missing { .. } => Ok(None),
    }
}
