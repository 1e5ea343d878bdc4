//! Which users may write in the home, and the consequences: which records are trusted, and which content is closed.

use super::Home;
use super::staging::STAGED_PATHS;
use crate::disk::{self, Dir, unless_gone};
use crate::error::Error;
use crate::model::{ACL, Change, Place, RelPath, Stat, TxnId, group_by_acl};

/// The mode bits that let other users than the owner write; with an ACL the bits of the group are its mask.
const OTHERS_WRITE: u32 = 0o022;
/// The most that is read of a list of paths, in bytes.
const LIST_BYTES_MAX: u64 = 16 << 20;
/// The permissions of the group and of other users.
const FOR_OTHERS: u32 = 0o077;
/// The bits that let a program run as its owner or group.
const SET_ID: u32 = 0o6000;

/// Permission bits that are recorded for content, or found on retained content, and how far they are trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordedModes {
    has_one_writer: bool,
}

impl RecordedModes {
    /// The permission bits for a copy of this content. Set-id bits count only if the user who writes the copy owns
    /// the content and is the only one who could have written the record.
    pub(crate) fn of(self, mode: u32, content: &Stat) -> u32 {
        match self.has_one_writer {
            true => disk::mode_of(mode, content.uid),
            false => mode & !SET_ID,
        }
    }
}

impl Home {
    /// The trust in recorded permission bits in this home. Users who may write in it may replace the database and the
    /// retained content.
    pub(crate) fn recorded_modes(&self) -> RecordedModes {
        RecordedModes {
            has_one_writer: !self.is_open_to_others(),
        }
    }

    /// Whether other users than its owner may write in the home.
    pub(crate) fn is_open_to_others(&self) -> bool {
        may_others_write(&self.home_stat)
    }

    /// Whether a directory on the way to a place is closed to the group that shares the home. What lies at the place
    /// must then not be readable below `.state` either.
    pub(crate) fn is_closed_to_group(&self, place: &Place) -> Result<bool, Error> {
        let Some(group) = self.dir.access().group else {
            return Ok(false);
        };
        let anchor = self.anchor(place.anchor);
        if !may_enter(anchor, group)? {
            return Ok(true);
        }
        for path in place.path.ancestors().skip(1) {
            // A missing directory will be created with access for the group.
            if let Some(dir) = unless_gone(anchor.open_dir(path.as_str()))?
                && !may_enter(&dir, group)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the directory of a transaction is for a place that is closed to the group that shares the home, as far as
    /// its list of paths tells.
    pub(super) fn lists_closed(&self, name: &str) -> bool {
        if self.dir.access().group.is_none() {
            return false;
        }
        let list = self.txns.open_dir(name);
        let list = list.and_then(|dir| dir.read_small(STAGED_PATHS, LIST_BYTES_MAX));
        let list = list.ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&list).lines().any(|line| {
            let path = line.split_once(' ').map(|(_, path)| RelPath::new(path));
            let place = path.and_then(Result::ok).map(|path| self.place(&path));
            place.is_some_and(|place| {
                let is_closed = place.and_then(|place| self.is_closed_to_group(&place));
                is_closed.unwrap_or(true)
            })
        })
    }

    /// Closes the directory of a transaction to the group that shares the home, if the place of one of its changes is
    /// closed to that group. Other members cannot delete it then.
    pub(crate) fn shield(&self, id: TxnId, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            self.shield_for(id, &change.place)?;
        }
        Ok(())
    }

    /// The same for the place of one change.
    pub(crate) fn shield_for(&self, id: TxnId, place: &Place) -> Result<(), Error> {
        if !self.is_closed_to_group(place)? {
            return Ok(());
        }
        let name = id.to_string();
        match self.txns.stat(&name)? {
            Some(stat) if stat.mode & FOR_OTHERS != 0 => {
                Ok(self.txns.set_dir_mode(&name, stat.mode & !FOR_OTHERS)?)
            }
            _ => Ok(()),
        }
    }
}

/// Whether members of a group may enter a directory.
fn may_enter(dir: &Dir, group: u32) -> Result<bool, Error> {
    const ENTERS: u32 = 0o1;
    let stat = dir.own_stat()?;
    let permissions = match stat.gid == group {
        true => {
            let acl = dir.own_attributes()?;
            acl.get(ACL)
                .and_then(group_by_acl)
                .unwrap_or(stat.mode >> 3)
        }
        false => stat.mode,
    };
    Ok(permissions & ENTERS != 0)
}

/// Whether other users than its owner may write to a file or in a directory.
pub(crate) fn may_others_write(stat: &Stat) -> bool {
    stat.mode & OTHERS_WRITE != 0
}
