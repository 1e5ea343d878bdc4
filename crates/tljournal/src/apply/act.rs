use std::collections::BTreeMap;

use rustix::io::Errno;

use super::decide::{Direction, Step, decide};
use super::in_place::{Phase, in_order, step_dir, step_parent};
use super::look::{Evidence, Seen, shape};
use crate::catalog::Sync;
use crate::disk::{Dir, DiskError};
use crate::engine::Engine;
use crate::error::Error;
use crate::home::out_name;
use crate::model::{Anchor, Change, EventKind, Image, Kind, Op, Place, RelPath, Spot, Stat, TxnId};

/// The result for all changes of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every change is applied or undone, or was superseded by a later change of another program.
    Done,
    /// A change of another program at this place prevents it.
    Blocked(Place),
    /// The staging slot next to this place was not found: its filesystem may not be mounted.
    Unreachable(Place),
}

/// How often one change is observed before it is given up: twice is enough unless another program keeps changing the
/// same path.
const LOOKS_MAX: u32 = 16;

/// Applies the changes of a transaction, or undoes them in the opposite order. The caller holds the commit lock.
/// Going forward it stops at the first blocked change; going back it continues, to restore as much as possible.
pub(crate) fn run(
    engine: &Engine,
    id: TxnId,
    changes: &[Change],
    direction: Direction,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::Done;
    let mut in_order = in_order(changes);
    if direction == Direction::Back {
        in_order.reverse();
    }
    if direction == Direction::Back {
        engine.home.remake_staging(id, changes)?;
    }
    let mut parents = Vec::new();
    for (phase, change) in in_order {
        match phase {
            Phase::Parent => parents.push(change),
            _ if direction == Direction::Forward => {
                sync_parents(engine, &std::mem::take(&mut parents))?;
            }
            _ => {}
        }
        if direction == Direction::Forward && is_unreachable(engine, id, change)? {
            return Ok(Outcome::Unreachable(change.place.clone()));
        }
        let done = match phase {
            Phase::Parent => step_parent(engine, change, direction)?,
            Phase::Open | Phase::Drop | Phase::Close => step_dir(engine, change, phase, direction)?,
            Phase::Entry | Phase::Create => step(engine, id, change, direction)?,
        };
        if !done {
            outcome = Outcome::Blocked(change.place.clone());
            if direction == Direction::Forward {
                break;
            }
        }
    }
    Ok(outcome)
}

/// Syncs the created parent directories before anything is moved into them: if a power cut removed such a directory,
/// its content would be lost.
fn sync_parents(engine: &Engine, parents: &[&Change]) -> Result<(), Error> {
    let mut above: Vec<_> = parents
        .iter()
        .map(|change| (change.place.anchor, change.place.path.parent()))
        .collect();
    above.sort();
    above.dedup();
    for (anchor, path) in above {
        let anchor = engine.home.anchor(anchor);
        let _synced = match path {
            None => anchor.sync()?,
            Some(path) => anchor.open_dir(path.as_str())?.sync()?,
        };
    }
    Ok(())
}

/// Applies or undoes one change; false if it is blocked.
fn step(engine: &Engine, id: TxnId, change: &Change, direction: Direction) -> Result<bool, Error> {
    let Some(shape) = shape(change) else {
        return Ok(true);
    };
    let mut seen = Evidence::look(engine, id, change)?;
    for _ in 0..LOOKS_MAX {
        let step = decide(direction, shape, seen.target, seen.spot, seen.out);
        tracing::trace!(path = %change.place.path, ?direction, ?seen.target, ?seen.spot, ?seen.out, ?step);
        let moved = match (step, &seen.parent, &seen.spot_at) {
            (Step::Done, parent, _) => {
                finish_dir(change, seen.target, parent.as_ref())?;
                return Ok(true);
            }
            (Step::Blocked, ..) | (_, None, _) | (_, _, None) => return Ok(false),
            (step, Some(parent), Some((spot, spot_name))) => {
                let target = change.place.path.name();
                make_movable(change, &seen, parent, (spot, spot_name))?;
                match step {
                    Step::Exchange => match spot.exchange(spot_name, parent, target) {
                        Err(error) if error.is_missing_feature() => {
                            announce_renames(engine, change, &error)?;
                            parent.rename_new(target, spot, &out_name(spot_name))
                        }
                        exchanged => exchanged,
                    },
                    Step::Publish => spot.rename_new(spot_name, parent, target),
                    Step::TakeOut => parent.rename_new(target, spot, spot_name),
                    Step::Stow => spot.rename_new(out_name(spot_name), spot, spot_name),
                    Step::Return => spot.rename_new(out_name(spot_name), parent, target),
                    Step::Done | Step::Blocked => Ok(()),
                }
            }
        };
        match moved {
            Ok(()) => {}
            // Another process was faster: observe again.
            Err(error) if error.is(Errno::NOENT) || error.is(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        seen.look_again(change)?;
    }
    Ok(false)
}

/// Records that a path is missing for an instant. For the home's own filesystem this was recorded when the home was
/// created.
fn announce_renames(engine: &Engine, change: &Change, error: &DiskError) -> Result<(), Error> {
    let path = engine.home.shown(&change.place);
    tracing::debug!(path, %error, "replacing it by renames");
    let home = engine.look(|catalog| catalog.home())?;
    if home.is_some_and(|home| !home.features.exchange) {
        return Ok(());
    }
    let detail = "its filesystem cannot exchange two entries: the path was missing for an instant for \
                  readers without the shared lock";
    tracing::warn!(path, "{detail}");
    engine.record(Sync::Normal, |catalog| {
        catalog.put_event((None, None), &EventKind::WeakerPromise, Some(&path), detail)
    })
}

/// Whether a change with a staging slot next to its target has left no trace.
fn is_unreachable(engine: &Engine, id: TxnId, change: &Change) -> Result<bool, Error> {
    let stays = matches!(change.op, Op::Adopt | Op::Fill | Op::Dir);
    if change.spot == Spot::Home || change.new.is_none() || stays {
        return Ok(false);
    }
    let seen = Evidence::look(engine, id, change)?;
    Ok((seen.spot, seen.out) == (Seen::Absent, Seen::Absent) && seen.target != Seen::New)
}

/// Whether an exchange by three renames was interrupted between them.
pub(crate) fn is_midway(engine: &Engine, id: TxnId, change: &Change) -> Result<bool, Error> {
    Ok(Evidence::look(engine, id, change)?.out != Seen::Absent)
}

/// Makes directories movable that their owner may not write: moving a directory changes its `..`.
fn make_movable(
    change: &Change,
    seen: &Evidence,
    parent: &Dir,
    (spot, spot_name): (&Dir, &str),
) -> Result<(), Error> {
    let locked = |image: &Option<Image>| {
        image.filter(|image| image.kind == Kind::Dir && image.mode & 0o200 == 0)
    };
    for (image, as_seen) in [
        (locked(&change.pre), Seen::Pre),
        (locked(&change.new), Seen::New),
    ] {
        let Some(image) = image else { continue };
        let name = change.place.path.name();
        for (dir, name, seen) in [(parent, name, seen.target), (spot, spot_name, seen.spot)] {
            if seen != as_seen {
                continue;
            }
            match dir.set_dir_mode(name, image.mode | 0o700) {
                // It belongs to another user, whatever the row says: the rename shows whether it can be moved.
                Err(error) if error.is(Errno::PERM) => {}
                set => set?,
            }
        }
    }
    Ok(())
}

/// Restores a directory's own mode, if it had to be writable to be moved, and its own mtime, which XFS changes when
/// it exchanges directories.
fn finish_dir(change: &Change, target: Seen, parent: Option<&Dir>) -> Result<(), Error> {
    let image = match target {
        Seen::New => change.new,
        Seen::Pre => change.pre,
        Seen::Absent | Seen::Other => None,
    };
    let (Some(image), Some(parent)) = (image, parent) else {
        return Ok(());
    };
    let name = change.place.path.name();
    if image.kind != Kind::Dir {
        return Ok(());
    }
    match finish_meta(&image, parent, name) {
        // It belongs to another user, whatever the row says.
        Err(error) if error.is(Errno::PERM) || error.is(Errno::ACCESS) => {
            tracing::warn!(path = %change.place.path, %error, "its mode and mtime are not restored");
            Ok(())
        }
        finished => Ok(finished?),
    }
}

fn finish_meta(image: &Image, parent: &Dir, name: &str) -> Result<(), DiskError> {
    let locked = image.mode & 0o700 != 0o700;
    let is_moved = |stat: Stat| stat.mtime != image.mtime;
    if !locked && !parent.stat(name)?.is_some_and(is_moved) {
        return Ok(());
    }
    if locked {
        parent.set_dir_mode(name, image.mode | 0o700)?;
    }
    let dir = parent.open_dir(name)?;
    dir.set_own_meta(image.mode, image.mtime)?;
    dir.sync()?;
    Ok(())
}

/// From this number of directories, one sync of the whole filesystem is cheaper.
const DIRS_ONE_BY_ONE_MAX: usize = 8;

/// Makes the renames of a transaction durable by syncing the directories whose entries changed.
pub(crate) fn settle(engine: &Engine, changes: &[Change]) -> Result<(), Error> {
    let mut dirs: BTreeMap<(Anchor, Option<RelPath>), bool> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.op != Op::Adopt) {
        let key = (change.place.anchor, change.place.path.parent());
        *dirs.entry(key).or_default() |= change.spot != Spot::Home;
        if matches!(change.op, Op::Fill | Op::Dir) {
            let own = (change.place.anchor, Some(change.place.path.clone()));
            *dirs.entry(own).or_default() |= change.spot != Spot::Home;
        }
    }
    let all_at_home = dirs
        .iter()
        .all(|((anchor, _), beside)| *anchor == Anchor::Home && !beside);
    if dirs.len() > DIRS_ONE_BY_ONE_MAX && all_at_home && engine.home.syncfs_reaches_medium {
        let _synced = engine.home.dir.sync_filesystem()?;
        return Ok(());
    }
    for (anchor, path) in dirs.into_keys() {
        let anchor = engine.home.anchor(anchor);
        let opened = match path {
            None => Ok(anchor.clone()),
            Some(path) => anchor.open_dir(path.as_str()),
        };
        match opened {
            Ok(dir) => {
                dir.sync()?;
            }
            // The directory no longer exists, so nothing in it needs to be durable.
            Err(error)
                if [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
                    .iter()
                    .any(|no| error.is(*no)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
