//! Rebuildable trees: they are synced after their commit, and checked after a power cut that came before the sync.

use super::report::Recovery;
use crate::ambient;
use crate::apply::{self, Direction, Outcome};
use crate::catalog::{EntryRow, Sync};
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::lock::Mode;
use crate::model::{
    Change, Durability, EventKind, Image, Op, Place, Signature, Stat, Timestamp, TxnId,
};
use crate::tree::{self, Depth, Difference, DifferenceKind};

/// A tree that may not be on the medium yet, with the change that installed it.
struct Waiting {
    place: Place,
    entry: EntryRow,
    id: TxnId,
    change: Change,
}

/// The trees within this opener's reach that may not be on the medium yet. An entry without a matching change is
/// skipped.
fn waiting(engine: &Engine) -> Result<Vec<Waiting>, Error> {
    let mut found = Vec::new();
    for (place, entry) in engine.look(|catalog| catalog.unsettled())? {
        let record = engine.look(|catalog| catalog.txn_record(entry.txn))?;
        let changes = engine.look(|catalog| catalog.changes(entry.txn))?;
        let rebuildable = |change: &Change| {
            change.n == entry.n
                && change.place == place
                && change.op == Op::Tree
                && change.durability == Durability::Rebuildable
        };
        let change = changes.unwrap_or_default().into_iter().find(rebuildable);
        if let (Some(record), Some(change), true) = (record, change, engine.home.may_touch(&place))
        {
            let id = record.id;
            found.push(Waiting {
                place,
                entry,
                id,
                change,
            });
        }
    }
    Ok(found)
}

/// Syncs the trees that may not be on the medium yet; afterwards the trees they replaced are no longer needed.
pub(crate) fn settle_trees(engine: &Engine) -> Result<(), Error> {
    let _acting = engine.home.act_as_owner();
    for waiting in waiting(engine)? {
        if was_written_here(engine, &waiting.entry) {
            if let Some(tree) = apply::open_tree(engine, &waiting.place)? {
                let identity = waiting.entry.image.identity;
                if engine.has_failed_to_sync(&waiting.place, identity)? {
                    // The replaced tree is retained until a later boot can check what the medium holds.
                    continue;
                }
                let synced = tree.sync_tree();
                if synced.is_err() {
                    engine.note_failed_sync(&waiting.place, identity);
                }
                let _synced = synced?;
            }
            record_settled(engine, &waiting)?;
        }
    }
    Ok(())
}

fn record_settled(engine: &Engine, settled: &Waiting) -> Result<(), Error> {
    engine.record(Sync::Normal, |catalog| {
        catalog.settle_entry(&settled.place, settled.entry.txn)
    })
}

/// Whether the tree was written during this boot and on this mount, so that a sync is sufficient.
fn was_written_here(engine: &Engine, entry: &EntryRow) -> bool {
    entry.unsettled.as_ref().is_some_and(|written| {
        written.boot == ambient::boot_id() && written.mount == engine.home.home_stat.mount
    })
}

/// Hashes the trees that were not synced before the last shutdown, or that are reached through another mount now, and
/// restores the previous version of each torn one.
pub(super) fn check_after_reboot(engine: &Engine, report: &mut Recovery) -> Result<(), Error> {
    let doubtful = |waiting: &Waiting| !was_written_here(engine, &waiting.entry);
    if !waiting(engine)?.iter().any(doubtful) {
        return Ok(());
    }
    let _lock = engine.commit_lock(Mode::Exclusive, "check trees after a power cut", None)?;
    super::finish_unfinished(engine)?;
    // Read again under the lock.
    for waiting in waiting(engine)?.iter().filter(|waiting| doubtful(waiting)) {
        // An error for one tree must not stop the check of the others.
        match check(engine, waiting) {
            Ok(put_back) => report.trees_put_back += u32::from(put_back),
            Err(error) => {
                let path = engine.home.shown(&waiting.place);
                tracing::warn!(path, %error, "cannot check a tree after a power cut");
            }
        }
    }
    Ok(())
}

/// Checks one tree; true if it was torn and has been replaced or removed.
fn check(engine: &Engine, waiting: &Waiting) -> Result<bool, Error> {
    let place = &waiting.place;
    let changes = std::slice::from_ref(&waiting.change);
    if apply::is_midway(engine, waiting.id, &waiting.change)? {
        // An earlier recovery was restoring the previous tree.
        apply::run(engine, waiting.id, changes, Direction::Back)?;
        apply::settle(engine, changes)?;
    }
    let there = apply::stat_at(engine, place)?;
    let is_earlier = |stat: &Stat| {
        waiting
            .change
            .pre
            .is_some_and(|pre| pre.is_same_inode(stat))
    };
    if there
        .as_ref()
        .is_none_or(|stat| !waiting.entry.image.is_same_inode(stat))
    {
        // The previous tree or nothing, from an interrupted recovery; or a tree of another program.
        return match there {
            None => record_absent(engine, waiting).map(|()| true),
            Some(stat) if is_earlier(&stat) => {
                record_earlier(engine, waiting, &stat).map(|()| true)
            }
            Some(_) => record_settled(engine, waiting).map(|()| false),
        };
    }
    let Some(root) = apply::open_tree(engine, place)? else {
        return Ok(false);
    };
    // By the clock of the filesystem, if the transaction recorded it.
    let signature = waiting.entry.signature.as_ref();
    let staged = match signature.and_then(Signature::newest) {
        Some(newest) => Some(newest),
        None => ended_at(engine, waiting.entry.txn)?,
    };
    let torn = is_tree_torn(engine, &root, &waiting.change, staged)?;
    if !torn || apply::run(engine, waiting.id, changes, Direction::Back)? != Outcome::Done {
        let _synced = root.sync_tree()?;
        return record_settled(engine, waiting).map(|()| false);
    }
    apply::settle(engine, changes)?;
    match apply::stat_at(engine, place)?.filter(is_earlier) {
        Some(stat) => record_earlier(engine, waiting, &stat)?,
        None => record_absent(engine, waiting)?,
    }
    Ok(true)
}

/// Whether a rebuildable tree of an unfinished transaction, wherever it is now, is torn or missing: it was never
/// synced, and a power cut may have come before it reached the medium.
pub(super) fn is_torn(
    engine: &Engine,
    (row, id): (i64, TxnId),
    changes: &[Change],
) -> Result<bool, Error> {
    let rebuildable = |change: &&Change| change.durability == Durability::Rebuildable;
    let staged = ended_at(engine, row)?;
    for change in changes.iter().filter(rebuildable) {
        let Some(new) = change.new else { continue };
        let mut trees = Vec::from_iter(apply::open_tree(engine, &change.place)?);
        if let Some((dir, name)) = engine.home.spot(id, change)? {
            trees.extend(dir.open_dir(&name).ok());
        }
        let mut is_there = false;
        for tree in trees {
            if new.is_same_inode(&tree.own_stat()?) {
                is_there = true;
                if is_tree_torn(engine, &tree, change, staged)? {
                    return Ok(true);
                }
            }
        }
        if !is_there {
            return Ok(true);
        }
    }
    Ok(false)
}

/// When a transaction was committed or, if later, applied.
fn ended_at(engine: &Engine, txn: i64) -> Result<Option<Timestamp>, Error> {
    let record = engine.look(|catalog| catalog.txn_record(txn))?;
    Ok(record.and_then(|record| record.ended_at))
}

/// Whether a tree has lost data that a transaction wrote to it. An edit is later than `staged`; what a power cut
/// leaves has the recorded mtime or one before that.
fn is_tree_torn(
    engine: &Engine,
    root: &Dir,
    change: &Change,
    staged: Option<Timestamp>,
) -> Result<bool, Error> {
    let Some(digest) = change.digest else {
        return Ok(false);
    };
    let Some(manifest) = engine.look(|catalog| catalog.manifest(&digest))? else {
        return Ok(false);
    };
    let verdict = tree::verify(root, &manifest, None, Depth::Full, &|_| {})?;
    let differences = &verdict.differences;
    let is_later = |other: &Difference| match other.what {
        DifferenceKind::Mtime { found, .. } => staged.is_some_and(|staged| found > staged),
        _ => false,
    };
    let is_edited = |path: &str| {
        let mut here = differences.iter().filter(|other| other.path == path);
        here.any(is_later)
    };
    Ok(differences.iter().any(|difference| match difference.what {
        DifferenceKind::Content | DifferenceKind::Size { .. } => !is_edited(&difference.path),
        DifferenceKind::Mtime { .. } => !is_later(difference),
        DifferenceKind::Missing => !is_edited(parent_of(&difference.path)),
        _ => false,
    }))
}

/// The directory of an entry, in the form of a difference.
fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

/// Records the previous tree, which is in place again.
fn record_earlier(engine: &Engine, torn: &Waiting, stat: &Stat) -> Result<(), Error> {
    let shown = engine.home.shown(&torn.place);
    let Some(root) = apply::open_tree(engine, &torn.place)? else {
        return Ok(());
    };
    let read = tree::read(&root, &|_| {})?;
    let row = EntryRow {
        image: Image::of(stat),
        ctime: stat.ctime,
        racy: true,
        digest: Some(read.manifest.digest()),
        signature: None,
        unsettled: None,
        facts: None,
        ..torn.entry.clone()
    };
    tracing::warn!(
        path = shown,
        "a power cut tore this tree; its previous version was restored"
    );
    engine.record(Sync::Full, |catalog| {
        catalog.put_manifest(&read.manifest)?;
        catalog.put_entry(&torn.place, &row)?;
        let detail =
            "a power cut tore the tree before it was on the medium; its previous version was restored";
        catalog.put_event(
            (None, Some(torn.entry.txn)),
            &EventKind::TreePutBack,
            Some(&shown),
            detail,
        )
    })
}

/// Records that a torn tree without a previous version is absent now.
fn record_absent(engine: &Engine, torn: &Waiting) -> Result<(), Error> {
    let shown = engine.home.shown(&torn.place);
    tracing::warn!(path = shown, "a power cut tore this tree; it is absent now");
    engine.record(Sync::Full, |catalog| {
        catalog.remove_entry(&torn.place)?;
        let detail = "a power cut tore the tree before it was on the medium; it is absent now";
        catalog.put_event(
            (None, Some(torn.entry.txn)),
            &EventKind::TreeLost,
            Some(&shown),
            detail,
        )
    })
}
