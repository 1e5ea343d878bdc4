use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{EntryRow, EventFilter, Sync};
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::{STAGED_PATHS, Staging, out_name};
use crate::kept::{self, StagedPaths, Weight};
use crate::lock;
use crate::model::{Change, EventKind, Kind, Op, RelPath, Spot, Stat, TxnId};
use crate::tree::{self, Depth};

/// What becomes of the content that a transaction replaced, or had staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It goes.
    Nothing,
    /// It is kept, if it may be.
    Replaced,
    /// It never did: what was staged is kept, if it may be.
    Staged,
}

/// What is left in the directory of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Nothing; nor is the directory.
    Nothing,
    /// Something that somebody holds, or has locked; it is for the next sweep.
    Held,
    /// So many bytes that are kept.
    Kept(u64),
}

/// Keeps of what a transaction left at its spots what may be kept, clears the rest, and records that. The
/// caller has locked the directory, and no commit lock.
pub(crate) fn clear(
    engine: &Engine,
    (row, id): (i64, TxnId),
    staging: &Staging,
    changes: &[Change],
    replaced: &BTreeMap<u32, EntryRow>,
    keep: Keep,
) -> Result<Remains, Error> {
    let remains = discard(engine, id, staging, changes, replaced, keep)?;
    if let Remains::Kept(bytes) = remains {
        engine.record(Sync::Normal, |catalog| catalog.set_kept(row, Some(bytes)))?;
    }
    Ok(remains)
}

/// Deletes what a finished transaction has left at its spots, if nobody holds it: what was replaced, if
/// that is not to be kept, and what was staged and not used. The caller has locked the directory, and no
/// commit lock.
///
/// What was not the journal's own work, or was edited since, goes aside instead. What is pinned stays, and
/// so does the directory then; the next sweep tries again. `replaced` has what the catalog said of what
/// was replaced, as far as the caller knows it.
pub(crate) fn discard(
    engine: &Engine,
    id: TxnId,
    staging: &Staging,
    changes: &[Change],
    replaced: &BTreeMap<u32, EntryRow>,
    keep: Keep,
) -> Result<Remains, Error> {
    let mut all_gone = true;
    let (mut kept, mut names) = (None, BTreeSet::new());
    for change in changes {
        if matches!(change.op, Op::Adopt | Op::Parent) {
            continue;
        }
        let Some((dir, name)) = engine.home.spot(id, change)? else {
            continue;
        };
        let is_whole = |whole: &&Change| {
            whole.op == Op::Fill
                && change.place.anchor == whole.place.anchor
                && change.place.path.is_within(&whole.place.path)
        };
        let whole = match change.op {
            Op::Part => changes.iter().find(is_whole),
            _ => None,
        };
        for name in [out_name(&name), name] {
            match discard_one(engine, id, (change, whole), (&dir, &name), replaced, keep)? {
                Remains::Nothing => {}
                Remains::Held => all_gone = false,
                Remains::Kept(bytes) => {
                    kept = Some(kept.unwrap_or(0) + bytes);
                    names.insert(name);
                }
            }
        }
    }
    let paths = match keep {
        Keep::Staged => Some(StagedPaths::of(staging)?),
        Keep::Nothing | Keep::Replaced => None,
    };
    for name in staging.dir.names()? {
        let shown = name.to_string_lossy();
        if names.contains(shown.as_ref()) || shown == STAGED_PATHS {
            continue;
        }
        let weight = match &paths {
            Some(paths) => paths.weigh(engine, staging, &shown)?,
            None => Weight::No,
        };
        if lock::is_locked_within(&staging.dir, &name)? {
            all_gone = false;
        } else if let Weight::Bytes(bytes) = weight {
            kept = Some(kept.unwrap_or(0) + bytes);
        } else if all_gone || shown.ends_with(GONE) {
            // Nothing that a change accounts for: a file that was being staged when its owner died.
            staging.dir.remove_tree(&name)?;
        }
    }
    if all_gone && kept.is_none() && staging.dir.stat(STAGED_PATHS)?.is_some() {
        staging.dir.remove_file(STAGED_PATHS)?;
    }
    Ok(match (all_gone, kept) {
        (false, _) => Remains::Held,
        (true, Some(bytes)) => Remains::Kept(bytes),
        (true, None) => {
            engine.home.txns.remove_dir(id.to_string())?;
            Remains::Nothing
        }
    })
}

/// Deletes what a change has left under one name, or keeps it.
fn discard_one(
    engine: &Engine,
    id: TxnId,
    (change, whole): (&Change, Option<&Change>),
    (dir, name): (&Dir, &str),
    replaced: &BTreeMap<u32, EntryRow>,
    keep: Keep,
) -> Result<Remains, Error> {
    let Some(stat) = dir.stat(name)? else {
        return Ok(Remains::Nothing);
    };
    if lock::is_locked_within(dir, name)? {
        tell_pinned(engine, id, change)?;
        return Ok(Remains::Held);
    }
    let is_replaced = change.pre.is_some_and(|pre| pre.is_same_inode(&stat));
    let weight = match is_replaced {
        true => kept::weigh(
            engine,
            &engine.home.shown(&change.place),
            (dir, name, &stat),
        )?,
        false => Weight::No,
    };
    let is_drift = is_drift(engine, id, change, (dir, name, &stat), replaced)?;
    if weight == Weight::KeyMaterial {
        tell_not_kept(engine, id, change)?;
    }
    // What somebody did in a tree stays, but for the keys in it. What nobody touched stays whole until it
    // goes: with something missing it would look like an edit, if this is cut short.
    let goes_aside = is_drift
        && (weight != Weight::KeyMaterial
            || kept::remove_keys(
                &engine.key_material,
                &engine.home.shown(&change.place),
                (dir, name, &stat),
            )?);
    if goes_aside {
        match whole.filter(|_| change.spot == Spot::Home) {
            Some(whole) => keep_part_aside(engine, id, (change, whole), (dir, name))?,
            None => keep_aside(engine, id, change, (dir, name, &stat))?,
        }
        return Ok(Remains::Nothing);
    } else if let (Weight::Bytes(bytes), true) = (weight, may_keep(engine, change, keep)) {
        return Ok(Remains::Kept(bytes));
    }
    if change.spot == Spot::Home {
        // Renamed before it is deleted, so that half of it is not taken for somebody's edit if this is
        // cut short.
        dir.rename_new(name, dir, &format!("{name}{GONE}"))?;
    } else {
        dir.remove_tree(name)?;
    }
    Ok(Remains::Nothing)
}

/// Whether what a change replaced is something that can be put back as a whole.
fn may_keep(engine: &Engine, change: &Change, keep: Keep) -> bool {
    let is_whole = !matches!(change.op, Op::Fill | Op::Dir | Op::Part);
    keep == Keep::Replaced
        && is_whole
        && change.spot == Spot::Home
        && engine.retention.kept.count > 0
}

/// Records, once, that those who have a tree pinned go on with the replaced one.
fn tell_pinned(engine: &Engine, id: TxnId, change: &Change) -> Result<(), Error> {
    let path = engine.home.shown(&change.place);
    tracing::info!(path, "the replaced tree is pinned");
    let Some(txn) = engine.look(|catalog| catalog.txn(id))?.map(|row| row.row) else {
        return Ok(());
    };
    let about = EventFilter {
        txn: Some(txn),
        ..EventFilter::default()
    };
    let told = engine.look(|catalog| catalog.events(&about))?;
    if told
        .iter()
        .any(|event| event.kind == EventKind::ReplacedPinned)
    {
        return Ok(());
    }
    let detail = "those who have it pinned keep the one that was replaced, until they let it go";
    engine.record(Sync::Normal, |catalog| {
        catalog.put_event(
            (None, Some(txn)),
            &EventKind::ReplacedPinned,
            Some(&path),
            detail,
        )
    })
}

fn tell_not_kept(engine: &Engine, id: TxnId, change: &Change) -> Result<(), Error> {
    let path = engine.home.shown(&change.place);
    let row = engine.look(|catalog| catalog.txn(id))?.map(|row| row.row);
    engine.record(Sync::Normal, |catalog| {
        let detail = "what was replaced holds private keys, which are never kept";
        catalog.put_event((None, row), &EventKind::NotKept, Some(&path), detail)
    })
}

/// What the name of an entry ends with that is being deleted.
const GONE: &str = ".gone";

/// Marks everything in a transaction's directory as being deleted. The caller has locked it, and knows that
/// nobody holds anything of it.
pub(crate) fn give_up(staging: &Staging) -> Result<(), Error> {
    for name in staging.dir.names()? {
        let Some(name) = name.to_str() else { continue };
        if name == STAGED_PATHS || name.ends_with(GONE) {
            continue;
        }
        let gone = format!("{name}{GONE}");
        if staging.dir.stat(&gone)?.is_some() {
            staging.dir.remove_tree(&gone)?;
        }
        staging.dir.rename_new(name, &staging.dir, &gone)?;
    }
    Ok(())
}

/// Whether what was replaced is a person's or another program's work.
fn is_drift(
    engine: &Engine,
    id: TxnId,
    change: &Change,
    (dir, name, stat): (&Dir, &str, &Stat),
    replaced: &BTreeMap<u32, EntryRow>,
) -> Result<bool, Error> {
    let is_replaced = change.pre.is_some_and(|pre| pre.is_same_inode(stat));
    if !is_replaced || change.drift {
        return Ok(is_replaced);
    }
    if stat.kind != Kind::Dir {
        return Ok(false);
    }
    // An edit inside a tree does not show at its root.
    let entry = replaced.get(&change.n);
    let digest = match entry {
        Some(entry) => entry.digest,
        None => engine.look(|catalog| catalog.digest_before(&change.place, id))?,
    };
    let manifest = match digest {
        Some(digest) => engine.known_manifest(&digest)?,
        None => None,
    };
    let Some(manifest) = manifest else {
        return Ok(false);
    };
    let signature = entry.and_then(|entry| entry.signature_if(!entry.racy));
    let signature = signature.as_deref();
    let root = dir.open_dir(name)?;
    let verdict = tree::verify(&root, &manifest, signature, Depth::Signature, &|_| {})?;
    // The root may have been made writable to be moved.
    Ok(verdict
        .differences
        .iter()
        .any(|difference| !difference.is_root()))
}

fn keep_aside(
    engine: &Engine,
    id: TxnId,
    change: &Change,
    (dir, name, stat): (&Dir, &str, &Stat),
) -> Result<(), Error> {
    let what = change.place.path.name();
    let kept = match change.spot {
        Spot::Home => {
            let group = engine.home.group_of(id);
            let path = RelPath::new(&engine.home.shown(&change.place))
                .unwrap_or(change.place.path.clone());
            let (group, _) = engine.home.set_aside_within(&group, dir, name, &path)?;
            format!("{group}/{path}")
        }
        Spot::Beside(_) => {
            let kept = engine.home.copy_aside(dir, name, stat, what)?;
            dir.remove_tree(name)?;
            kept
        }
    };
    record_drift(engine, id, change, &kept)
}

/// Keeps what was replaced within a tree that was filled in place: together with the rest of it, under the
/// path that it had there.
fn keep_part_aside(
    engine: &Engine,
    id: TxnId,
    (change, whole): (&Change, &Change),
    (dir, name): (&Dir, &str),
) -> Result<(), Error> {
    let Some(inside) = change.place.path.below(&whole.place.path) else {
        return Ok(());
    };
    let group = format!("{id}-{}", whole.place.path.name());
    let (kept, is_first) = engine.home.set_aside_within(&group, dir, name, &inside)?;
    match is_first {
        true => record_drift(engine, id, whole, &kept),
        false => Ok(()),
    }
}

fn record_drift(engine: &Engine, id: TxnId, change: &Change, kept: &str) -> Result<(), Error> {
    let path = engine.home.shown(&change.place);
    tracing::warn!(
        path,
        kept,
        "what was replaced was not as the journal left it; it is kept"
    );
    let detail = format!("what was replaced was not as the journal left it; it is kept in {kept}");
    let row = engine.look(|catalog| catalog.txn(id))?.map(|row| row.row);
    engine.record(Sync::Normal, |catalog| {
        catalog.put_event((None, row), &EventKind::Drift, Some(&path), &detail)
    })
}
