//! The user whose rights a system call uses, when root works in a directory of another user.
//!
//! On Linux each thread has its own user and group for file access (`fsuid`, `fsgid`). With those of a directory's
//! owner, root creates files that the owner owns, and changes nothing that the owner could not change. The kernel
//! checks this in the call itself, so there is no gap between check and use.

use std::cell::Cell;
use std::marker::PhantomData;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::Dir;
use crate::model::Stat;

/// A group that owns nothing, for a user whose directory belongs to the group of root.
const NO_GROUP: u32 = 65534;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Owner {
    /// The superuser.
    pub(crate) const ROOT: Self = Self { uid: 0, gid: 0 };

    /// The owner of an entry.
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            uid: stat.uid,
            gid: stat.gid,
        }
    }

    /// The owner for a new entry of a directory, if this process is root.
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

/// While this value exists, the thread accesses files with the rights of another user.
#[derive(Debug)]
#[must_use = "the thread has the rights of root again when this is dropped"]
pub(crate) struct Acting {
    uid: Uid,
    gid: Gid,
    groups: Option<Vec<rustix::fs::Gid>>,
    /// The rights belong to one thread.
    _thread: PhantomData<*const ()>,
}

impl Acting {
    /// Switches to the rights of a directory's owner, without the groups of root. `None` if this process is not root,
    /// the directory belongs to root, or the rights were switched already.
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
        let before = set_users(Uid::from_raw(uid), Gid::from_raw(gid));
        let acting = Self {
            uid: before.0,
            gid: before.1,
            groups,
            _thread: PhantomData,
        };
        // A container may forbid the change.
        (writer() == uid).then_some(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        set_users(self.uid, self.gid);
        if let Some(groups) = &self.groups
            && let Err(errno) = rustix::thread::set_thread_groups(groups)
        {
            tracing::warn!(%errno, "the supplementary groups of this thread are lost");
        }
    }
}

/// The user ids of this thread in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rights {
    /// The effective user of the process.
    process: u32,
    /// The filesystem user of this thread, with which it opens and creates files.
    files: u32,
}

impl Rights {
    fn ask() -> Self {
        let process = rustix::process::geteuid().as_raw();
        let files = match process {
            // An invalid user changes nothing and returns the present one.
            0 => setfsuid(Uid::from_raw(u32::MAX)).as_raw(),
            _ => process,
        };
        Self { process, files }
    }
}

thread_local! {
    /// What [`Rights::ask`] returned: two system calls for each question would double the cost of reading. Only this
    /// file changes the user of a thread.
    static RIGHTS: Cell<Option<Rights>> = const { Cell::new(None) };
}

fn rights() -> Rights {
    RIGHTS.get().unwrap_or_else(|| {
        let rights = Rights::ask();
        RIGHTS.set(Some(rights));
        rights
    })
}

/// Asks the kernel again at the next question: the caller may have changed its user since another journal was opened.
pub(crate) fn forget_rights() {
    RIGHTS.set(None);
}

fn set_users(uid: Uid, gid: Gid) -> (Uid, Gid) {
    forget_rights();
    let gid = setfsgid(gid);
    (setfsuid(uid), gid)
}

/// Whether calls use the rights of root.
pub(crate) fn is_root() -> bool {
    rights()
        == Rights {
            process: 0,
            files: 0,
        }
}

/// The user who owns what calls create now. A thread that was started while acting inherits the rights.
pub(crate) fn writer() -> u32 {
    rights().files
}

/// Makes a call with this process's own rights, for a path that the caller of the library supplied.
pub(super) fn as_caller<T>(make: impl FnOnce() -> T) -> T {
    let Rights { process, files } = rights();
    if process == files {
        return make();
    }
    let gid = rustix::process::getegid().as_raw();
    let (uid, gid) = set_users(Uid::from_raw(process), Gid::from_raw(gid));
    let made = make();
    set_users(uid, gid);
    made
}

/// The permission bits for content that `owner` wrote: set-id bits are kept only if `owner` is the user who writes it
/// now.
pub(crate) fn mode_of(mode: u32, owner: u32) -> u32 {
    // A caller that gave up its rights since must not lend them to a file: the kernel is asked.
    match owner == Rights::ask().files {
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

    /// The same for a call about this directory itself, with the rights of the parent directory's owner.
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
