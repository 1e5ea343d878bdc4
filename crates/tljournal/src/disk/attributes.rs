//! Extended attributes, ACLs and capabilities.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{Gid, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::acting::is_root;
use super::{Detail, Dir, DiskError, NewFile, Verb};
use crate::model::{ACL, Attribute, Attributes, DEFAULT_ACL, Stat};

/// The initial size of the buffer for a list of names or a value.
const BYTES_AT_FIRST: usize = 256;
/// The kernel's own limit.
const BYTES_MAX: usize = 64 << 10;

impl Dir {
    /// The attributes of an entry, which is neither opened nor followed if it is a link. Empty if the filesystem has
    /// no attributes or they are inaccessible.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn attributes(&self, name: &str) -> Result<Attributes, DiskError> {
        // Before Linux 6.13 no call takes a name relative to a handle.
        self.in_parent(name, |parent, name| {
            let path = format!("/proc/self/fd/{}/{name}", parent.fd.as_raw_fd());
            let told = read(
                |list| rustix::fs::llistxattr(path.as_str(), list),
                |name, value| rustix::fs::lgetxattr(path.as_str(), name, value),
            );
            told.map_err(|errno| parent.error_at("read the attributes of", name, errno))
        })
    }

    /// The attributes of this directory.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn own_attributes(&self) -> Result<Attributes, DiskError> {
        of_open(&self.fd).map_err(|errno| self.error("read the attributes of", errno))
    }

    /// Sets an attribute of this directory.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn set_own_attribute(&self, attribute: &Attribute) -> Result<(), DiskError> {
        let detail = Detail {
            data: &attribute.value,
            ..Detail::default()
        };
        let path = || self.path.clone();
        self.disk.call(Verb::SetAttribute, path, detail, || {
            self.as_owner_above(|| set(&self.fd, attribute))
        })
    }

    /// Removes the ACLs of this directory, if it has any, and restores its owner's access, which a default ACL may
    /// have denied. Returns whether it had any.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn remove_acls(&self) -> Result<bool, DiskError> {
        let own = self.own_attributes()?;
        let has = |name: &&&str| own.get(name).is_some();
        let mut had = false;
        for name in [ACL, DEFAULT_ACL].iter().filter(has) {
            self.remove_own_attribute(name)?;
            had = true;
        }
        let stat = self.own_stat()?;
        if had && stat.mode & 0o700 != 0o700 {
            self.set_own_meta(stat.mode | 0o700, stat.mtime)?;
        }
        Ok(had)
    }

    /// Removes the access ACL of an entry of the journal, if it has one. The mode, which is set first, stays as it is.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `EAGAIN` if the name leads to another inode by now.
    pub(crate) fn remove_acl(&self, name: &str, stat: &Stat) -> Result<(), DiskError> {
        if self.attributes(name)?.get(ACL).is_none() {
            return Ok(());
        }
        let (shown, flags) = (|| self.path.join(name), OFlags::PATH | OFlags::NOFOLLOW);
        self.disk
            .call(Verb::SetAttribute, shown, Detail::default(), || {
                self.as_its_owner(|| {
                    let fd = self.open_beneath(name, flags, Mode::empty())?;
                    if self.disk.stat_fd(&fd)?.identity != stat.identity {
                        return Err(Errno::AGAIN);
                    }
                    // The magic link refers to the open inode, whatever has the name by now.
                    let held = format!("/proc/self/fd/{}", fd.as_raw_fd());
                    rustix::fs::removexattr(held.as_str(), ACL)
                })
            })
    }

    /// Sets the group of this directory; returns false if that is not permitted.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn set_own_group(&self, group: u32) -> Result<bool, DiskError> {
        let path = || self.path.clone();
        let set = self.disk.call(Verb::SetOwner, path, Detail::default(), || {
            self.as_owner_above(|| rustix::fs::fchown(&self.fd, None, Some(Gid::from_raw(group))))
        });
        unless_refused(set)
    }

    fn remove_own_attribute(&self, name: &str) -> Result<(), DiskError> {
        let path = || self.path.clone();
        self.disk
            .call(Verb::SetAttribute, path, Detail::default(), || {
                match self.as_owner_above(|| rustix::fs::fremovexattr(&self.fd, name)) {
                    Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
                    removed => removed,
                }
            })
    }
}

impl NewFile {
    /// The attributes that the file has already inherited, from a default ACL of its directory.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn attributes(&self) -> Result<Attributes, DiskError> {
        let told = of_open(self);
        told.map_err(|errno| DiskError::new("read the attributes of", self.path().as_str(), errno))
    }

    /// Removes an attribute.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn remove_attribute(&self, name: &str) -> Result<(), DiskError> {
        let path = || self.path().to_owned();
        let none = Detail::default();
        self.disk().call(Verb::SetAttribute, path, none, || {
            rustix::fs::fremovexattr(self, name)
        })
    }

    /// Sets the group of the file; returns false if that is not permitted. Changing the group clears set-id bits and
    /// capabilities, so they are set afterwards.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn set_group(&self, group: u32) -> Result<bool, DiskError> {
        let path = || self.path().to_owned();
        let set = self
            .disk()
            .call(Verb::SetOwner, path, Detail::default(), || {
                rustix::fs::fchown(self, None, Some(Gid::from_raw(group)))
            });
        unless_refused(set)
    }

    /// Sets an attribute of the file.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn set_attribute(&self, attribute: &Attribute) -> Result<(), DiskError> {
        let detail = Detail {
            data: &attribute.value,
            ..Detail::default()
        };
        let path = || self.path().to_owned();
        self.disk()
            .call(Verb::SetAttribute, path, detail, || set(self, attribute))
    }
}

impl Dir {
    /// Sets all of these attributes on this directory; returns those that could not be set.
    ///
    /// # Errors
    /// [`DiskError`] for anything but a lack of permission or of support.
    pub(crate) fn take_over(
        &self,
        attributes: &Attributes,
        lost: &dyn Fn(&str),
    ) -> Result<(), DiskError> {
        take_over(attributes, lost, |attribute| {
            self.set_own_attribute(attribute)
        })
    }
}

impl NewFile {
    /// Sets all of these attributes on the file; returns those that could not be set.
    ///
    /// # Errors
    /// [`DiskError`] for anything but a lack of permission or of support.
    pub(crate) fn take_over(
        &self,
        attributes: &Attributes,
        lost: &dyn Fn(&str),
    ) -> Result<(), DiskError> {
        take_over(attributes, lost, |attribute| self.set_attribute(attribute))
    }
}

fn take_over(
    attributes: &Attributes,
    lost: &dyn Fn(&str),
    set: impl Fn(&Attribute) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    for attribute in attributes.all() {
        match set(attribute) {
            Err(error) if is_refused(&error) => lost(&attribute.told()),
            set => set?,
        }
    }
    Ok(())
}

/// Whether content that this process writes over content of this user may carry capabilities: root passes them on
/// only for content that root owned.
pub(crate) fn is_own_of_root(owner: u32) -> bool {
    owner == 0 && is_root()
}

/// Whether the call succeeded; `false` if it was refused.
fn unless_refused(done: Result<(), DiskError>) -> Result<bool, DiskError> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if is_refused(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the error means missing permission, missing support or no room for attributes.
fn is_refused(error: &DiskError) -> bool {
    [
        Errno::PERM,
        Errno::ACCESS,
        Errno::OPNOTSUPP,
        Errno::INVAL,
        Errno::NOSPC,
        Errno::RANGE,
        Errno::TOOBIG,
    ]
    .iter()
    .any(|errno| error.is(*errno))
}

fn set(fd: impl AsFd, attribute: &Attribute) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(
        fd,
        attribute.name.as_str(),
        &attribute.value,
        XattrFlags::empty(),
    )
}

fn of_open(fd: impl AsFd) -> Result<Attributes, Errno> {
    read(
        |list| rustix::fs::flistxattr(&fd, list),
        |name, value| rustix::fs::fgetxattr(&fd, name, value),
    )
}

fn read(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&str, &mut [u8]) -> rustix::io::Result<usize>,
) -> Result<Attributes, Errno> {
    let names = match whole(list) {
        // The filesystem has no attributes, or the process has no /proc.
        Err(Errno::OPNOTSUPP | Errno::NOENT | Errno::NOTDIR) => return Ok(Attributes::default()),
        names => names?,
    };
    let mut all = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        let Some(name) = std::str::from_utf8(name)
            .ok()
            .filter(|name| Attributes::counts(name))
        else {
            continue;
        };
        match whole(|value| get(name, value)) {
            Ok(value) => {
                let name = name.to_owned();
                all.push(Attribute { name, value });
            }
            // The attribute was removed meanwhile, or this process may not read it.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(Attributes::new(all))
}

/// Reads a value of unknown length.
fn whole(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; BYTES_AT_FIRST];
    loop {
        match read(&mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                return Ok(bytes);
            }
            Err(Errno::RANGE) if bytes.len() < BYTES_MAX => bytes.resize(BYTES_MAX, 0),
            Err(errno) => return Err(errno),
        }
    }
}
