use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use crate::catalog::{EntryRow, EventFilter, Sync};
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::{Copied, GONE, STAGED_PATHS, Staging, out_name, txn_path};
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
/// so does the directory then; the next sweep tries again. What the system refuses to delete or move stays too, and
/// is noted. `replaced` has what the catalog said of what
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
    let left = |(dir, name): (&Dir, &OsStr), clear: &mut dyn FnMut() -> Result<Remains, Error>| {
        let leftovers = &engine.home.leftovers;
        let remains = leftovers.attempt(&txn_path(id), (dir, name), clear)?;
        Ok::<_, Error>(remains.unwrap_or(Remains::Held))
    };
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
        for name in [out_name(&name), format!("{name}{GONE}"), name] {
            if change.spot == Spot::Home && name.ends_with(GONE) {
                // All of those are deleted below.
                continue;
            }
            let what = (change, whole);
            match left((&dir, name.as_ref()), &mut || {
                discard_one(engine, id, what, (&dir, &name), replaced, keep)
            })? {
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
        Keep::Staged => Some(StagedPaths::of(staging)),
        Keep::Nothing | Keep::Replaced => None,
    };
    for name in staging.dir.names()? {
        let shown = name.to_string_lossy();
        if names.contains(shown.as_ref()) || shown == STAGED_PATHS {
            continue;
        }
        let goes_anyway = all_gone || shown.ends_with(GONE);
        match left((&staging.dir, &name), &mut || {
            discard_stray(engine, staging, &name, paths.as_ref(), goes_anyway)
        })? {
            Remains::Nothing => {}
            Remains::Held => all_gone = false,
            Remains::Kept(bytes) => kept = Some(kept.unwrap_or(0) + bytes),
        }
    }
    if !all_gone {
        return Ok(Remains::Held);
    }
    if let Some(bytes) = kept {
        return Ok(Remains::Kept(bytes));
    }
    let (txns, name) = (&engine.home.txns, id.to_string());
    let remains = left((txns, name.as_ref()), &mut || {
        staging.dir.remove_tree(STAGED_PATHS)?;
        txns.remove_dir(&name)?;
        Ok(Remains::Nothing)
    })?;
    if remains == Remains::Nothing {
        engine.home.leftovers.is_gone(&txn_path(id));
    }
    Ok(remains)
}

/// Deletes something that no change accounts for, or keeps it: a file that was being staged when its owner died.
fn discard_stray(
    engine: &Engine,
    staging: &Staging,
    name: &OsStr,
    paths: Option<&StagedPaths>,
    goes_anyway: bool,
) -> Result<Remains, Error> {
    if lock::is_locked_within(&staging.dir, name)? {
        return Ok(Remains::Held);
    }
    let weight = match (paths, name.to_str()) {
        (Some(paths), Some(name)) => paths.weigh(engine, staging, name)?,
        _ => Weight::No,
    };
    if let Weight::Bytes(bytes) = weight {
        return Ok(Remains::Kept(bytes));
    }
    if goes_anyway {
        staging.dir.remove_tree(name)?;
    }
    Ok(Remains::Nothing)
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
    if name.ends_with(GONE) {
        dir.remove_tree(name)?;
        return Ok(Remains::Nothing);
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
            None => keep_aside(engine, id, change, (dir, name))?,
        }
        return Ok(Remains::Nothing);
    } else if let (Weight::Bytes(bytes), true) = (weight, may_keep(engine, change, keep)) {
        return Ok(Remains::Kept(bytes));
    }
    // Renamed before it is deleted, so that half of it is not taken for somebody's edit if this is cut short.
    let gone = format!("{name}{GONE}");
    dir.rename_new(name, dir, &gone)?;
    if change.spot != Spot::Home {
        dir.remove_tree(&gone)?;
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

/// Marks everything in a transaction's directory as being deleted. The caller has locked it, and knows that
/// nobody holds anything of it. What is not named by the journal needs no mark: nobody takes it for kept content.
pub(crate) fn give_up(staging: &Staging) -> Result<(), Error> {
    for name in staging.dir.names()? {
        let Some(name) = name.to_str() else { continue };
        let is_own = name.starts_with(|c: char| c.is_ascii_digit()) && name.len() <= OWN_NAME_MAX;
        if !is_own || name.ends_with(GONE) {
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

/// How long a name can be that the journal gives to a staged entry: a number, and what is added to it.
const OWN_NAME_MAX: usize = 32;

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
    let verdict = match dir.open_dir(name) {
        Ok(root) => tree::verify(&root, &manifest, signature, Depth::Signature, &|_| {}),
        Err(error) => Err(error.into()),
    };
    // The root may have been made writable to be moved. What cannot be looked through may hold somebody's work.
    Ok(verdict.map_or(true, |verdict| {
        let mut differences = verdict.differences.iter();
        differences.any(|difference| !difference.is_root())
    }))
}

fn keep_aside(
    engine: &Engine,
    id: TxnId,
    change: &Change,
    (dir, name): (&Dir, &str),
) -> Result<(), Error> {
    match change.spot {
        Spot::Home => {
            let group = engine.home.group_of(id);
            let path = RelPath::new(&engine.home.shown(&change.place))
                .unwrap_or(change.place.path.clone());
            let (group, _) = engine.home.set_aside_within(&group, dir, name, &path)?;
            record_drift(engine, id, change, &format!("{group}/{path}"), &[])
        }
        Spot::Beside(_) => {
            let what = change.place.path.name();
            let Copied { kept, left_out } = engine.home.copy_aside(dir, name, what)?;
            record_drift(engine, id, change, &kept, &left_out)
        }
    }
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
    let group = engine.home.group_named(id, whole.place.path.name());
    let (kept, is_first) = engine.home.set_aside_within(&group, dir, name, &inside)?;
    match is_first {
        true => record_drift(engine, id, whole, &kept, &[]),
        false => Ok(()),
    }
}

fn record_drift(
    engine: &Engine,
    id: TxnId,
    change: &Change,
    kept: &str,
    left_out: &[String],
) -> Result<(), Error> {
    let path = engine.home.shown(&change.place);
    tracing::warn!(
        path,
        kept,
        "what was replaced was not as the journal left it; it is kept"
    );
    let mut detail =
        format!("what was replaced was not as the journal left it; it is kept in {kept}");
    if !left_out.is_empty() {
        // On another filesystem than the home, where it is a copy.
        detail.push_str(" without what has no content: ");
        detail.push_str(&left_out.join(", "));
    }
    let row = engine.look(|catalog| catalog.txn(id))?.map(|row| row.row);
    engine.record(Sync::Normal, |catalog| {
        catalog.put_event((None, row), &EventKind::Drift, Some(&path), &detail)
    })
}
