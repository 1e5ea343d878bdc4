//! Whose rights a call is made with, when root works in a directory of another user.
//!
//! Linux has a user and a group for file access that belong to each thread by themselves (`fsuid`, `fsgid`). With
//! those of a directory's owner root creates what that user owns, and changes nothing that the user could not
//! change: the kernel decides, and there is no moment between a check and the call.

use std::marker::PhantomData;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::Dir;
use crate::model::Stat;

/// A group that owns nothing, for a user whose directory belongs to the group of root.
const NO_GROUP: u32 = 65534;

/// A user and a group that something belongs to, or is to belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Owner {
    /// Who may do everything.
    pub(crate) const ROOT: Self = Self { uid: 0, gid: 0 };

    /// Whose something is.
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            uid: stat.uid,
            gid: stat.gid,
        }
    }

    /// Whom a new entry of a directory is to belong to, if this process is root.
    pub(crate) fn of_new_in(dir: &Stat) -> Self {
        const SETGID: u32 = 0o2000;
        match dir.uid == 0 && dir.mode & SETGID == 0 {
            true => Self {
                uid: 0,
                gid: rustix::process::getegid().as_raw(),
            },
            false => Self::of(dir),
        }
    }
}

/// While this exists, this thread opens and changes files with the rights of another user.
#[derive(Debug)]
#[must_use = "the rights are those of root again when this is dropped"]
pub(crate) struct Acting {
    uid: Uid,
    gid: Gid,
    groups: Option<Vec<rustix::fs::Gid>>,
    /// The rights are those of one thread.
    _thread: PhantomData<*const ()>,
}

impl Acting {
    /// Takes the rights of a directory's owner, without the groups of root. `None` if this process is not root, the
    /// directory is root's, or the rights are not those of root any more.
    pub(crate) fn as_owner(dir: &Stat) -> Option<Self> {
        if !is_root() || dir.uid == 0 {
            return None;
        }
        let gid = if dir.gid == 0 { NO_GROUP } else { dir.gid };
        let groups = rustix::process::getgroups().ok();
        let groups = groups.filter(|_| rustix::thread::set_thread_groups(&[]).is_ok());
        Self::begin(dir.uid, gid, groups)
    }

    fn begin(uid: u32, gid: u32, groups: Option<Vec<rustix::fs::Gid>>) -> Option<Self> {
        let before = (setfsgid(Gid::from_raw(gid)), setfsuid(Uid::from_raw(uid)));
        let acting = Self {
            gid: before.0,
            uid: before.1,
            groups,
            _thread: PhantomData,
        };
        // A container may forbid it.
        (writer() == uid).then_some(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
        if let Some(groups) = &self.groups
            && let Err(errno) = rustix::thread::set_thread_groups(groups)
        {
            tracing::warn!(%errno, "the supplementary groups of this thread are lost");
        }
    }
}

/// Whether calls are made with the rights of root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root() && writer() == 0
}

/// The user whose files calls create now. A thread that was started meanwhile has the same rights.
pub(super) fn writer() -> u32 {
    match rustix::process::geteuid() {
        // An invalid one changes nothing, and tells what it is.
        uid if uid.is_root() => setfsuid(Uid::from_raw(u32::MAX)).as_raw(),
        uid => uid.as_raw(),
    }
}

/// Makes a call about a path that the caller of this process vouches for, with the caller's own rights.
pub(super) fn as_caller<T>(make: impl FnOnce() -> T) -> T {
    let own = rustix::process::geteuid().as_raw();
    if writer() == own {
        return make();
    }
    let gid = rustix::process::getegid().as_raw();
    let acting = (setfsuid(Uid::from_raw(own)), setfsgid(Gid::from_raw(gid)));
    let made = make();
    setfsgid(acting.1);
    setfsuid(acting.0);
    made
}

/// The permission bits that content may have which `owner` wrote: nothing runs as the user who writes it now but what
/// that user owned before.
pub(crate) fn mode_of(mode: u32, owner: u32) -> u32 {
    match owner == writer() {
        true => mode,
        false => mode & !0o6000,
    }
}

impl Dir {
    /// Makes a call about an entry of this directory with the rights of the directory's owner, if this process is
    /// root: what it creates belongs to that owner, and it changes nothing that the owner could not change.
    pub(super) fn as_its_owner<T>(
        &self,
        make: impl FnOnce() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        self.as_owner_at(b"", AtFlags::EMPTY_PATH, make)
    }

    /// The same for a call about this directory itself, which is an entry of the one above.
    pub(super) fn as_owner_above<T>(
        &self,
        make: impl FnOnce() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        match self.is_made_here {
            true => make(),
            false => self.as_owner_at(b"..", AtFlags::empty(), make),
        }
    }

    fn as_owner_at<T>(
        &self,
        path: &[u8],
        flags: AtFlags,
        make: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if !is_root() {
            return make();
        }
        let dir = super::dir::statx(&self.fd, path, flags, self.disk.lacks())?;
        let _acting = match dir.uid {
            0 => None,
            uid => Acting::begin(uid, dir.gid, None),
        };
        make()
    }
}
