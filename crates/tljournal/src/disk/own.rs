//! The journal's own files and directories, which are not more readable than the home allows, whatever the umask is.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Gid, Mode, OFlags};
use rustix::io::Errno;

use super::acting::{Owner, is_root, writer};
use super::file::give;
use super::{Detail, Dir, DiskError, LEVELS_MAX, NewFile, Verb};
use crate::model::{Access, Kind, Stat};

impl Dir {
    /// The same directory for files of the journal that these may use; handles that are opened through it inherit that.
    pub(crate) fn used_by(&self, access: Access) -> Self {
        Self {
            access,
            ..self.clone()
        }
    }

    /// Makes a directory of ours if it is missing, and opens it. What is none, or is closed to this process, is moved
    /// away: what an outside program puts in its place must not stop all work.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says: something is mounted there, say.
    pub(crate) fn ensure_own_dir(&self, name: &str) -> Result<Self, DiskError> {
        match self.open_dir(name) {
            Err(error) if error.is(Errno::NOENT) => {}
            Err(error)
                if [Errno::NOTDIR, Errno::LOOP, Errno::ACCESS]
                    .iter()
                    .any(|no| error.is(*no)) =>
            {
                if self.mend_or_move_away(name, Kind::Dir)? {
                    return self.open_dir(name);
                }
            }
            Ok(dir) if dir.is_writable() || dir.own_stat()?.uid == writer() => return Ok(dir),
            Ok(_) => _ = self.mend_or_move_away(name, Kind::Dir)?,
            Err(error) => return Err(error),
        }
        match self.make_own_dir(name) {
            Err(error) if !error.is(Errno::EXIST) => return Err(error),
            _ => {}
        }
        self.open_dir(name)
    }

    /// Opens an entry of ours of this kind to its owner again, if this process may: true. Otherwise gives it another name in this
    /// directory, which `fsck` shows: false.
    fn mend_or_move_away(&self, name: &str, kind: Kind) -> Result<bool, DiskError> {
        let Some(stat) = self.stat(name)? else {
            return Ok(false);
        };
        let is_ours = stat.kind == kind && stat.uid == writer();
        if is_ours && !self.access.is_of(&stat, self.mode_of_own(stat.kind)) {
            self.restrict(name, &stat)?;
            return Ok(true);
        }
        for n in 1_u32.. {
            let away = format!("{name}.displaced-{n}");
            match self.rename_new(name, self, &away) {
                Err(error) if error.is(Errno::EXIST) => {}
                moved => {
                    moved?;
                    let path = self.path.join(&away);
                    tracing::warn!(%path, "what was in the place of `{name}` is here now");
                    break;
                }
            }
        }
        Ok(false)
    }

    fn mode_of_own(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Dir => self.access.dir_mode(),
            Kind::File | Kind::Link | Kind::Other => self.access.file_mode(),
        }
    }

    /// Makes a directory of ours.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says; `EEXIST` when something has the name.
    pub(crate) fn make_own_dir(&self, name: &str) -> Result<(), DiskError> {
        self.make_dir(name, self.access.dir_mode())?;
        match self.stat(name)? {
            Some(stat) => self.restrict(name, &stat),
            None => Ok(()),
        }
    }

    /// Creates a file of ours that was not there, for reading and writing.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub(crate) fn create_own_file(&self, name: &str) -> Result<NewFile, DiskError> {
        let file = self.create_file(name, self.access.file_mode())?;
        self.restrict_open(&file, name)?;
        Ok(file)
    }

    /// Creates a file that was not there, for whoever keeps a log in it. What is written is no call of this
    /// room.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub(crate) fn create_log(&self, name: &str) -> Result<File, DiskError> {
        Ok(self.create_own_file(name)?.into_file())
    }

    /// Opens a file of ours to read it, with the rights of the owner of this directory if this process is root: who
    /// could have put another one there.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says; as for [`Dir::open_file`], and `EMLINK` for a file that has a second name.
    pub(crate) fn open_own_file(&self, name: &str) -> Result<File, DiskError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = self.as_its_owner(|| self.open_beneath(name, flags, Mode::empty()));
        let file = File::from(opened.map_err(|errno| self.error_at("open", name, errno))?);
        let stat = self.stat_open(&file)?;
        match stat.kind {
            Kind::File if stat.links > 1 => Err(self.error_at("open", name, Errno::MLINK)),
            Kind::File => Ok(file),
            Kind::Dir => Err(self.error_at("open", name, Errno::ISDIR)),
            Kind::Link | Kind::Other => Err(self.error_at("open", name, Errno::INVAL)),
        }
    }

    /// Opens a lock file, made if it is missing; its content is for people. What is no regular file, or is closed to
    /// this process, is moved away: nobody can have locked it.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn open_lock_file(&self, path: &str) -> Result<File, DiskError> {
        self.in_parent(path, |parent, name| match parent.try_lock_file(name) {
            Err(error)
                if error.is_about_kind() || error.is(Errno::ACCESS) || error.is(Errno::PERM) =>
            {
                parent.mend_or_move_away(name, Kind::File)?;
                parent.try_lock_file(name)
            }
            opened => opened,
        })
    }

    fn try_lock_file(&self, name: &str) -> Result<File, DiskError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
        // As the owner of the directory, who could have put root's file there.
        let opened = self.as_its_owner(|| self.open_beneath(name, flags, Mode::empty()));
        let file = match opened {
            Err(Errno::NOENT) => {
                let made = self.create(name, flags, self.access.file_mode())?;
                self.restrict_open(&made, name)?;
                File::from(made)
            }
            opened => opened
                .map(File::from)
                .map_err(|errno| self.error_at("open", name, errno))?,
        };
        let stat = self.stat_open(&file)?;
        let refused = match stat.kind {
            Kind::File if self.is_foreign(&stat) => Errno::PERM,
            Kind::File => return Ok(file),
            Kind::Dir => Errno::ISDIR,
            Kind::Link | Kind::Other => Errno::INVAL,
        };
        Err(self.error_at("open", name, refused))
    }

    /// Whether a file of ours belongs to somebody who neither owns nor shares the home, nor is root or this user.
    fn is_foreign(&self, stat: &Stat) -> bool {
        let Access { owner, group } = self.access;
        let is_known = |owner| [owner, 0, writer()].contains(&stat.uid);
        group.is_none() && owner.is_some_and(|owner| !is_known(owner))
    }

    /// Creates a file that is to belong to `owner`, if this process is root. It is root's before, so that the owner of
    /// this directory does not have it open when content comes that is not for that user.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub(crate) fn create_file_of(
        &self,
        name: &str,
        mode: u32,
        owner: Option<Owner>,
    ) -> Result<NewFile, DiskError> {
        let Some(owner) = owner else {
            return self.create_file(name, mode);
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let (shown, mode) = (|| self.path.join(name), Mode::from_raw_mode(mode));
        let fd = self
            .disk
            .call(Verb::CreateFile, shown, Detail::default(), || {
                self.open_beneath(name, flags, mode)
            })?;
        let file = NewFile::new(fd.into(), self.disk.clone(), shown());
        file.give_to(owner)?;
        Ok(file)
    }

    /// Makes a directory that is to belong to `owner`, if this process is root, and opens it.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says; `EAGAIN` if it was replaced before it was open.
    pub(crate) fn make_dir_of(
        &self,
        name: &str,
        mode: u32,
        owner: Option<Owner>,
    ) -> Result<Self, DiskError> {
        self.make_dir(name, mode)?;
        let made = self.open_dir(name)?;
        let Some(owner) = owner else {
            return Ok(made);
        };
        if made.own_stat()?.uid != self.own_stat()?.uid {
            return Err(self.error_at("open the directory", name, Errno::AGAIN));
        }
        made.give_to(owner)?;
        let is_made_here = true;
        Ok(Self {
            is_made_here,
            ..made
        })
    }

    fn give_to(&self, owner: Owner) -> Result<(), DiskError> {
        give(&self.disk, &self.fd, owner, || self.path.clone())
    }

    /// Has a command of root fill this directory, which is that of another user, while only root can put anything
    /// into it. What root made there belongs to that user afterwards.
    ///
    /// # Errors
    /// What the command says, and [`DiskError`] as the filesystem says.
    pub(crate) fn filled_by_root<E: From<DiskError>>(
        &self,
        fill: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let owner = Owner::of(&self.own_stat()?);
        if !is_root() || owner.uid == 0 {
            return fill();
        }
        self.give_to(Owner::ROOT)?;
        let filled = fill();
        self.give_all_to(owner, LEVELS_MAX)?;
        filled
    }

    /// Gives what is root's in this directory of root, and the directory last, to another owner: nobody else can have
    /// moved anything there. A file with a name elsewhere stays root's.
    fn give_all_to(&self, owner: Owner, levels: u32) -> Result<(), DiskError> {
        for name in self.names()? {
            let Some(stat) = self.stat(&name)?.filter(|stat| stat.uid == 0) else {
                continue;
            };
            if stat.kind == Kind::Dir && levels > 0 {
                self.open_child(&name)?.give_all_to(owner, levels - 1)?;
            } else if stat.links == 1 {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(&self.fd, name.as_bytes(), flags, Mode::empty());
                let fd = fd.map_err(|errno| self.error_at("open", &name, errno))?;
                give(&self.disk, &fd, owner, || self.shown(&name))?;
            }
        }
        self.give_to(owner)
    }

    /// Gives an entry of ours the group and the permission bits that the home asks for, if it has others.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says; `EPERM` for an entry of another user.
    pub(crate) fn restrict(&self, name: &str, stat: &Stat) -> Result<(), DiskError> {
        if matches!(stat.kind, Kind::Link | Kind::Other) {
            return Ok(());
        }
        let mode = self.mode_of_own(stat.kind);
        if self.access.is_of(stat, mode) {
            return Ok(());
        }
        let (shown, flags) = (|| self.path.join(name), OFlags::PATH | OFlags::NOFOLLOW);
        let detail = Detail {
            offset: mode.into(),
            ..Detail::default()
        };
        self.disk.call(Verb::SetMode, shown, detail, || {
            self.as_its_owner(|| {
                let fd = self.open_beneath(name, flags, Mode::empty())?;
                // The magic link leads to what is held, not to what has the name by now.
                let held = format!("/proc/self/fd/{}", fd.as_raw_fd());
                if self.disk.stat_fd(&fd)?.identity != stat.identity {
                    return Err(Errno::AGAIN);
                }
                if let Some(group) = self.access.group.filter(|group| *group != stat.gid) {
                    rustix::fs::chown(held.as_str(), None, Some(Gid::from_raw(group)))?;
                }
                let kept = stat.mode & 0o2000;
                rustix::fs::chmod(held.as_str(), Mode::from_raw_mode(mode | kept))
            })
        })
    }

    /// The same for a file that this process has just made.
    fn restrict_open(&self, file: impl AsFd, name: &str) -> Result<(), DiskError> {
        let failed = |errno| self.error_at("look at", name, errno);
        let stat = self.disk.stat_fd(&file).map_err(failed)?;
        let mode = self.access.file_mode();
        if self.access.is_of(&stat, mode) {
            return Ok(());
        }
        let shown = || self.path.join(name);
        let detail = Detail {
            offset: mode.into(),
            ..Detail::default()
        };
        self.disk.call(Verb::SetMode, shown, detail, || {
            if let Some(group) = self.access.group.filter(|group| *group != stat.gid) {
                rustix::fs::fchown(&file, None, Some(Gid::from_raw(group)))?;
            }
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
        })
    }
}
