//! Directories that are changed in place: missing parents, and those of a tree that is filled in place because its
//! filesystem cannot move it.

use rustix::io::Errno;

use super::decide::Direction;
use super::finish::parent_at;
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::model::{Change, Image, Kind, Op, Stat};

/// A phase of the changes, in forward order; undone in the opposite order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Create a missing parent; undo: remove it if it is still empty.
    Parent,
    /// Make a directory writable; undo: restore its mode and mtime.
    Open,
    /// Exchange an entry, or move it out.
    Entry,
    /// Remove an emptied directory; undo: create it again.
    Drop,
    /// Publish an entry at a free path.
    Create,
    /// Set a directory's new mode and mtime; undo: make it writable again.
    Close,
}

/// All phases of these changes, in order.
pub(super) fn in_order(changes: &[Change]) -> Vec<(Phase, &Change)> {
    let mut all = Vec::new();
    for change in changes {
        match change.op {
            Op::Adopt => {}
            Op::Parent => all.push((Phase::Parent, change)),
            Op::Fill | Op::Dir => {
                let last = if change.new.is_some() {
                    Phase::Close
                } else {
                    Phase::Drop
                };
                all.extend([(Phase::Open, change), (last, change)]);
            }
            Op::Put | Op::Link | Op::Tree | Op::Remove | Op::Part => {
                let replaces = change.pre.is_some();
                let phase = if replaces {
                    Phase::Entry
                } else {
                    Phase::Create
                };
                all.push((phase, change));
            }
        }
    }
    all.sort_by(|(one, a), (two, b)| {
        // Directories are closed and removed from the deepest level up.
        let places = match one {
            Phase::Drop | Phase::Close => b.place.cmp(&a.place),
            Phase::Parent | Phase::Open | Phase::Entry | Phase::Create => a.place.cmp(&b.place),
        };
        one.cmp(two).then(places)
    });
    all
}

/// Takes a directory of a tree that is filled in place through one phase; false if a change of another program
/// prevents it.
pub(super) fn step_dir(
    engine: &Engine,
    change: &Change,
    phase: Phase,
    direction: Direction,
) -> Result<bool, Error> {
    use Direction::{Back, Forward};
    let Some(parent) = parent_at(engine, &change.place)? else {
        return Ok(direction == Forward && change.new.is_none());
    };
    let name = change.place.path.name();
    let there = parent.stat(name)?;
    let dir = there.filter(|stat| stat.kind == Kind::Dir);
    match (phase, direction, dir) {
        (Phase::Open, Forward, Some(stat)) | (Phase::Close, Back, Some(stat)) => {
            if stat.mode & 0o700 != 0o700 {
                parent.set_dir_mode(name, stat.mode | 0o700)?;
            }
            Ok(true)
        }
        // Removed before an interruption.
        (Phase::Open, Forward, None) => Ok(change.new.is_none()),
        (Phase::Close, Forward, Some(stat)) => set_meta(&parent, name, &stat, change.new),
        (Phase::Open, Back, Some(stat)) => set_meta(&parent, name, &stat, change.pre),
        (Phase::Drop, Forward, Some(_)) => remove(&parent, name),
        (Phase::Drop, Forward, None) | (Phase::Drop, Back, Some(_)) => Ok(true),
        (Phase::Drop, Back, None) if there.is_none() => {
            Ok(parent.make_dir(name, 0o700).map(|()| true)?)
        }
        (_, _, _) => Ok(false),
    }
}

fn set_meta(parent: &Dir, name: &str, stat: &Stat, image: Option<Image>) -> Result<bool, Error> {
    let Some(image) = image else { return Ok(true) };
    if stat.mode != image.mode {
        parent.set_dir_mode(name, image.mode)?;
    }
    if stat.mtime != image.mtime {
        parent.set_mtime(name, image.mtime)?;
    }
    Ok(true)
}

/// Removes an empty directory; false if it is not empty.
fn remove(parent: &Dir, name: &str) -> Result<bool, Error> {
    match parent.remove_dir(name) {
        // XFS returns EEXIST where other filesystems return ENOTEMPTY.
        Err(error) if error.is(Errno::NOTEMPTY) || error.is(Errno::EXIST) => Ok(false),
        Err(error) if error.is(Errno::NOENT) => Ok(true),
        removed => Ok(removed.map(|()| true)?),
    }
}

/// Creates a missing parent directory, or removes it again if it is still empty. False if its name is taken by
/// something that is not a directory.
pub(super) fn step_parent(
    engine: &Engine,
    change: &Change,
    direction: Direction,
) -> Result<bool, Error> {
    let Some(parent) = parent_at(engine, &change.place)? else {
        return Ok(direction == Direction::Back);
    };
    let name = change.place.path.name();
    match direction {
        Direction::Forward => match parent.make_dir(name, 0o755) {
            Err(error) if error.is(Errno::EXIST) => Ok(parent
                .stat(name)?
                .is_some_and(|stat| stat.kind == Kind::Dir)),
            made => Ok(made.map(|()| true)?),
        },
        Direction::Back => match remove(&parent, name) {
            Err(Error::Disk(error)) if error.is(Errno::NOTDIR) => Ok(true),
            removed => removed.map(|_| true),
        },
    }
}
