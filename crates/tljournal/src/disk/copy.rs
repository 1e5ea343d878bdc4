//! Copies entries of any kind and name to quarantine; names need not be UTF-8.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::file::mtime_only;
use super::{Descent, Detail, Dir, DiskError, NewFile, Step, Verb};
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
        let (mut left_out, mut stats) = (Vec::new(), Vec::new());
        let mut from = Descent::through(self, vec![name.to_owned()])?;
        let mut onto = Descent::through(to, Vec::new())?;
        while let Some(step) = from.step()? {
            let entry = match step {
                Step::Entry(entry) => entry,
                Step::Left(..) => {
                    if let (Some(Step::Left(copy, _)), Some(stat)) = (onto.step()?, stats.pop()) {
                        let stat: Stat = stat;
                        copy.set_own_meta(stat.mode & MODE_MASK, stat.mtime)?;
                    }
                    continue;
                }
            };
            let Some(stat) = from.here().stat(&entry)? else {
                continue;
            };
            let new_name = match stats.is_empty() {
                true => new_name,
                false => &entry,
            };
            let place = (onto.here(), new_name);
            match stat.kind {
                Kind::Dir => {
                    from.enter(&entry)?;
                    let stat = from.here().own_stat()?;
                    onto.here().make_child_dir(new_name)?;
                    onto.enter(new_name)?;
                    stats.push(stat);
                }
                Kind::File => from.here().copy_file(&entry, place)?,
                Kind::Link => from.here().copy_link(&entry, place, &stat)?,
                Kind::Other => {
                    let path = from.here().shown(&entry);
                    left_out.push(path.as_str().escape_debug().to_string());
                }
            }
        }
        Ok(left_out)
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
