use std::ffi::{OsStr, OsString};
use std::sync::PoisonError;

use super::Home;
use super::fence::{in_the_way, planted};
use super::layout::{
    ASIDE, BESIDE_PREFIX, DAMAGED_PREFIX, DATABASE, FOREIGN_JOURNAL, LOCK, LOG, REBUILT, SHM, TXN,
    WAL,
};
use crate::ambient;
use crate::disk::{self, Dir, DiskError, Owner};
use crate::error::Error;
use crate::lock;
use crate::model::{Identity, Kind, Place, RelPath, TxnId};

/// The number of quarantined items that are always kept, whatever their size; what one transaction replaced is one
/// item.
const ASIDE_ALWAYS: usize = 8;
/// The largest number of quarantined items; the oldest is deleted first.
const ASIDE_MAX: usize = 64;
/// The limit of their bytes, if there are more than the minimum number.
const ASIDE_BYTES_MAX: u64 = 1 << 30;
/// How much of the old name the new one repeats, in bytes, to fit every filesystem's limit.
const ASIDE_NAME_BYTES_MAX: usize = 40;
/// The prefix of the names of items that are being copied here.
const COPYING_PREFIX: &str = ".copying-";
/// The suffix of the names of entries that are being deleted.
pub(crate) const GONE: &str = ".gone";

/// A quarantined item that was copied, and whose original was deleted.
#[derive(Debug)]
pub(crate) struct Copied {
    /// Its path.
    pub(crate) kept: String,
    /// Entries without content, which were not copied.
    pub(crate) left_out: Vec<String>,
}

impl Home {
    /// Groups everything that transactions replace from now on as one item, or ends the group: what one repair
    /// replaces must not displace its own first parts.
    pub(crate) fn set_aside_as_one(&self, what: Option<&str>) {
        let group = what.map(|what| self.fresh_group(what));
        *self.group.lock().unwrap_or_else(PoisonError::into_inner) = group;
    }

    /// A new group of quarantined entries.
    pub(crate) fn fresh_group(&self, what: &str) -> String {
        self.numbered(&aside_name(what))
    }

    /// The group of what a transaction replaced.
    pub(crate) fn group_of(&self, id: TxnId) -> String {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        match &*group {
            Some(group) => format!("{group}/{id}"),
            None => self.numbered(&format!("{id}-replaced")),
        }
    }

    /// The group of a transaction with this name.
    pub(crate) fn group_named(&self, id: TxnId, what: &str) -> String {
        self.numbered(&format!("{id}-{}", cut(what)))
    }

    /// Moves an entry to quarantine and returns its new path. Deletes the oldest items beyond the limits.
    pub(crate) fn set_aside(
        &self,
        dir: &Dir,
        name: impl AsRef<OsStr>,
        what: &str,
    ) -> Result<String, Error> {
        let (name, aside) = (name.as_ref(), self.numbered(&aside_name(what)));
        make_movable(dir, name)?;
        dir.rename_new(name, &self.aside, &aside)?;
        self.thin_aside();
        Ok(self.aside.path().join(&aside).to_string())
    }

    /// Moves the entry at a place to quarantine.
    pub(crate) fn set_place_aside(&self, place: &Place, dir: &Dir) -> Result<(), Error> {
        let name = place.path.name();
        match self.is_closed_to_group(place)? {
            true => {
                let group = (&*self.fresh_group(name), true);
                self.set_aside_within(group, dir, name, &RelPath::new(name)?)?;
            }
            false => drop(self.set_aside(dir, name, name)?),
        }
        Ok(())
    }

    /// Moves an entry into a group, under a path of its own there; returns the path of the group, and whether it is
    /// new. Content of a closed directory is private to the user who moves it.
    pub(crate) fn set_aside_within(
        &self,
        (group, is_closed): (&str, bool),
        dir: &Dir,
        name: &str,
        path: &RelPath,
    ) -> Result<(String, bool), Error> {
        let is_new = self.aside.stat(group)?.is_none();
        make_movable(dir, name.as_ref())?;
        let mut at = self.aside.clone();
        for part in group.split('/') {
            at = at.ensure_own_dir(part)?;
        }
        if is_closed {
            let stat = at.own_stat()?;
            at.set_own_meta(stat.mode & !0o077, stat.mtime)?;
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
        self.thin_aside();
        Ok((kept, is_new))
    }

    /// Copies an entry of another filesystem to quarantine, and deletes the original. If it cannot be copied
    /// completely, no copy remains and the original stays; the original also stays if it cannot be renamed, because
    /// it would be copied again then.
    pub(crate) fn copy_aside(&self, dir: &Dir, name: &str, what: &str) -> Result<Copied, Error> {
        let copying = format!("{COPYING_PREFIX}{}", ambient::fresh_txn_id());
        // Root's copy of other users' files belongs to root: the owner of the home may not be allowed to read all of
        // it.
        let owner = (disk::is_root() && self.home_stat.uid != 0).then_some(Owner::ROOT);
        let scratch = self.aside.make_dir_of(&copying, 0o700, owner)?;
        // A process that is killed here leaves it unlocked, and the next one removes it.
        let copied = lock_copy(&scratch)
            .and_then(|()| Ok(dir.copy_entry(name.as_ref(), &scratch, OsStr::new(COPY))?))
            .and_then(|left_out| {
                let kept = self.set_aside(&scratch, COPY, what)?;
                Ok(Copied { kept, left_out })
            });
        self.aside.remove_tree(&copying)?;
        let copied = copied?;
        let gone = match name.starts_with(BESIDE_PREFIX) {
            true => format!("{name}{GONE}"),
            false => format!("{BESIDE_PREFIX}{}-0{GONE}", ambient::fresh_txn_id()),
        };
        if let Err(error) = dir.rename_new(name, dir, &gone) {
            let copy = camino::Utf8Path::new(&copied.kept);
            self.aside
                .remove_tree(copy.file_name().unwrap_or_default())?;
            return Err(error.into());
        }
        dir.remove_tree(&gone)?;
        Ok(copied)
    }

    /// Moves a rollback journal of another program away from the database. The caller holds the commit lock.
    pub(crate) fn set_foreign_journal_aside(&self) -> Result<(), Error> {
        if self.dir.stat(FOREIGN_JOURNAL)?.is_some() {
            let kept = self.set_aside(&self.dir, FOREIGN_JOURNAL, "foreign-journal")?;
            tracing::warn!(
                kept,
                "a rollback journal of another program was next to the database"
            );
        }
        Ok(())
    }

    /// Moves away an entry in the place of a companion file of the database that is not the journal's. The caller
    /// holds the commit lock.
    pub(crate) fn set_planted_companions_aside(&self) -> Result<(), Error> {
        for name in [WAL, SHM] {
            if let Some(found) = in_the_way(&self.dir, name)? {
                let kept = self.set_aside(&self.dir, name, "planted")?;
                tracing::warn!(kept, found, "something was in the place of `{name}`");
            }
        }
        Ok(())
    }

    /// Moves away an entry in the place of a lock file or another small file that is not a file. Any lock file can be
    /// recreated, because no process can have locked such an entry.
    pub(crate) fn set_planted_locks_aside(&self) -> Result<(), Error> {
        for (dir, directories) in [
            (&self.locks, &["name"][..]),
            (&self.state, &[TXN, LOCK, LOG, ASIDE]),
        ] {
            let owner = dir.own_stat()?.uid;
            for name in dir.names()? {
                let Some(name) = name.to_str().filter(|name| !directories.contains(name)) else {
                    continue;
                };
                if let Some(found) = planted(owner, dir.stat(name)?) {
                    let kept = self.set_aside(dir, name, "planted")?;
                    tracing::warn!(kept, found, "something was in the place of `{name}`");
                }
            }
        }
        Ok(())
    }

    /// Moves the database with its companion files to quarantine, and returns their path. The caller holds the commit
    /// lock and `lock/db`.
    pub(crate) fn set_database_aside(&self) -> Result<String, Error> {
        let aside = self.numbered(&aside_name("database"));
        self.aside.make_own_dir(&aside)?;
        let dir = self.aside.open_dir(&aside)?;
        // The database is moved last: while its name exists, no new one is created.
        for name in [FOREIGN_JOURNAL, WAL, SHM, DATABASE] {
            if self.dir.stat(name)?.is_some() {
                self.dir.rename_new(name, &dir, name)?;
            }
        }
        self.thin_aside();
        Ok(dir.path().to_string())
    }

    /// Whether a complete rebuilt database is waiting to be used.
    pub(crate) fn has_rebuilt_database(&self) -> Result<bool, DiskError> {
        Ok(self.state.stat(REBUILT)?.is_some())
    }

    /// Removes a rebuilt database. The caller holds the commit lock.
    pub(crate) fn remove_rebuilt_database(&self) -> Result<(), DiskError> {
        self.state.remove_file(REBUILT)
    }

    /// Starts using a rebuilt database, if there is one and no other database. The caller holds the commit lock.
    pub(crate) fn take_rebuilt_database(&self) -> Result<bool, Error> {
        if !self.has_rebuilt_database()? {
            return Ok(false);
        }
        if self.dir.stat(DATABASE)?.is_some() {
            // An empty database, of a process that was killed while creating it.
            self.dir.remove_file(DATABASE)?;
        }
        self.state.rename_new(REBUILT, &self.dir, DATABASE)?;
        let _synced = self.dir.sync()?;
        let _synced = self.state.sync()?;
        tracing::warn!("switching to the rebuilt database");
        Ok(true)
    }

    /// Marks a database as damaged, by its identity: another database with its name is not affected.
    pub(crate) fn mark_damaged(&self, database: Identity) -> Result<(), DiskError> {
        self.state.open_lock_file(&damage_mark(database)).map(drop)
    }

    /// Whether a database is marked as damaged.
    pub(crate) fn is_marked_damaged(&self, database: Identity) -> Result<bool, DiskError> {
        Ok(self.state.stat(damage_mark(database))?.is_some())
    }

    /// Removes the marks of databases that no longer exist. The caller holds the commit lock.
    pub(crate) fn forget_damage(&self) -> Result<(), DiskError> {
        for name in self.state.names()? {
            if let Some(name) = name
                .to_str()
                .filter(|name| name.starts_with(DAMAGED_PREFIX))
            {
                // An entry that is not a file is not a mark; `fsck` reports it.
                if let Err(error) = self.state.remove_file(name) {
                    tracing::warn!(%error, "failed to remove the mark of a damaged database");
                }
            }
        }
        Ok(())
    }

    /// Deletes the oldest items beyond the limits. A failure does not prevent new items from being kept.
    fn thin_aside(&self) {
        if let Err(error) = self.try_thin_aside() {
            tracing::warn!(%error, "old evidence stays until the next time");
        }
    }

    fn try_thin_aside(&self) -> Result<(), Error> {
        let _acting = self.act_as_owner();
        let path = |name: &OsStr| format!("{ASIDE}/{}", name.to_string_lossy());
        let (copies, mut names): (Vec<_>, Vec<_>) = self
            .aside
            .names()?
            .into_iter()
            .filter(|name| !self.leftovers.is_tried(&path(name)))
            .partition(|name| name.to_string_lossy().starts_with(COPYING_PREFIX));
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        // What is being filled stays, however old its beginning is.
        names.retain(|name| group.as_deref().is_none_or(|group| name != group));
        drop(group);
        names.sort_by_cached_key(|name| (number_of(name), name.clone()));
        let mut surplus = names.len().saturating_sub(ASIDE_MAX);
        let mut bytes = 0_u64;
        // The latest stay; of the others as many as there is room for.
        let older = names.len().saturating_sub(ASIDE_ALWAYS);
        for (index, name) in names.iter().enumerate().take(older).skip(surplus).rev() {
            bytes = bytes.saturating_add(self.bytes_aside(name));
            if bytes > ASIDE_BYTES_MAX {
                surplus = index + 1;
                break;
            }
        }
        for name in names[..surplus].iter().chain(&copies) {
            let clear = || match lock::is_locked_within(&self.aside, name)? {
                true => Ok(()),
                false => Ok(self.aside.remove_tree(name)?),
            };
            self.leftovers
                .attempt(&path(name), (&self.aside, name), clear)?;
        }
        Ok(())
    }

    /// How much something that was set aside takes, as far as it can be looked at.
    fn bytes_aside(&self, name: &OsStr) -> u64 {
        match self.aside.stat(name) {
            Ok(Some(stat)) if stat.kind == Kind::Dir => {
                let survey = self.aside.survey(name, &mut |_, _| {});
                survey.map_or(0, |survey| survey.bytes())
            }
            Ok(Some(stat)) => stat.content_bytes(),
            _ => 0,
        }
    }

    /// The name of evidence that is called so: the one that it has already, or one that sorts behind all others. It
    /// is numbered, because the clock that ids are made of may jump.
    fn numbered(&self, what: &str) -> String {
        let names = self.aside.names().unwrap_or_default();
        let is_it = |name: &&OsString| {
            let name = name.to_string_lossy();
            name == what || name.strip_suffix(what).is_some_and(|it| it.ends_with('-'))
        };
        if let Some(name) = names.iter().find(is_it) {
            return name.to_string_lossy().into_owned();
        }
        let last = names.iter().filter_map(|name| number_of(name)).max();
        let next = last.map_or(1, |last| last.saturating_add(1));
        format!("{NUMBER_MARK}{next:0NUMBER_DIGITS$}-{what}")
    }
}

/// What a copy is called until it is whole.
const COPY: &str = "copy";
/// What the number of evidence begins with; no id does. Names without a number are of an older version.
const NUMBER_MARK: char = 'n';
/// How many digits such a number has at least.
const NUMBER_DIGITS: usize = 8;

/// The number of evidence: the latest has the largest.
fn number_of(name: &OsStr) -> Option<u64> {
    let (digits, _) = name.to_str()?.strip_prefix(NUMBER_MARK)?.split_once('-')?;
    let is_plain = digits.len() >= NUMBER_DIGITS && digits.bytes().all(|it| it.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain)
}

/// Only who looks whether it is free can have locked it.
fn lock_copy(scratch: &Dir) -> Result<(), Error> {
    Ok(lock::lock_dir(
        scratch,
        lock::Mode::Exclusive,
        lock::Wait::default(),
    )?)
}

/// Lets a directory that its owner may not write be moved: the kernel has to change its `..`.
fn make_movable(dir: &Dir, name: &OsStr) -> Result<(), DiskError> {
    match dir.stat(name)? {
        Some(stat)
            if stat.kind == Kind::Dir && stat.uid == disk::writer() && stat.mode & 0o200 == 0 =>
        {
            dir.set_dir_mode(name, stat.mode | 0o700)
        }
        _ => Ok(()),
    }
}

fn damage_mark(database: Identity) -> String {
    let born = database.born.as_nanos();
    format!("{DAMAGED_PREFIX}{}-{born}", database.ino)
}

/// A name of its own.
fn aside_name(what: &str) -> String {
    format!("{}-{}", ambient::fresh_txn_id(), cut(what))
}

/// As much of a name as another one repeats.
fn cut(what: &str) -> &str {
    let mut end = what.len().min(ASIDE_NAME_BYTES_MAX);
    while !what.is_char_boundary(end) {
        end -= 1;
    }
    &what[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_evidence_differs_from_an_id_and_from_other_names() {
        let number = |name: &str| number_of(name.as_ref());
        assert_eq!(number("n00000012-x"), Some(12));
        assert_eq!(number("n123456789-x"), Some(123_456_789));
        for other in ["01975312-0000", "n12-x", "n+0000012-x", "nothing else", "n"] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        assert_eq!(cut(&"é".repeat(127)).len(), 40);
        assert_eq!(cut(&"€".repeat(80)).len(), 39);
        assert_eq!(cut("short"), "short");
    }
}
