use std::sync::PoisonError;

use super::Home;
use super::layout::{DAMAGED_PREFIX, DATABASE, FOREIGN_JOURNAL, REBUILT, SHM, WAL};
use crate::ambient;
use crate::disk::{self, Dir, DiskError, Owner};
use crate::error::Error;
use crate::lock;
use crate::model::{Identity, Kind, RelPath, Stat, TxnId};
use crate::tree::{self, TreeSource};

/// How many things are kept aside, however large they are; what one transaction replaced is one.
const ASIDE_ALWAYS: usize = 8;
/// How many things are kept aside at most; the oldest goes first.
const ASIDE_MAX: usize = 64;
/// How many bytes they may have together, if there are more than a few.
const ASIDE_BYTES_MAX: u64 = 1 << 30;
/// How much of the old name the new one repeats, so that it is not too long for any filesystem.
const ASIDE_NAME_CHARS_MAX: usize = 40;

impl Home {
    /// Has what transactions replace from now on be one thing, or ends that: what one repair replaced must not
    /// displace the beginning of itself.
    pub(crate) fn set_aside_as_one(&self, group: Option<String>) {
        *self.group.lock().unwrap_or_else(PoisonError::into_inner) = group;
    }

    /// The group of evidence that what a transaction replaced belongs to.
    pub(crate) fn group_of(&self, id: TxnId) -> String {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        match &*group {
            Some(group) => format!("{group}/{id}"),
            None => format!("{id}-replaced"),
        }
    }

    /// Moves an entry out of the way as evidence, and returns where it is now. The oldest evidence goes
    /// when there is too much.
    pub(crate) fn set_aside(&self, dir: &Dir, name: &str, what: &str) -> Result<String, Error> {
        let aside = aside_name(what);
        dir.rename_new(name, &self.aside, &aside)?;
        self.thin_aside()?;
        Ok(self.aside.path().join(&aside).to_string())
    }

    /// Moves an entry into a group of evidence, under a path of its own there; returns where the group is,
    /// and whether it is new.
    pub(crate) fn set_aside_within(
        &self,
        group: &str,
        dir: &Dir,
        name: &str,
        path: &RelPath,
    ) -> Result<(String, bool), Error> {
        let is_new = self.aside.stat(group)?.is_none();
        let mut at = self.aside.clone();
        for part in group.split('/') {
            at = at.ensure_own_dir(part)?;
        }
        let kept = at.path().to_string();
        for part in path
            .parent()
            .iter()
            .flat_map(|parent| parent.as_str().split('/'))
        {
            at = at.ensure_own_dir(part)?;
        }
        dir.rename_new(name, &at, path.name())?;
        self.thin_aside()?;
        Ok((kept, is_new))
    }

    /// Copies an entry of another filesystem among the evidence, and returns where the copy is.
    pub(crate) fn copy_aside(
        &self,
        dir: &Dir,
        name: &str,
        stat: &Stat,
        what: &str,
    ) -> Result<String, Error> {
        let aside = aside_name(what);
        match stat.kind {
            Kind::Dir => {
                // Root's copy of what others own is for root: not all of it may be for the owner of the home.
                let owner = (disk::is_root() && self.home_stat.uid != 0).then_some(Owner::ROOT);
                let root = self.aside.make_dir_of(&aside, 0o700, owner)?;
                let none = (0, self.state_stat.identity);
                let mut source = TreeSource::opened(dir.open_dir(name)?);
                tree::build(&mut source, &root, none, &|_| {})?;
            }
            Kind::File => {
                let from = dir.open_file(name)?;
                let owner = disk::is_root().then(|| Owner::of(stat));
                let mut to = self.aside.create_file_of(&aside, 0o600, owner)?;
                to.copy_from(&from, &dir.path().join(name))?;
                to.set_mode(stat.mode & 0o777)?;
                to.set_mtime(stat.mtime)?;
            }
            Kind::Link => self.aside.make_link(&dir.read_link(name)?, &aside)?,
            Kind::Other => {}
        }
        self.thin_aside()?;
        Ok(self.aside.path().join(&aside).to_string())
    }

    /// Moves a rollback journal that is not ours away from the database. The caller holds the commit lock.
    pub(crate) fn set_foreign_journal_aside(&self) -> Result<(), Error> {
        if self.dir.stat(FOREIGN_JOURNAL)?.is_some() {
            let kept = self.set_aside(&self.dir, FOREIGN_JOURNAL, "foreign-journal")?;
            tracing::warn!(kept, "a rollback journal lay beside the database");
        }
        Ok(())
    }

    /// Moves the database with its companions into a directory of evidence, and returns where that is.
    /// The caller holds the commit lock and `lock/db`.
    pub(crate) fn set_database_aside(&self) -> Result<String, Error> {
        let aside = format!("{}-database", ambient::fresh_txn_id());
        self.aside.make_own_dir(&aside)?;
        let dir = self.aside.open_dir(&aside)?;
        // The database goes last: as long as it has its name, nobody begins a new one.
        for name in [FOREIGN_JOURNAL, WAL, SHM, DATABASE] {
            if self.dir.stat(name)?.is_some() {
                self.dir.rename_new(name, &dir, name)?;
            }
        }
        self.thin_aside()?;
        Ok(dir.path().to_string())
    }

    /// Whether somebody made a new database that is complete, and has not been taken.
    pub(crate) fn has_rebuilt_database(&self) -> Result<bool, DiskError> {
        Ok(self.state.stat(REBUILT)?.is_some())
    }

    /// Removes a new database that somebody made. The caller holds the commit lock.
    pub(crate) fn remove_rebuilt_database(&self) -> Result<(), DiskError> {
        self.state.remove_file(REBUILT)
    }

    /// Takes the new database that somebody made, if there is one and no other. The caller holds the commit
    /// lock.
    pub(crate) fn take_rebuilt_database(&self) -> Result<bool, Error> {
        if !self.has_rebuilt_database()? {
            return Ok(false);
        }
        if self.dir.stat(DATABASE)?.is_some() {
            // An empty one, of somebody who was killed before it was more.
            self.dir.remove_file(DATABASE)?;
        }
        self.state.rename_new(REBUILT, &self.dir, DATABASE)?;
        let _synced = self.dir.sync()?;
        let _synced = self.state.sync()?;
        tracing::warn!("a database that was made from what is on disk is used from now on");
        Ok(true)
    }

    /// Marks a database as damaged, by its identity: whatever has its name by now is another one.
    pub(crate) fn mark_damaged(&self, database: Identity) -> Result<(), DiskError> {
        self.state.open_lock_file(&damage_mark(database)).map(drop)
    }

    /// Whether a database is marked as damaged.
    pub(crate) fn is_marked_damaged(&self, database: Identity) -> Result<bool, DiskError> {
        Ok(self.state.stat(damage_mark(database))?.is_some())
    }

    /// Removes the marks of databases that are gone. The caller holds the commit lock.
    pub(crate) fn forget_damage(&self) -> Result<(), DiskError> {
        for name in self.state.names()? {
            if let Some(name) = name
                .to_str()
                .filter(|name| name.starts_with(DAMAGED_PREFIX))
            {
                self.state.remove_file(name)?;
            }
        }
        Ok(())
    }

    fn thin_aside(&self) -> Result<(), Error> {
        let _acting = self.act_as_owner();
        let mut names = self.aside.names()?;
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        // What is being filled stays, however old its beginning is.
        names.retain(|name| group.as_deref().is_none_or(|group| name != group));
        drop(group);
        names.sort();
        let mut surplus = names.len().saturating_sub(ASIDE_MAX);
        let mut bytes = 0_u64;
        // The latest stay; of the others as many as there is room for.
        let older = names.len().saturating_sub(ASIDE_ALWAYS);
        for (index, name) in names.iter().enumerate().take(older).skip(surplus).rev() {
            bytes = bytes.saturating_add(self.bytes_aside(name)?);
            if bytes > ASIDE_BYTES_MAX {
                surplus = index + 1;
                break;
            }
        }
        for name in &names[..surplus] {
            // One that cannot be removed must not keep new evidence from being kept.
            match lock::is_locked_within(&self.aside, name) {
                Ok(false) => {
                    if let Err(error) = self.aside.remove_tree(name) {
                        tracing::warn!(%error, "old evidence cannot be removed");
                    }
                }
                Ok(true) => {}
                Err(error) => tracing::warn!(%error, "old evidence cannot be looked at"),
            }
        }
        Ok(())
    }

    /// How much something that was set aside takes, as far as it can be looked at.
    fn bytes_aside(&self, name: &std::ffi::OsStr) -> Result<u64, Error> {
        let Some(stat) = self.aside.stat(name)? else {
            return Ok(0);
        };
        if stat.kind != Kind::Dir {
            return Ok(stat.content_bytes());
        }
        let inside = self.aside.open_child(name).map(|dir| tree::list(&dir));
        Ok(match inside {
            Ok(Ok(inside)) => inside.iter().map(|(_, stat)| stat.content_bytes()).sum(),
            _ => 0,
        })
    }
}

fn damage_mark(database: Identity) -> String {
    let born = database.born.as_nanos();
    format!("{DAMAGED_PREFIX}{}-{born}", database.ino)
}

/// A name that begins with the time, so that names sort by age.
fn aside_name(what: &str) -> String {
    let what: String = what.chars().take(ASIDE_NAME_CHARS_MAX).collect();
    format!("{}-{what}", ambient::fresh_txn_id())
}
