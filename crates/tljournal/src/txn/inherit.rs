//! What new content inherits besides content, mode and times: from the file that it replaces, or, as the kernel would
//! do it, from its directory. It is staged elsewhere, so the kernel cannot do it.

use super::begin::Transaction;
use super::intent::{Intent, Wanted};
use crate::catalog::Sync;
use crate::disk::{self, Dir, NewFile};
use crate::error::Error;
use crate::home::{Parent, may_others_write};
use crate::model::{
    ACL, Attribute, Attributes, CAPABILITY, DEFAULT_ACL, EventKind, Stat, mode_by_acl,
    with_all_for_owner,
};

/// The mode of a new file whose payload does not set one.
const FILE_MODE: u32 = 0o644;
/// The same if an ACL replaces the umask.
const FILE_MODE_BY_ACL: u32 = 0o666;
/// New entries of a directory with this bit get its group.
const SETGID: u32 = 0o2000;
/// The bits that let a program run as its owner or group.
const SET_ID: u32 = 0o6000;

impl Transaction {
    /// Sets on a staged file what it inherits from the file that it is `like` or replaces, or from its directory;
    /// returns its mode if none was requested. The mode must be set afterwards, because its group bits are the mask
    /// of an ACL.
    pub(super) fn inherit(
        &self,
        intent: &Intent,
        file: &NewFile,
        replaced: Option<&Stat>,
        like: Option<(Stat, Attributes)>,
    ) -> Result<u32, Error> {
        let parent = self.engine.home.parent(&intent.place)?;
        let is_retained = like.is_some();
        let like = match (like, replaced, &parent) {
            (None, Some(replaced), Parent::There(parent)) => {
                let there = parent.attributes(intent.place.path.name())?;
                Some((*replaced, there))
            }
            (like, ..) => like,
        };
        if let Some((stat, attributes)) = like {
            // New content does not inherit set-id bits of another user.
            let may_act = is_only_its_owners(nearest(&parent), &stat)?
                && !(is_retained && self.engine.home.is_open_to_others());
            self.take_over(intent, file, (&stat, &attributes), may_act)?;
            let mode = match may_act {
                true => disk::mode_of(stat.mode, stat.uid),
                false => stat.mode & !SET_ID,
            };
            let has_own_mode = matches!(&intent.wanted, Wanted::File(file) if file.mode.is_some());
            self.tell_lost(intent, mode == stat.mode || has_own_mode, "its set-id bits")?;
            return Ok(mode);
        }
        let nearest = nearest(&parent);
        let dir = nearest.own_stat()?;
        if dir.mode & SETGID != 0 && file.stat()?.gid != dir.gid {
            let has_it = file.set_group(dir.gid)?;
            self.tell_lost(intent, has_it, "the group of its directory")?;
        }
        let Some(acl) = default_acl(nearest)? else {
            if file.attributes()?.get(ACL).is_some() {
                // Inherited from the directory of the staging slot.
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
        (replaced, there): (&Stat, &Attributes),
        may_act: bool,
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
        // Capabilities belong to the old content: they are kept only if its owner writes the new content.
        let may_act = may_act && disk::is_own_of_root(replaced.uid) && is.uid == replaced.uid;
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

    /// Sets the group and default ACL of a tree's staging directory to those that apply at its place.
    pub(super) fn inherit_into(&self, intent: &Intent, root: &Dir) -> Result<(), Error> {
        let parent = self.engine.home.parent(&intent.place)?;
        let nearest = nearest(&parent);
        let (dir, own) = (nearest.own_stat()?, root.own_stat()?);
        if dir.mode & SETGID != 0 {
            let has_it = own.gid == dir.gid || root.set_own_group(dir.gid)?;
            self.tell_lost(intent, has_it, "the group of its directory")?;
            // Until it is filled; it is published with its requested mode.
            root.set_own_meta(own.mode | SETGID, own.mtime)?;
        }
        match default_acl(nearest)? {
            Some(acl) => {
                // The owner fills it; the modes are set afterwards.
                let acl = with_all_for_owner(acl);
                let both = [attribute(DEFAULT_ACL, acl.clone()), attribute(ACL, acl)];
                let lost = |what: &str| tracing::warn!(path = %intent.path, "the tree goes without {what}");
                root.take_over(&Attributes::new(both.to_vec()), &lost)?;
            }
            None => _ = root.remove_acls()?,
        }
        Ok(())
    }

    /// Records that the requested mode limits the rights that an ACL grants to users and groups: its group bits are
    /// the mask of the ACL.
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

    /// Records that new content lacks a property, unless it has it.
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

/// Whether only root and the owner of a file can have given it this name. Another user may give a set-id program a
/// name in a directory of its own, where new content must not inherit the right to act as the program's owner.
fn is_only_its_owners(dir: &Dir, file: &Stat) -> Result<bool, Error> {
    let dir = dir.own_stat()?;
    let is_own = [0, file.uid].contains(&dir.uid) && !may_others_write(&dir);
    Ok(is_own && file.links == 1)
}

/// The parent directory of a place, or the deepest existing directory above it.
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
