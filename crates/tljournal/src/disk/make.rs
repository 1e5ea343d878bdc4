//! Creates entries.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::fd::OwnedFd;

use camino::Utf8Path;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Detail, Dir, DiskError, NewFile, Verb, data_in};

/// The smallest page size.
const PAGE_BYTES: u64 = 4096;

impl Dir {
    /// Creates a new file for reading and writing.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn create_file(&self, path: &str, mode: u32) -> Result<NewFile, DiskError> {
        let fd = self.create(path, OFlags::RDWR | OFlags::EXCL, mode)?;
        let path = self.path.join(path);
        Ok(NewFile::new(fd.into(), self.disk.clone(), path))
    }

    /// Creates a file; if this process is root, it belongs to the owner of the directory.
    pub(super) fn create(
        &self,
        path: &str,
        flags: OFlags,
        mode: u32,
    ) -> Result<OwnedFd, DiskError> {
        self.in_parent(path, |parent, name| {
            let (shown, flags) = (|| parent.path.join(name), flags | OFlags::CREATE);
            parent
                .disk
                .call(Verb::CreateFile, shown, Detail::default(), || {
                    parent.as_its_owner(|| {
                        parent.open_beneath(name, flags, Mode::from_raw_mode(mode))
                    })
                })
        })
    }

    /// Replaces the content of a small informational file of the journal. Neither atomic nor durable.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn overwrite(&self, file: &File, name: &str, text: &str) -> Result<(), DiskError> {
        let shown = || self.path.join(name);
        let cut = Detail {
            offset: text.len() as u64,
            ..Detail::default()
        };
        let write = Detail {
            data: text.as_bytes(),
            ..Detail::default()
        };
        self.disk.call(Verb::Write, shown, write, || {
            rustix::io::retry_on_intr(|| rustix::io::pwrite(file, text.as_bytes(), 0))
        })?;
        self.disk.call(Verb::Truncate, shown, cut, || {
            rustix::fs::ftruncate(file, text.len() as u64)
        })
    }

    /// Creates a file of the journal with `bytes` allocated by writing them.
    ///
    /// # Errors
    /// [`DiskError`] when there is no space; the file is removed then.
    pub fn fill_file(&self, name: &str, bytes: usize) -> Result<(), DiskError> {
        let mut file = self.create_own_file(name)?;
        if let Err(source) = file.write_all(&vec![0x5a; bytes]) {
            self.remove_file(name)?;
            return Err(DiskError::new(
                "write",
                self.path.join(name).as_str(),
                source,
            ));
        }
        Ok(())
    }

    /// Overwrites the first page of a file of the journal with zeros, up to its length.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn clear(&self, file: &File, name: &str) -> Result<(), DiskError> {
        let size = self.stat_open(file)?.size.min(PAGE_BYTES);
        self.write_zeros(file, name, 0..size)
    }

    /// Makes sure that this many bytes of a file of the journal are allocated, without changing their content.
    ///
    /// # Errors
    /// [`DiskError`] when there is no space.
    pub(crate) fn occupy(&self, file: &File, name: &str, bytes: u64) -> Result<(), DiskError> {
        let failed = |source| DiskError::new("read", self.path.join(name).as_str(), source);
        let mut at = 0;
        for data in data_in(file, bytes).map_err(failed)? {
            self.write_zeros(file, name, at..data.start)?;
            at = data.end;
        }
        self.write_zeros(file, name, at..bytes)
    }

    fn write_zeros(&self, file: &File, name: &str, range: Range<u64>) -> Result<(), DiskError> {
        let zeros = [0; PAGE_BYTES as usize];
        let mut at = range.start;
        while at < range.end {
            let count = zeros.len().min((range.end - at) as usize);
            let detail = Detail {
                offset: at,
                data: &zeros[..count],
                ..Detail::default()
            };
            at += self.disk.call(
                Verb::Write,
                || self.path.join(name),
                detail,
                || rustix::io::retry_on_intr(|| rustix::io::pwrite(file, &zeros[..count], at)),
            )? as u64;
        }
        Ok(())
    }

    /// Opens an existing file, to be synced like a new one.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn adopt_file(&self, path: &str) -> Result<NewFile, DiskError> {
        let file = self.open_file(path)?;
        Ok(NewFile::new(file, self.disk.clone(), self.path.join(path)))
    }

    /// Creates a directory.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `EEXIST` when the name exists.
    pub fn make_dir(&self, path: &str, mode: u32) -> Result<(), DiskError> {
        self.in_parent(path, |parent, name| {
            let detail = Detail {
                offset: mode.into(),
                ..Detail::default()
            };
            parent.disk.call(
                Verb::MakeDir,
                || parent.path.join(name),
                detail,
                || {
                    parent.as_its_owner(|| {
                        rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(mode))
                    })
                },
            )
        })
    }

    /// Creates a directory if it is missing, and opens it.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn ensure_dir(&self, name: &str, mode: u32) -> Result<Self, DiskError> {
        match self.open_dir(name) {
            Err(error) if error.is(Errno::NOENT) => {
                match self.make_dir(name, mode) {
                    Err(error) if !error.is(Errno::EXIST) => return Err(error),
                    _ => {}
                }
                self.open_dir(name)
            }
            opened => opened,
        }
    }

    /// Creates a symbolic link.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn make_link(&self, target: &str, path: &str) -> Result<(), DiskError> {
        self.in_parent(path, |parent, name| {
            let detail = Detail {
                data: target.as_bytes(),
                ..Detail::default()
            };
            parent.disk.call(
                Verb::MakeLink,
                || parent.path.join(name),
                detail,
                || parent.as_its_owner(|| rustix::fs::symlinkat(target, &parent.fd, name)),
            )
        })
    }

    /// Creates a hard link to the file at `from`.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn hard_link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.in_parent(from, |source, from| {
            self.in_parent(to, |parent, name| {
                let other = || parent.path.join(name);
                let detail = Detail {
                    other: Some(&other),
                    ..Detail::default()
                };
                parent.disk.call(
                    Verb::HardLink,
                    || source.path.join(from),
                    detail,
                    || {
                        let flags = AtFlags::empty();
                        parent.as_its_owner(|| {
                            rustix::fs::linkat(&source.fd, from, &parent.fd, name, flags)
                        })
                    },
                )
            })
        })
    }

    /// Creates a hard link here to a file that the caller names by path.
    ///
    /// # Errors
    /// [`DiskError`]; `EXDEV` across filesystems, `EPERM` or `EACCES` for a file that the owner of this directory may
    /// not link to.
    pub fn link_from(&self, path: &Utf8Path, name: &str) -> Result<(), DiskError> {
        let other = || self.path.join(name);
        let detail = Detail {
            other: Some(&other),
            ..Detail::default()
        };
        self.disk.call(
            Verb::HardLink,
            || path.to_owned(),
            detail,
            || {
                let (here, flags) = (rustix::fs::CWD, AtFlags::empty());
                self.as_its_owner(|| rustix::fs::linkat(here, path.as_str(), &self.fd, name, flags))
            },
        )
    }

    /// Runs `act` with the parent directory of `path` and its last component.
    pub(super) fn in_parent<T>(
        &self,
        path: &str,
        act: impl FnOnce(&Self, &str) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        match path.rsplit_once('/') {
            Some((parent, name)) => act(&self.open_dir(parent)?, name),
            None => act(self, path),
        }
    }
}
