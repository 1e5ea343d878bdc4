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

/// What to do with content that a transaction replaced or had staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Delete it.
    Nothing,
    /// Retain what was replaced, if permitted.
    Replaced,
    /// The transaction never replaced anything: retain what was staged, if permitted.
    Staged,
}

/// What is left in the directory of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Nothing; the directory was deleted.
    Nothing,
    /// Something that a process holds or has locked; the next sweep tries again.
    Held,
    /// This many bytes of retained content.
    Kept(u64),
}

/// Retains what may be retained of the content at the staging slots of a transaction, deletes the rest, and records
/// that. The caller has locked the directory, but does not hold the commit lock.
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

/// Deletes what a finished transaction has left at its staging slots, if no process holds it: what it replaced,
/// unless that is retained, and what it staged but did not use. The caller has locked the directory, but does not
/// hold the commit lock.
///
/// Content that is not the journal's own work, or was edited since, is moved to quarantine instead. A pinned tree
/// stays, and so does the directory; the next sweep tries again. What the system refuses to delete or move also stays
/// and is recorded. `replaced` holds the catalog's entries of the replaced content, as far as the caller knows them.
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
                // They are deleted below.
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

/// Deletes or retains a file that belongs to no change: one that was being staged when its owner was killed.
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

/// Deletes or retains what a change has left under one name.
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
    let may_keep = may_keep(engine, change, keep);
    match weight.objection() {
        // What is not retained may still be quarantined, but keys never are.
        Some(why) if weight == Weight::KeyMaterial || (may_keep && !is_drift) => {
            tell_not_kept(engine, id, change, why)?;
        }
        Some(_) | None => {}
    }
    // A tree with edits is quarantined without the keys in it. An unedited tree stays complete until it is deleted:
    // with a part missing it would look edited after an interruption.
    // Only a completely weighed tree is known to hold no keys.
    let is_set_aside = is_drift
        && (matches!(weight, Weight::Bytes(_))
            || kept::remove_keys(
                &engine.key_material,
                &engine.home.shown(&change.place),
                (dir, name, &stat),
            )?);
    if is_set_aside {
        match whole.filter(|_| change.spot == Spot::Home) {
            Some(whole) => keep_part_aside(engine, id, (change, whole), (dir, name))?,
            None => keep_aside(engine, id, change, (dir, name))?,
        }
        return Ok(Remains::Nothing);
    } else if let (Weight::Bytes(bytes), true) = (weight, may_keep) {
        return Ok(Remains::Kept(bytes));
    }
    // Renamed before it is deleted, so that a partly deleted tree is not taken for an edited one after an
    // interruption.
    let gone = format!("{name}{GONE}");
    dir.rename_new(name, dir, &gone)?;
    if change.spot != Spot::Home {
        dir.remove_tree(&gone)?;
    }
    Ok(Remains::Nothing)
}

/// Whether a change replaced something that can be restored as a whole.
fn may_keep(engine: &Engine, change: &Change, keep: Keep) -> bool {
    let is_whole = !matches!(change.op, Op::Fill | Op::Dir | Op::Part);
    keep == Keep::Replaced
        && is_whole
        && change.spot == Spot::Home
        && engine.retention.kept.count > 0
}

/// Records, once, that a replaced tree is still pinned.
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
    let detail = "the replaced tree stays until it is unpinned";
    engine.record(Sync::Normal, |catalog| {
        catalog.put_event(
            (None, Some(txn)),
            &EventKind::ReplacedPinned,
            Some(&path),
            detail,
        )
    })
}

fn tell_not_kept(engine: &Engine, id: TxnId, change: &Change, why: &str) -> Result<(), Error> {
    let path = engine.home.shown(&change.place);
    let row = engine.look(|catalog| catalog.txn(id))?.map(|row| row.row);
    engine.record(Sync::Normal, |catalog| {
        catalog.put_event((None, row), &EventKind::NotKept, Some(&path), why)
    })
}

/// Marks everything in a transaction's directory as being deleted. The caller has locked the directory and knows that
/// no process holds anything in it. Entries without a name of the journal need no mark, because they are never taken
/// for retained content.
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

/// The longest name of a staged entry: a number with a suffix.
const OWN_NAME_MAX: usize = 32;

/// Whether the replaced content is the work of a person or another program.
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
    // An edit inside a tree is not visible at its root.
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
    // The root may have been made writable to be moved. A tree that cannot be read completely may hold edits.
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
            let group = (&*group, engine.home.is_closed_to_group(&change.place)?);
            let (group, _) = engine.home.set_aside_within(group, dir, name, &path)?;
            record_drift(engine, id, change, &format!("{group}/{path}"), &[])
        }
        Spot::Beside(_) => {
            let what = change.place.path.name();
            let Copied { kept, left_out } = engine.home.copy_aside(dir, name, what)?;
            record_drift(engine, id, change, &kept, &left_out)
        }
    }
}

/// Moves to quarantine what was replaced in a tree that was filled in place, together with the other parts, under its
/// path.
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
    let group = (&*group, engine.home.is_closed_to_group(&change.place)?);
    let (kept, is_first) = engine.home.set_aside_within(group, dir, name, &inside)?;
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
        "the replaced content was not as the journal had installed it; it was kept"
    );
    let mut detail = format!(
        "the replaced content was not as the journal had installed it; it was moved to {kept}"
    );
    if !left_out.is_empty() {
        // On a filesystem other than the home's, so it was copied.
        detail.push_str(" except for entries without content: ");
        detail.push_str(&left_out.join(", "));
    }
    let row = engine.look(|catalog| catalog.txn(id))?.map(|row| row.row);
    engine.record(Sync::Normal, |catalog| {
        catalog.put_event((None, row), &EventKind::Drift, Some(&path), &detail)
    })
}
