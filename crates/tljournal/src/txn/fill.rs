//! Trees in the lower layer of an overlay, which can be neither exchanged nor renamed: one change is split into one
//! change for each entry that differs.
//!
//! Each of them has its own row and its own staging slot, so that the usual protocol applies: new entries are moved
//! from the staged tree to slots of their own, and replaced or removed entries go there. Directories stay in place;
//! unwanted ones are removed when they are empty, and the others get their mode and mtime last. Such a tree must not
//! be pinned, because it would not stay complete.

use std::collections::{BTreeMap, BTreeSet};

use rustix::io::Errno;

use super::begin::Transaction;
use super::intent::{Found, Standing};
use super::plan::Plan;
use super::prepare::sync_parts;
use crate::disk::Dir;
use crate::error::{Conflict, ConflictKind, Error};
use crate::home::{Parent, spot_name};
use crate::lock;
use crate::model::{
    Change, Durability, Entry, EntryKind, Image, Kind, Manifest, Op, Place, Spot, Stat, TxnId,
};
use crate::pin::{self, Alone};
use crate::tree;

/// The name used for trying whether a directory can be moved.
const PROBE: &str = "probe";

/// A tree that is filled in place.
struct Filling<'a> {
    /// The change of the whole tree, as on other filesystems.
    change: Change,
    id: TxnId,
    /// The directory of all staging slots.
    spots: &'a Dir,
    /// The current tree and its manifest.
    there: Dir,
    current: Manifest,
    /// The staged tree and its manifest; `None` for a removal.
    staged: Option<(Dir, &'a Manifest)>,
    next: u32,
    made: Vec<Change>,
}

impl Transaction {
    /// Prepares entries in the lower layer of an overlay: entries that are replaced are copied up, and trees that
    /// cannot be moved are split into changes of their entries.
    pub(super) fn fill_in_place(
        &mut self,
        plan: &mut Plan,
        alone: &mut BTreeMap<Place, Alone>,
    ) -> Result<(), Error> {
        for index in 0..plan.changes.len() {
            let change = &plan.changes[index];
            let (Some(pre), false) = (change.pre, change.op == Op::Adopt) else {
                continue;
            };
            if change.spot == Spot::Home && !self.engine.home.is_overlay {
                continue;
            }
            let Parent::There(parent) = self.engine.home.parent(&change.place)? else {
                continue;
            };
            if !parent.filesystem()?.is_overlay {
                continue;
            }
            let Some(live) = &self.live else { continue };
            let (id, name) = (live.id, change.place.path.name().to_owned());
            let spots = match &change.spot {
                Spot::Home => live.staging.dir.clone(),
                Spot::Beside(_) => parent.clone(),
            };
            if pre.kind != Kind::Dir {
                let scratch = format!("{}.up", spot_name(&change.spot, id, change.n));
                let fresh = copy_up(&parent, &name, &spots, &scratch)?;
                plan.changes[index].pre = fresh.map(|stat| risen(pre, &stat)).or(Some(pre));
                continue;
            }
            let probe = match &change.spot {
                Spot::Home => PROBE.to_owned(),
                Spot::Beside(_) => format!("{}.{PROBE}", spot_name(&change.spot, id, change.n)),
            };
            if can_move(&parent, &name, &spots, &probe)? {
                continue;
            }
            let place = change.place.clone();
            let is_held = alone.contains_key(&place);
            if is_pinned(&parent, &name, is_held)? {
                let holder = "another process, and cannot be exchanged here".to_owned();
                let kind = ConflictKind::Pinned { holder };
                return Err(Conflict::at(self.engine.home.shown(&place), kind).into());
            }
            if !is_held {
                let held = pin::hold_alone(&self.engine, &place, None)?;
                alone.extend(held.map(|held| (place, held)));
            }
            self.fill(plan, index, (&parent, &spots), id)?;
        }
        Ok(())
    }

    /// Splits the change with this index into one change for each entry.
    fn fill(
        &self,
        plan: &mut Plan,
        index: usize,
        (parent, spots): (&Dir, &Dir),
        id: TxnId,
    ) -> Result<(), Error> {
        let change = plan.changes[index].clone();
        let name = change.place.path.name();
        // Copying up changes its inode, so that happens before it is recorded.
        let gone = || super::stage::vanished(parent, name);
        let stat = parent.stat(name)?.ok_or_else(gone)?;
        parent.set_dir_mode(name, stat.mode)?;
        let stat = parent.stat(name)?.ok_or_else(gone)?;
        let there = parent.open_dir(name)?;
        let current = tree::read(&there, &|_| {})?.manifest;
        let intent = self.intents.iter().find(|intent| intent.n == change.n);
        let staged = intent.and_then(|intent| intent.staged.as_ref());
        let staged = match staged.and_then(|staged| staged.tree.as_ref()) {
            Some(tree) => {
                let root = spots.open_dir(&spot_name(&change.spot, id, change.n))?;
                Some((root, &tree.manifest))
            }
            None => None,
        };
        let accounted = plan.replaced.get(&change.n);
        let is_ours = accounted.is_some_and(|entry| entry.digest == Some(current.digest()));
        let whole = Change {
            op: Op::Fill,
            pre: Some(Image::of(&stat)),
            new: change.new.map(|new| Image {
                identity: stat.identity,
                ..new
            }),
            durability: Durability::Durable,
            drift: change.drift || !is_ours && (change.op == Op::Tree || accounted.is_some()),
            ..change.clone()
        };
        let last = plan.changes.iter().map(|change| change.n + 1).max();
        let mut filling = Filling {
            next: last.unwrap_or_default().max(self.next),
            change: whole.clone(),
            id,
            spots,
            there,
            current,
            staged,
            made: Vec::new(),
        };
        filling.split()?;
        self.engine.home.shield(id, &filling.made)?;
        plan.known.signatures.remove(&change.n);
        plan.changes[index] = whole;
        plan.changes.append(&mut filling.made);
        match change.durability {
            Durability::Durable => spots.sync()?,
            // A torn tree could not be exchanged for its previous version.
            Durability::Rebuildable if self.engine.home.syncfs_reaches_medium => {
                spots.sync_filesystem()?
            }
            Durability::Rebuildable => {
                sync_parts(&plan.changes, (id, spots))?;
                spots.sync()?
            }
        };
        Ok(())
    }

    /// Pins the trees that were filled in place, for the receipt: the staged tree is not the one in place.
    pub(super) fn pin_filled(&mut self, plan: &Plan) {
        let filled = |n| {
            plan.changes
                .iter()
                .any(|change| change.n == n && change.op == Op::Fill)
        };
        for intent in self.intents.iter_mut().filter(|intent| filled(intent.n)) {
            intent.staged = None;
            let pin = pin::pin(&self.engine, &intent.place);
            let pin = pin.unwrap_or_else(|error| {
                tracing::warn!(%error, "failed to pin a tree that was filled in place");
                None
            });
            intent.found = Some(Found {
                stat: None,
                digest: None,
                standing: Standing::Recorded,
                pin,
            });
        }
    }
}

impl Filling<'_> {
    fn split(&mut self) -> Result<(), Error> {
        let current = self.current.clone();
        let nothing = Vec::new();
        let wanted = self
            .staged
            .as_ref()
            .map_or(&nothing[..], |(_, manifest)| manifest.entries());
        let (old, new) = (by_path(current.entries()), by_path(wanted));
        let same = unchanged(&old, &new);
        let mut moved: Vec<&str> = Vec::new();
        let mut touched = BTreeSet::new();
        for (path, (_, entry)) in new.iter().filter(|(path, _)| !path.is_empty()) {
            if moved.iter().any(|dir| is_below(path, dir)) || same.contains(path) {
                continue;
            }
            let before = old.get(path).map(|(_, entry)| &entry.kind);
            if entry.kind == EntryKind::Dir && before == Some(&EntryKind::Dir) {
                continue;
            }
            let pre = match before {
                // The directory is emptied and removed first.
                None | Some(EntryKind::Dir) => None,
                Some(_) => self.pre(path)?,
            };
            if entry.kind == EntryKind::Dir {
                moved.push(path);
            }
            touched.insert(parent_of(path));
            let waiting = self.take(path, entry)?;
            self.push(path, Op::Part, pre, Some(waiting))?;
        }
        for (path, (_, entry)) in old.iter().filter(|(path, _)| !path.is_empty()) {
            if entry.kind != EntryKind::Dir && !new.contains_key(path) {
                touched.insert(parent_of(path));
                let pre = self.pre(path)?;
                self.push(path, Op::Part, pre, None)?;
            }
        }
        self.split_dirs(&old, &new, touched)
    }

    /// The changes of directories: unwanted ones are removed, which changes their parent, and those with changed
    /// entries or other metadata get their mode and mtime.
    fn split_dirs<'e>(
        &mut self,
        old: &ByPath<'e>,
        new: &ByPath<'e>,
        mut touched: BTreeSet<&'e str>,
    ) -> Result<(), Error> {
        let is_dir = |entry: &Entry| entry.kind == EntryKind::Dir;
        let dirs = || {
            old.iter()
                .filter(|(path, (_, entry))| !path.is_empty() && is_dir(entry))
        };
        let stays = |path: &str| new.get(path).is_some_and(|(_, entry)| is_dir(entry));
        for (path, _) in dirs().filter(|(path, _)| !stays(path)) {
            touched.insert(parent_of(path));
        }
        for (path, (_, entry)) in dirs() {
            let stat = self.there.stat(path)?;
            let stat = stat.ok_or_else(|| super::stage::vanished(&self.there, path))?;
            let pre = Image::of(&stat);
            let wanted = new
                .get(path)
                .map(|(_, entry)| entry)
                .filter(|entry| is_dir(entry));
            match wanted {
                None => self.push(path, Op::Dir, Some(pre), None)?,
                Some(wanted)
                    if touched.contains(path)
                        || (wanted.mode, wanted.mtime) != (entry.mode, entry.mtime) =>
                {
                    let (mode, mtime) = (wanted.mode, wanted.mtime);
                    self.push(path, Op::Dir, Some(pre), Some(Image { mode, mtime, ..pre }))?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The entry to replace or remove, copied up.
    fn pre(&self, path: &str) -> Result<Option<Image>, Error> {
        let (dir, name) = open_parent(&self.there, path)?;
        let before = dir.stat(name)?;
        let scratch = format!("{}.up", spot_name(&self.change.spot, self.id, self.next));
        let fresh = copy_up(&dir, name, self.spots, &scratch)?;
        let both = before.zip(fresh);
        Ok(both.map(|(before, fresh)| risen(Image::of(&before), &fresh)))
    }

    /// Moves a staged entry, with everything below it, to a staging slot of its own.
    fn take(&self, path: &str, entry: &Entry) -> Result<Image, Error> {
        let Some((root, _)) = &self.staged else {
            return Err(super::stage::vanished(self.spots, path).into());
        };
        let (dir, name) = open_parent(root, path)?;
        let above = parent_of(path);
        if !above.is_empty() {
            root.set_dir_mode(above, 0o700)?;
        }
        if entry.kind == EntryKind::Dir && entry.mode & 0o700 != 0o700 {
            dir.set_dir_mode(name, entry.mode | 0o700)?;
        }
        let spot = spot_name(&self.change.spot, self.id, self.next);
        dir.rename_new(name, self.spots, &spot)?;
        let stat = self.spots.stat(&spot)?;
        let stat = stat.ok_or_else(|| super::stage::vanished(self.spots, &spot))?;
        let image = Image::of(&stat);
        Ok(match entry.kind {
            EntryKind::Dir => Image {
                mode: entry.mode,
                mtime: entry.mtime,
                ..image
            },
            EntryKind::File { .. } | EntryKind::Link { .. } => image,
        })
    }

    fn push(
        &mut self,
        path: &str,
        op: Op,
        pre: Option<Image>,
        new: Option<Image>,
    ) -> Result<(), Error> {
        let path = self.change.place.path.join(path)?;
        self.made.push(Change {
            n: self.next,
            place: Place {
                anchor: self.change.place.anchor,
                path,
            },
            op,
            pre,
            new,
            digest: None,
            target: None,
            ..self.change.clone()
        });
        self.next += 1;
        Ok(())
    }
}

/// Entries by path, each with the paths that share its inode.
type ByPath<'e> = BTreeMap<&'e str, (Vec<&'e str>, &'e Entry)>;

fn by_path(entries: &[Entry]) -> ByPath<'_> {
    let first = |index: usize, entry: &Entry| match entry.kind {
        EntryKind::File {
            same_as: Some(first),
            ..
        } => first as usize,
        _ => index,
    };
    let mut groups: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        groups
            .entry(first(index, entry))
            .or_default()
            .push(&entry.path);
    }
    let all = entries.iter().enumerate();
    all.map(|(index, entry)| {
        let group = groups.get(&first(index, entry)).cloned();
        (entry.path.as_str(), (group.unwrap_or_default(), entry))
    })
    .collect()
}

/// The files and links that are unchanged, including everything that shares their inodes.
fn unchanged<'e>(old: &ByPath<'e>, new: &ByPath<'e>) -> BTreeSet<&'e str> {
    let content = |entry: &Entry| match &entry.kind {
        EntryKind::Dir => None,
        EntryKind::File { size, digest, .. } => Some((Some((*size, *digest)), None)),
        EntryKind::Link { target } => Some((None, Some(target.clone()))),
    };
    let alike = |path: &&str| match (old.get(path), new.get(path)) {
        (Some((_, old)), Some((_, new))) => {
            let meta = (old.mode, old.mtime) == (new.mode, new.mtime);
            meta && content(new).is_some() && content(old) == content(new)
        }
        _ => false,
    };
    let same = |(path, (group, _)): &(&&'e str, &(Vec<&'e str>, &Entry))| {
        old.get(*path).is_some_and(|(before, _)| before == group) && group.iter().all(alike)
    };
    new.iter().filter(same).map(|(path, _)| *path).collect()
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn open_parent<'p>(root: &Dir, path: &'p str) -> Result<(Dir, &'p str), Error> {
    match path.rsplit_once('/') {
        Some((parent, name)) => Ok((root.open_dir(parent)?, name)),
        None => Ok((root.clone(), path)),
    }
}

/// The pre-image of an entry under its identity after copy-up, so that an edit in between is detected. A link cannot
/// be edited, and not every overlay preserves the mtime of a copied link.
fn risen(before: Image, now: &Stat) -> Image {
    match before.kind {
        Kind::Link => Image::of(now),
        _ => Image {
            identity: now.identity,
            ..before
        },
    }
}

/// Copies an entry up, if permitted, and reads its `stat` again.
fn copy_up(dir: &Dir, name: &str, spots: &Dir, scratch: &str) -> Result<Option<Stat>, Error> {
    match dir.copy_up(name, spots, scratch) {
        // Another user's file: if it has to be copied up, the rename finds another inode and reports it.
        Err(error) if error.is(Errno::PERM) || error.is(Errno::MLINK) => {}
        copied => copied?,
    }
    Ok(dir.stat(name)?)
}

/// Whether a tree or a directory in it is pinned; the caller may hold the root itself.
fn is_pinned(parent: &Dir, name: &str, is_held: bool) -> Result<bool, Error> {
    if !is_held {
        return Ok(lock::is_pinned_within(parent, name, parent.access())?);
    }
    let tree = parent.open_dir(name)?;
    for inside in tree.names()? {
        if lock::is_pinned_within(&tree, &inside, parent.access())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a directory can be moved to the staging slots.
fn can_move(parent: &Dir, name: &str, spots: &Dir, probe: &str) -> Result<bool, Error> {
    spots.make_dir(probe, 0o700)?;
    spots.make_dir(&format!("{probe}/in-it"), 0o700)?;
    // After an error it is unknown what has that name.
    let can = parent.can_move(name, spots, probe)?;
    spots.remove_tree(probe)?;
    Ok(can)
}
