//! Whether another user could read the content that root reads.
//!
//! Root installs content for the owner of a project. That user gets only content that the user could have read at its
//! source: everything else stays owned by root, and private.

use std::os::fd::AsFd;

use rustix::fs::{CWD, Mode, OFlags};

use super::acting::{Acting, Owner, is_root};
use super::system::real_path_of;
use super::{Dir, Disk, DiskError};
use crate::model::Stat;

/// The permission bits of content that stays owned by root.
pub(crate) const CLOSED_MODE_MASK: u32 = 0o700;

impl Disk {
    /// Whether content that root has opened may belong to `owner`: that user reaches it, and owns it or may read it.
    pub(crate) fn may_be_given(&self, opened: impl AsFd, owner: Owner) -> bool {
        if !is_root() || owner.uid == 0 {
            return true;
        }
        let Ok(stat) = self.stat_fd(&opened) else {
            return false;
        };
        let Ok(path) = real_path_of(&opened) else {
            return false;
        };
        let Owner { uid, gid } = owner;
        let Some(_acting) = Acting::as_owner(&Stat { uid, gid, ..stat }) else {
            // If root cannot change its filesystem user, everything is done as root.
            return true;
        };
        let open = |flags| {
            let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let fd = rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty()).ok()?;
            let found = self.stat_fd(&fd).ok()?;
            (found.identity == stat.identity && found.dev == stat.dev).then_some(())
        };
        let is_reached = open(OFlags::PATH).is_some();
        let reads = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        is_reached && (stat.uid == owner.uid || open(reads).is_some())
    }
}

impl Dir {
    /// Whether root fills this directory for another user.
    pub(crate) fn is_filled_for_another(&self) -> Result<bool, DiskError> {
        Ok(is_root() && self.own_stat()?.uid != 0)
    }

    /// Whether the owner of this directory may get content that root has opened; see [`Disk::may_be_given`].
    pub(crate) fn may_get(&self, opened: impl AsFd) -> Result<bool, DiskError> {
        let owner = Owner::of(&self.own_stat()?);
        Ok(self.disk.may_be_given(opened, owner))
    }
}
