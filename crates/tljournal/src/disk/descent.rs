//! Walks through a directory with a constant number of open directories, whatever its depth.

use std::ffi::{OsStr, OsString};

use rustix::io::Errno;

use super::{Dir, DiskError};
use crate::model::Stat;

/// A walk in progress. It never leaves the directory in which it began: the way back is `..`, and a directory that
/// was moved meanwhile ends the walk with an error.
#[derive(Debug)]
pub(crate) struct Descent {
    /// Where the walk began.
    top: Dir,
    here: Dir,
    /// The directories from `top` to `here`; the last one is `here`.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    name: OsString,
    own: Stat,
    /// The entries still to visit, in reverse order.
    names: Vec<OsString>,
}

/// What a walk finds next.
#[derive(Debug)]
pub(crate) enum Step {
    /// An entry of the current directory.
    Entry(OsString),
    /// Everything below this directory, an entry of the current one, was visited.
    Left(Dir, OsString),
}

impl Descent {
    /// Begins a walk through these entries of a directory.
    pub(crate) fn through(top: &Dir, mut names: Vec<OsString>) -> Result<Self, DiskError> {
        names.sort_unstable_by(|one, other| other.cmp(one));
        let (name, own) = (OsString::new(), top.own_stat()?);
        Ok(Self {
            top: top.clone(),
            here: top.clone(),
            levels: vec![Level { name, own, names }],
        })
    }

    /// The current directory.
    pub(crate) fn here(&self) -> &Dir {
        &self.here
    }

    /// The next step; `None` at the end.
    pub(crate) fn step(&mut self) -> Result<Option<Step>, DiskError> {
        let entry = self.levels.last_mut().and_then(|level| level.names.pop());
        if let Some(entry) = entry {
            return Ok(Some(Step::Entry(entry)));
        }
        let (Some(left), Some(above)) = (self.levels.pop(), self.levels.last()) else {
            return Ok(None);
        };
        let back = match self.levels.len() {
            1 => self.top.clone(),
            _ => {
                let path = self.here.path.parent().unwrap_or(&self.top.path);
                let back = self.here.above(path.to_owned())?;
                let now = back.own_stat()?;
                // The birth time of a directory in an overlay changes when it is copied up.
                if (now.dev, now.identity.ino) != (above.own.dev, above.own.identity.ino) {
                    return Err(self.here.error("find the way back from", Errno::AGAIN));
                }
                back
            }
        };
        let dir = std::mem::replace(&mut self.here, back);
        Ok(Some(Step::Left(dir, left.name)))
    }

    /// Enters a directory in the current one; its entries are the next steps.
    ///
    /// # Errors
    /// [`DiskError`]; `EACCES` if it cannot be listed or searched. The walk stays in the current directory.
    pub(crate) fn enter(&mut self, name: &OsStr) -> Result<(), DiskError> {
        let inside = self.here.open_child(name)?;
        let (own, mut names) = (inside.own_stat()?, inside.names()?);
        // Without the right to search a directory there is no way back from it.
        inside.stat("..")?;
        names.sort_unstable_by(|one, other| other.cmp(one));
        let name = name.to_owned();
        self.levels.push(Level { name, own, names });
        self.here = inside;
        Ok(())
    }

    /// Whether an entry of the current directory is on another mount.
    pub(crate) fn is_mounted(&self, entry: &Stat) -> bool {
        let own = self.levels.last().map(|level| &level.own);
        own.is_some_and(|own| (own.dev, own.mount) != (entry.dev, entry.mount))
    }

    /// Whether the current directory is on another mount than the one above it.
    pub(crate) fn is_in_mount(&self) -> bool {
        match self.levels.as_slice() {
            [.., above, here] => (above.own.dev, above.own.mount) != (here.own.dev, here.own.mount),
            _ => false,
        }
    }
}
