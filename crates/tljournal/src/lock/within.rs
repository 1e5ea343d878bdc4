use std::ffi::{OsStr, OsString};

use camino::Utf8PathBuf;
use rustix::io::Errno;

use super::flock::try_exclusive;
use super::others::held_by_others;
use crate::disk::{Dir, DiskError};
use crate::model::{Access, Identity, Kind};

/// A directory being walked: the names still to visit, and its identity.
struct Level {
    names: Vec<OsString>,
    identity: Identity,
    path: Utf8PathBuf,
}

/// Whether any process has locked an entry that is a directory, or a directory anywhere below it.
///
/// Meant for something that was renamed out of its place: a process that pins a tree checks afterwards that the path
/// still names it, so no new pin can appear on what is found free here.
///
/// One directory is open at a time, whatever the depth; the way back is `..`, and a directory that is moved meanwhile
/// counts as locked.
pub(crate) fn is_locked_within(dir: &Dir, name: impl AsRef<OsStr>) -> Result<bool, DiskError> {
    walk(dir, name.as_ref(), None)
}

/// The same without the locks of users who may not use the home, for a change that deletes nothing.
pub(crate) fn is_pinned_within(
    dir: &Dir,
    name: impl AsRef<OsStr>,
    access: Access,
) -> Result<bool, DiskError> {
    walk(dir, name.as_ref(), Some(access))
}

fn walk(dir: &Dir, name: &OsStr, access: Option<Access>) -> Result<bool, DiskError> {
    let (mut here, mut levels) = match look(dir, name, access)? {
        Looked::Locked => return Ok(true),
        Looked::Closed => return Ok(false),
        Looked::Inside(here, level) => (here, vec![level]),
    };
    loop {
        let Some(level) = levels.last_mut() else {
            return Ok(false);
        };
        match level
            .names
            .pop()
            .map(|name| look(&here, &name, access))
            .transpose()?
        {
            Some(Looked::Locked) => return Ok(true),
            Some(Looked::Closed) => {}
            Some(Looked::Inside(inside, level)) => {
                levels.push(level);
                here = inside;
            }
            None => {
                levels.pop();
                if let Some(above) = levels.last() {
                    here = here.above(above.path.clone())?;
                    if here.own_stat()?.identity != above.identity {
                        return Ok(true);
                    }
                }
            }
        }
    }
}

/// Whether any process has locked something in a directory, at any depth.
pub(crate) fn is_locked_inside(dir: &Dir) -> Result<bool, DiskError> {
    for name in dir.names()? {
        if is_locked_within(dir, &name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What an entry is.
enum Looked {
    Locked,
    /// Not a directory, or one that cannot be entered. No process can have opened what its owner cannot, and removing
    /// it corrects the mode.
    Closed,
    Inside(Dir, Level),
}

fn look(dir: &Dir, name: &OsStr, access: Option<Access>) -> Result<Looked, DiskError> {
    match try_look(dir, name, access) {
        Err(error) if error.is(Errno::ACCESS) => Ok(Looked::Closed),
        looked => looked,
    }
}

fn try_look(dir: &Dir, name: &OsStr, access: Option<Access>) -> Result<Looked, DiskError> {
    if dir.stat(name)?.is_none_or(|stat| stat.kind != Kind::Dir) {
        return Ok(Looked::Closed);
    }
    let inside = dir.open_child(name)?;
    let free = try_exclusive(&inside)
        .map_err(|errno| DiskError::new("lock", inside.path().as_str(), errno))?;
    let own = inside.own_stat()?;
    let by_others = |access| held_by_others(own.identity.ino, access).is_some();
    if !free && !access.is_some_and(by_others) {
        return Ok(Looked::Locked);
    }
    let level = Level {
        names: inside.names()?,
        identity: own.identity,
        path: inside.path().to_owned(),
    };
    Ok(Looked::Inside(inside, level))
}
