//! The journal's own files and directories. They are never more readable than the home allows, whatever the umask is.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use camino::Utf8Path;
use rustix::fs::{Gid, Mode, OFlags};
use rustix::io::Errno;

use super::acting::{Owner, is_root, writer};
use super::file::give;
use super::{Descent, Detail, Dir, DiskError, NewFile, Step, Verb};
use crate::model::{ACL, Access, Kind, Stat};

impl Dir {
    /// The same directory with this access for files of the journal; handles opened through it inherit the access.
    pub(crate) fn used_by(&self, access: Access) -> Self {
        Self {
            access,
            ..self.clone()
        }
    }

    /// The access for files of the journal.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Creates a directory of the journal if it is missing, and opens it. An entry of another kind, or one that this
    /// process cannot access, is moved away: an outside program must not be able to stop all work by putting
    /// something in its place.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails, such as for a mount point.
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

    /// Restores the owner's access to an entry of the journal of this kind, if this process may: true. Otherwise
    /// renames it within this directory, where `fsck` reports it: false.
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
                    tracing::warn!(%path, "what was in the place of `{name}` was moved to this path");
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

    /// Creates a directory of the journal.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `EEXIST` when the name exists.
    pub(crate) fn make_own_dir(&self, name: &str) -> Result<(), DiskError> {
        self.make_dir(name, self.access.dir_mode())?;
        match self.stat(name)? {
            Some(stat) => self.restrict(name, &stat),
            None => Ok(()),
        }
    }

    /// Creates a new file of the journal for reading and writing.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn create_own_file(&self, name: &str) -> Result<NewFile, DiskError> {
        let file = self.create_file(name, self.access.file_mode())?;
        self.restrict_open(&file, name)?;
        if file.attributes()?.get(ACL).is_some() {
            // From the default ACL of the directory.
            file.remove_attribute(ACL)?;
        }
        Ok(file)
    }

    /// Creates a new file for a log. The caller writes to it without a witness.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn create_log(&self, name: &str) -> Result<File, DiskError> {
        Ok(self.create_own_file(name)?.into_file())
    }

    /// Opens a file of the journal for reading; if this process is root, with the rights of the directory's owner,
    /// who could have replaced the file.
    ///
    /// # Errors
    /// [`DiskError`] as for [`Dir::open_file`], and `EMLINK` for a file with several hard links.
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

    /// Opens a lock file, and creates it if it is missing; its content is informational. An entry that is not a
    /// regular file, or that this process cannot open, is moved away: no process can hold a lock on it.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
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
        // With the rights of the directory's owner, who could have linked a file of root there.
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

    /// Whether a file of the journal belongs to a user who neither owns nor shares the home and is neither root nor
    /// this user.
    fn is_foreign(&self, stat: &Stat) -> bool {
        let Access { owner, group } = self.access;
        let is_known = |owner| [owner, 0, writer()].contains(&stat.uid);
        group.is_none() && owner.is_some_and(|owner| !is_known(owner))
    }

    /// Creates a file for `owner`, if this process is root. It belongs to root first, so that the owner of this
    /// directory cannot have it open when content is written that is not for that user.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
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

    /// Creates a directory for `owner`, if this process is root, and opens it.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `EAGAIN` if it was replaced before it was opened.
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
        Ok(made.made_here())
    }

    /// Creates a directory owned by root, regardless of the owner of this one.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `EEXIST` when the name exists.
    pub(crate) fn make_dir_of_root(&self, path: &str, mode: u32) -> Result<(), DiskError> {
        self.in_parent(path, |parent, name| {
            let detail = Detail {
                offset: mode.into(),
                ..Detail::default()
            };
            let shown = || parent.path.join(name);
            parent.disk.call(Verb::MakeDir, shown, detail, || {
                rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(mode))
            })
        })
    }

    /// The same directory, which this process has made.
    pub(crate) fn made_here(self) -> Self {
        let is_made_here = true;
        Self {
            is_made_here,
            ..self
        }
    }

    /// Makes this directory owned by root and private.
    ///
    /// # Errors
    /// [`DiskError`] when a call fails.
    pub(crate) fn close(&self) -> Result<(), DiskError> {
        self.give_to(Owner::ROOT)?;
        self.set_own_meta(0o700, self.own_stat()?.mtime)
    }

    fn give_to(&self, owner: Owner) -> Result<(), DiskError> {
        give(&self.disk, &self.fd, owner, || self.path.clone())
    }

    /// Fills this empty directory by a path to it. If this process is root and another user could replace the directory,
    /// the path leads through this handle, and the directory is owned by root meanwhile: that user can neither add entries
    /// nor put a link in its place. Afterwards its owner gets the entries that root created.
    ///
    /// # Errors
    /// The error of `fill`, and [`DiskError`] when a call fails; `EAGAIN` if the directory is not empty.
    pub(crate) fn filled<E: From<DiskError>>(
        &self,
        fill: impl FnOnce(&Utf8Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = self.real_path()?;
        if !is_root() || self.disk.only_root_changes(&path) {
            return fill(&path);
        }
        let stat = self.own_stat()?;
        self.give_to(Owner::ROOT)?;
        self.close_to_others(&stat)?;
        let held = format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd());
        let filled = fill(Utf8Path::new(&held));
        if stat.uid != 0 {
            self.give_all_to(Owner::of(&stat))?;
        }
        filled
    }

    /// Removes the access that other users may have obtained while the directory was not owned by root.
    fn close_to_others(&self, stat: &Stat) -> Result<(), DiskError> {
        if self.remove_acls()? {
            let path = &self.path;
            tracing::warn!(%path, "entries that root creates here do not get the ACL of the directory");
        }
        self.set_own_meta(stat.mode & !0o022, stat.mtime)?;
        match self.names()?.is_empty() && self.own_stat()?.links <= 2 {
            true => Ok(()),
            false => Err(self.error("fill", Errno::AGAIN)),
        }
    }

    /// Gives root's entries of this directory of root, and the directory last, to another owner. No other user can
    /// have moved anything there. A file with another hard link stays root's.
    fn give_all_to(&self, owner: Owner) -> Result<(), DiskError> {
        let mut walk = Descent::through(self, self.names()?)?;
        while let Some(step) = walk.step()? {
            let name = match step {
                Step::Entry(name) => name,
                Step::Left(dir, _) => {
                    dir.give_to(owner)?;
                    continue;
                }
            };
            let here = walk.here();
            let Some(stat) = here.stat(&name)?.filter(|stat| stat.uid == 0) else {
                continue;
            };
            if stat.kind == Kind::Dir {
                walk.enter(&name)?;
            } else if stat.links == 1 {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(&here.fd, name.as_bytes(), flags, Mode::empty());
                let fd = fd.map_err(|errno| here.error_at("open", &name, errno))?;
                give(&here.disk, &fd, owner, || here.shown(&name))?;
            }
        }
        self.give_to(owner)
    }

    /// Sets the group and permission bits of an entry of the journal to those that the home requires.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `EPERM` for an entry of another user.
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
                // The magic link refers to the open inode, whatever has the name by now.
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

    /// The same for a file that this process has just created.
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
