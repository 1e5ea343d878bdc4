//! Copies entries of any kind and name to quarantine; names need not be UTF-8.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::file::mtime_only;
use super::{Detail, Dir, DiskError, LEVELS_MAX, NewFile, Verb};
use crate::model::{Kind, Stat};

/// Copies carry no set-id bits, because the process that copies need not be the owner of the original.
const MODE_MASK: u32 = 0o777;

impl Dir {
    /// Copies an entry with everything below it. Returns what was skipped because it has no content: sockets, FIFOs
    /// and devices.
    ///
    /// # Errors
    /// [`DiskError`] for the first entry that cannot be copied; what was copied before stays.
    pub(crate) fn copy_entry(
        &self,
        name: &OsStr,
        to: &Self,
        new_name: &OsStr,
    ) -> Result<Vec<String>, DiskError> {
        let mut left_out = Vec::new();
        self.copy_down_to(name, (to, new_name), LEVELS_MAX, &mut left_out)?;
        Ok(left_out)
    }

    fn copy_down_to(
        &self,
        name: &OsStr,
        (to, new_name): (&Self, &OsStr),
        levels: u32,
        left_out: &mut Vec<String>,
    ) -> Result<(), DiskError> {
        let Some(stat) = self.stat(name)? else {
            return Ok(());
        };
        match stat.kind {
            Kind::Dir if levels == 0 => {
                return Err(self.error_at("copy", name, Errno::NAMETOOLONG));
            }
            Kind::Dir => {
                let inside = self.open_child(name)?;
                let stat = inside.own_stat()?;
                to.make_child_dir(new_name)?;
                let copy = to.open_child(new_name)?;
                for entry in inside.names()? {
                    inside.copy_down_to(&entry, (&copy, &entry), levels - 1, left_out)?;
                }
                copy.set_own_meta(stat.mode & MODE_MASK, stat.mtime)?;
            }
            Kind::File => self.copy_file(name, (to, new_name))?,
            Kind::Link => self.copy_link(name, (to, new_name), &stat)?,
            Kind::Other => left_out.push(self.shown(name).as_str().escape_debug().to_string()),
        }
        Ok(())
    }

    fn copy_file(&self, name: &OsStr, (to, new_name): (&Self, &OsStr)) -> Result<(), DiskError> {
        let from = self.open_child_file(name)?;
        // The mode is that of the open file: another one may have the name by now.
        let stat = self.stat_open(&from)?;
        if stat.kind != Kind::File {
            return Err(self.error_at("open", name, Errno::INVAL));
        }
        let mut copy = to.create_child(new_name)?;
        copy.copy_from(&from, &self.shown(name))?;
        copy.set_mode(stat.mode & MODE_MASK)?;
        copy.set_mtime(stat.mtime)
    }

    fn copy_link(
        &self,
        name: &OsStr,
        (to, new_name): (&Self, &OsStr),
        stat: &Stat,
    ) -> Result<(), DiskError> {
        let target = rustix::fs::readlinkat(&self.fd, name.as_bytes(), Vec::new())
            .map_err(|errno| self.error_at("read the link", name, errno))?;
        let detail = Detail {
            data: target.as_bytes(),
            ..Detail::default()
        };
        let shown = || to.shown(new_name);
        to.disk.call(Verb::MakeLink, shown, detail, || {
            rustix::fs::symlinkat(target.as_c_str(), &to.fd, new_name.as_bytes())
        })?;
        to.disk.call(Verb::SetTimes, shown, Detail::default(), || {
            let (times, flags) = (mtime_only(stat.mtime), AtFlags::SYMLINK_NOFOLLOW);
            rustix::fs::utimensat(&to.fd, new_name.as_bytes(), &times, flags)
        })
    }

    fn create_child(&self, name: &OsStr) -> Result<NewFile, DiskError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let shown = || self.shown(name);
        let fd = self
            .disk
            .call(Verb::CreateFile, shown, Detail::default(), || {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::openat(&self.fd, name.as_bytes(), flags | OFlags::NOFOLLOW, mode)
            })?;
        Ok(NewFile::new(fd.into(), self.disk.clone(), shown()))
    }

    fn make_child_dir(&self, name: &OsStr) -> Result<(), DiskError> {
        let mode = 0o700;
        let detail = Detail {
            offset: mode.into(),
            ..Detail::default()
        };
        let shown = || self.shown(name);
        self.disk.call(Verb::MakeDir, shown, detail, || {
            rustix::fs::mkdirat(&self.fd, name.as_bytes(), Mode::from_raw_mode(mode))
        })
    }
}
