use std::ffi::{OsStr, OsString};

use rustix::io::Errno;

use super::flock::try_exclusive;
use super::others::held_by_others;
use crate::disk::{Descent, Dir, DiskError, Step};
use crate::model::{Access, Kind};

/// Whether any process has locked an entry that is a directory, or a directory anywhere below it.
///
/// Meant for something that was renamed out of its place: a process that pins a tree checks afterwards that the path
/// still names it, so no new pin can appear on what is found free here.
///
/// # Errors
/// [`DiskError`]; `EAGAIN` when a directory is moved meanwhile.
pub(crate) fn is_locked_within(dir: &Dir, name: impl AsRef<OsStr>) -> Result<bool, DiskError> {
    is_any_locked(dir, vec![name.as_ref().to_owned()], None)
}

/// The same without the locks of users who may not use the home, for a change that deletes nothing.
pub(crate) fn is_pinned_within(
    dir: &Dir,
    name: impl AsRef<OsStr>,
    access: Access,
) -> Result<bool, DiskError> {
    is_any_locked(dir, vec![name.as_ref().to_owned()], Some(access))
}

/// Whether any process has locked something in a directory, at any depth.
pub(crate) fn is_locked_inside(dir: &Dir) -> Result<bool, DiskError> {
    is_any_locked(dir, dir.names()?, None)
}

fn is_any_locked(
    dir: &Dir,
    names: Vec<OsString>,
    access: Option<Access>,
) -> Result<bool, DiskError> {
    let mut walk = Descent::through(dir, names)?;
    while let Some(step) = walk.step()? {
        let Step::Entry(name) = step else {
            continue;
        };
        let stat = match walk.here().stat(&name) {
            Err(error) if error.is(Errno::ACCESS) => continue,
            stat => stat?,
        };
        if stat.is_none_or(|stat| stat.kind != Kind::Dir) {
            continue;
        }
        match walk.enter(&name) {
            // No process can have opened what its owner cannot, and removing it corrects the mode.
            Err(error) if error.is(Errno::ACCESS) => continue,
            entered => entered?,
        }
        let inside = walk.here();
        let failed = |errno| DiskError::new("lock", inside.path().as_str(), errno);
        if try_exclusive(inside).map_err(failed)? {
            continue;
        }
        let ino = inside.own_stat()?.identity.ino;
        if access.is_none_or(|access| held_by_others(ino, access).is_none()) {
            return Ok(true);
        }
    }
    Ok(false)
}
