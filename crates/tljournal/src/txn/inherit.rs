//! What new content takes over besides content, mode and times: from the file that it replaces, or, as the kernel
//! would do it, from the directory that it comes to lie in. It is staged elsewhere, so the kernel cannot.

use super::begin::Transaction;
use super::intent::Intent;
use crate::catalog::Sync;
use crate::disk::{self, Dir, NewFile};
use crate::error::Error;
use crate::home::Parent;
use crate::model::{
    ACL, Attribute, Attributes, CAPABILITY, DEFAULT_ACL, EventKind, Stat, mode_by_acl,
    with_all_for_owner,
};

/// The mode of a new file whose payload does not say.
const FILE_MODE: u32 = 0o644;
/// The same where an ACL stands in for the umask.
const FILE_MODE_BY_ACL: u32 = 0o666;
/// What is made in a directory with this bit gets its group.
const SETGID: u32 = 0o2000;

impl Transaction {
    /// Gives a staged file what the file has that it is `like` or replaces, or what new files in its directory get;
    /// returns the mode for it if none was wanted. The mode is to be set afterwards: its bits for the group are the
    /// mask of an ACL.
    pub(super) fn inherit(
        &self,
        intent: &Intent,
        file: &NewFile,
        replaced: Option<&Stat>,
        like: Option<(Stat, Attributes)>,
    ) -> Result<u32, Error> {
        let parent = self.engine.home.parent(&intent.place)?;
        let like = match (like, replaced, &parent) {
            (None, Some(replaced), Parent::There(parent)) => {
                let there = parent.attributes(intent.place.path.name())?;
                Some((*replaced, there))
            }
            (like, ..) => like,
        };
        if let Some((stat, attributes)) = like {
            self.take_over(intent, file, &stat, &attributes)?;
            // New content does not inherit the right to act as somebody else.
            return Ok(disk::mode_of(stat.mode, stat.uid));
        }
        let nearest = nearest(&parent);
        let dir = nearest.own_stat()?;
        if dir.mode & SETGID != 0 && file.stat()?.gid != dir.gid {
            let has_it = file.set_group(dir.gid)?;
            self.tell_lost(intent, has_it, "the group of its directory")?;
        }
        let Some(acl) = default_acl(nearest)? else {
            if file.attributes()?.get(ACL).is_some() {
                // Of the directory that it is staged in.
                file.remove_attribute(ACL)?;
            }
            return Ok(FILE_MODE);
        };
        let mode = mode_by_acl(&acl, FILE_MODE_BY_ACL).unwrap_or(FILE_MODE);
        self.give(intent, file, vec![attribute(ACL, acl)])?;
        Ok(mode)
    }

    fn take_over(
        &self,
        intent: &Intent,
        file: &NewFile,
        replaced: &Stat,
        there: &Attributes,
    ) -> Result<(), Error> {
        let is = file.stat()?;
        if is.gid != replaced.gid {
            let has_it = file.set_group(replaced.gid)?;
            self.tell_lost(intent, has_it, "its group")?;
        }
        self.tell_lost(intent, is.uid == replaced.uid, "its owner")?;
        if file.attributes()?.get(ACL).is_some() {
            file.remove_attribute(ACL)?;
        }
        // The right to act as somebody else is the old content's: it stays only where its owner writes the new one.
        let may_act = disk::is_own_of_root(replaced.uid) && is.uid == replaced.uid;
        let (kept, dropped): (Vec<_>, Vec<_>) = there
            .all()
            .iter()
            .cloned()
            .partition(|attribute| attribute.name != CAPABILITY || may_act);
        for attribute in dropped {
            self.tell_lost(intent, false, &attribute.told())?;
        }
        self.give(intent, file, kept)
    }

    fn give(&self, intent: &Intent, file: &NewFile, all: Vec<Attribute>) -> Result<(), Error> {
        let lost = std::cell::RefCell::new(Vec::new());
        file.take_over(&Attributes::new(all), &|what| {
            lost.borrow_mut().push(what.to_owned());
        })?;
        for what in lost.into_inner() {
            self.tell_lost(intent, false, &what)?;
        }
        Ok(())
    }

    /// Has what is made in the directory of a tree that is staged get the group and the ACL that it would get at its
    /// place.
    pub(super) fn inherit_into(&self, intent: &Intent, root: &Dir) -> Result<(), Error> {
        let parent = self.engine.home.parent(&intent.place)?;
        let nearest = nearest(&parent);
        let (dir, own) = (nearest.own_stat()?, root.own_stat()?);
        if dir.mode & SETGID != 0 {
            let has_it = own.gid == dir.gid || root.set_own_group(dir.gid)?;
            self.tell_lost(intent, has_it, "the group of its directory")?;
            // Until it is filled; it is published with the mode that it is to have.
            root.set_own_meta(own.mode | SETGID, own.mtime)?;
        }
        match default_acl(nearest)? {
            Some(acl) => {
                // It is filled by its owner; the modes are set when it is.
                let acl = with_all_for_owner(acl);
                let both = [attribute(DEFAULT_ACL, acl.clone()), attribute(ACL, acl)];
                let lost = |what: &str| tracing::warn!(path = %intent.path, "the tree goes without {what}");
                root.take_over(&Attributes::new(both.to_vec()), &lost)?;
            }
            None => _ = root.remove_acls()?,
        }
        Ok(())
    }

    /// Records that the mode which is wanted takes rights away from users and groups that an ACL names: its bits for
    /// the group are the mask of the ACL.
    pub(super) fn tell_limited(
        &self,
        intent: &Intent,
        file: &NewFile,
        as_before: u32,
        mode: u32,
    ) -> Result<(), Error> {
        let is_limited = as_before & !mode & 0o070 != 0 && file.attributes()?.get(ACL).is_some();
        let what = format!("all that its ACL gave: its mode {mode:04o} limits that");
        self.tell_lost(intent, !is_limited, &what)
    }

    /// Records that new content goes without something, unless it has it.
    fn tell_lost(&self, intent: &Intent, has_it: bool, what: &str) -> Result<(), Error> {
        if has_it {
            return Ok(());
        }
        let path = intent.path.as_str();
        tracing::warn!(path, "the new content goes without {what}");
        let detail = format!("the new content goes without {what}");
        self.engine.record(Sync::Normal, |catalog| {
            let txn = (None, self.row());
            catalog.put_event(txn, &EventKind::NotTakenOver, Some(path), &detail)
        })
    }
}

/// The directory that a place lies in, or that its missing directories will.
fn nearest(parent: &Parent) -> &Dir {
    match parent {
        Parent::There(dir) => dir,
        Parent::Missing { nearest, .. } => nearest,
    }
}

fn default_acl(dir: &Dir) -> Result<Option<Vec<u8>>, Error> {
    Ok(dir.own_attributes()?.get(DEFAULT_ACL).map(<[u8]>::to_vec))
}

fn attribute(name: &str, value: Vec<u8>) -> Attribute {
    let name = name.to_owned();
    Attribute { name, value }
}
