//! Opens paths of the caller.
//!
//! Such a path may lead through symbolic links. Root follows a link of another user only to entries of that user:
//! otherwise that user would choose what root reads or changes. The link and its target are both opened, and the owners
//! of the two handles are compared, so that an entry that is replaced meanwhile is not followed.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use camino::Utf8Path;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::acting::{as_caller, is_root};
use super::dir::DIR_FLAGS;
use super::system::{is_proc, real_path_of};
use super::{Dir, Disk, DiskError, Lacks};
use crate::model::{Kind, Stat};

/// The maximum number of links in a path, as in the kernel.
const LINKS_MAX: u32 = 40;

/// The bits of a directory in which every user can create entries, and remove only their own.
const SHARED: u32 = 0o1002;

/// A handle that only names an entry.
const NAME_FLAGS: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Opens a path, from a directory if it is relative, with this process's own rights. `shown` is for messages.
pub(super) fn open_named(
    dir: impl AsFd,
    path: &str,
    shown: &Utf8Path,
    flags: OFlags,
    lacks: Lacks,
) -> Result<OwnedFd, DiskError> {
    let failed = |errno| DiskError::new(verb(flags), shown.as_str(), errno);
    as_caller(|| {
        if !is_root() {
            return rustix::fs::openat(&dir, path, flags, Mode::empty()).map_err(failed);
        }
        if !lacks.openat2 {
            let how = ResolveFlags::NO_SYMLINKS;
            match rustix::fs::openat2(&dir, path, flags, Mode::empty(), how) {
                Err(Errno::LOOP | Errno::NOSYS | Errno::PERM) => {}
                opened => return opened.map_err(failed),
            }
        }
        let found = Walk::new(lacks).walk(&dir, path.as_bytes());
        let found = found.map_err(|stopped| stopped.told(failed))?;
        reopen(found, flags).map_err(failed)
    })
}

impl Dir {
    /// Opens the directory in which a path of the caller is to be created, and returns the name in it: for a dangling link
    /// that is the name of its target.
    pub(super) fn above_missing(
        path: &Utf8Path,
        disk: &Disk,
    ) -> Result<(Self, OsString), DiskError> {
        if !is_root() {
            let (dir, name) = Self::above_named(path, disk)?;
            return Ok((dir, name.into()));
        }
        let failed = |errno| DiskError::new("create", path.as_str(), errno);
        let mut walk = Walk::new(disk.lacks());
        let found = walk.above(CWD, path.as_str().as_bytes());
        let (above, name) = found.map_err(|stopped| stopped.told(failed))?;
        let opened = reopen(above, DIR_FLAGS).map_err(failed)?;
        let shown = path.parent().unwrap_or(path).to_owned();
        Ok((
            Self::of(opened, shown, disk.clone()),
            OsString::from_vec(name),
        ))
    }
}

impl Disk {
    /// Whether only root can replace the entry at an absolute path and the directories above it.
    #[must_use]
    pub fn only_root_changes(&self, path: &Utf8Path) -> bool {
        path.ancestors().all(|dir| {
            let stat = self.stat_at(dir).ok().flatten();
            stat.is_some_and(|stat| {
                let is_sticky = stat.mode & 0o1000 != 0;
                stat.uid == 0 && (stat.mode & 0o022 == 0 || is_sticky)
            })
        })
    }
}

fn verb(flags: OFlags) -> &'static str {
    match flags.contains(OFlags::DIRECTORY) {
        true => "open the directory",
        false => "open",
    }
}

/// Opens the entry of a handle.
fn reopen(found: OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    match flags {
        _ if flags.contains(OFlags::PATH) => Ok(found),
        _ if flags.contains(OFlags::DIRECTORY) => {
            rustix::fs::openat(&found, ".", flags, Mode::empty())
        }
        _ => {
            let held = format!("/proc/self/fd/{}", found.as_raw_fd());
            rustix::fs::open(held.as_str(), flags, Mode::empty())
        }
    }
}

/// The reason why a walk failed.
enum Stopped {
    Errno(Errno),
    /// At the link with this path.
    Planted(String),
}

impl Stopped {
    fn told(self, failed: impl FnOnce(Errno) -> DiskError) -> DiskError {
        match self {
            Self::Errno(errno) => failed(errno),
            Self::Planted(link) => {
                let why = "it is a link of another user to something that this user does not own";
                let why = io::Error::new(io::ErrorKind::PermissionDenied, why);
                DiskError::new("follow", &link, why)
            }
        }
    }
}

impl From<Errno> for Stopped {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Follows a path component by component.
struct Walk {
    lacks: Lacks,
    links_left: u32,
}

impl Walk {
    fn new(lacks: Lacks) -> Self {
        let links_left = LINKS_MAX;
        Self { lacks, links_left }
    }

    /// Opens the target of a path.
    fn walk(&mut self, dir: impl AsFd, path: &[u8]) -> Result<OwnedFd, Stopped> {
        let flags = NAME_FLAGS | OFlags::DIRECTORY;
        let mut at = match path.first() {
            None => return Err(Errno::NOENT.into()),
            Some(b'/') => rustix::fs::open("/", flags, Mode::empty())?,
            Some(_) => rustix::fs::openat(dir, ".", flags, Mode::empty())?,
        };
        for part in path.split(|byte| *byte == b'/') {
            if !part.is_empty() {
                at = self.step(&at, part)?;
            }
        }
        Ok(at)
    }

    fn step(&mut self, at: &OwnedFd, part: &[u8]) -> Result<OwnedFd, Stopped> {
        let found = rustix::fs::openat(at, part, NAME_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
        let Some(link) = self.link(at, &found)? else {
            return Ok(found);
        };
        let target = match is_proc(at)? {
            // The target of such a link may have no path.
            true => rustix::fs::openat(at, part, NAME_FLAGS, Mode::empty())?,
            false => {
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
                self.walk(at, target.as_bytes())?
            }
        };
        match link.may_lead_to(&self.stat(&target)?) {
            true => Ok(target),
            false => Err(planted(at, part)),
        }
    }

    /// Opens the parent directory of a missing path, and returns the name in it.
    fn above(&mut self, dir: impl AsFd, path: &[u8]) -> Result<(OwnedFd, Vec<u8>), Stopped> {
        let end = path.iter().rposition(|byte| *byte == b'/');
        let (above, name) = path.split_at(end.map_or(0, |end| end + 1));
        let at = self.walk(dir, if above.is_empty() { b"." } else { above })?;
        let flags = NAME_FLAGS | OFlags::NOFOLLOW;
        let found = match rustix::fs::openat(&at, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok((at, name.to_vec())),
            found => found?,
        };
        let Some(link) = self.link(&at, &found)? else {
            return Ok((at, name.to_vec()));
        };
        let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
        let led = self.above(&at, target.as_bytes())?;
        match link.may_lead_to(&self.stat(&led.0)?) {
            true => Ok(led),
            false => Err(planted(&at, name)),
        }
    }

    /// The found entry, if it is a link.
    fn link(&mut self, at: &OwnedFd, found: &OwnedFd) -> Result<Option<Link>, Errno> {
        let stat = self.stat(found)?;
        if stat.kind != Kind::Link {
            return Ok(None);
        }
        self.links_left = self.links_left.checked_sub(1).ok_or(Errno::LOOP)?;
        let dir = self.stat(at)?;
        Ok(Some(Link {
            owner: stat.uid,
            is_anyones: dir.mode & SHARED == SHARED && stat.uid != dir.uid,
        }))
    }

    fn stat(&self, fd: impl AsFd) -> Result<Stat, Errno> {
        super::dir::statx(fd, b"", AtFlags::EMPTY_PATH, self.lacks)
    }
}

/// A link on the way.
struct Link {
    owner: u32,
    /// Whether it is in a directory where every user can create one, such as `/tmp`; by default the kernel does not follow
    /// it either.
    is_anyones: bool,
}

impl Link {
    fn may_lead_to(&self, target: &Stat) -> bool {
        self.owner == 0 || self.owner == target.uid && !self.is_anyones
    }
}

fn planted(at: &OwnedFd, part: &[u8]) -> Stopped {
    let dir = real_path_of(at).unwrap_or_default();
    Stopped::Planted(dir.join(String::from_utf8_lossy(part).as_ref()).into())
}
