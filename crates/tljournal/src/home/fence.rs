use std::fs::File;

use super::Home;
use super::layout::{DATABASE, FOREIGN_JOURNAL, SHM, WAL};
use crate::disk::Dir;
use crate::error::{Damage, Error};
use crate::model::{Identity, Kind, Stat};

impl Home {
    /// Makes sure that the names still lead to what is held: root, home, `.state`, the commit lock and
    /// the database. A lock on a file that was renamed away excludes nobody.
    pub(crate) fn fence(&self, commit_lock: &File, database: Identity) -> Result<(), Error> {
        let same = |now: Option<Stat>, held: &Stat| {
            now.is_some_and(|now| now.identity == held.identity && now.dev == held.dev)
        };
        let replaced = |path: String| Err(Error::Replaced { path });
        for (dir, held) in [(&self.root, &self.root_stat), (&self.dir, &self.home_stat)] {
            if !same(dir.stat_by_path()?, held) {
                return replaced(dir.path().to_string());
            }
        }
        if !same(self.dir.stat(".state")?, &self.state_stat) {
            return replaced(self.state.path().to_string());
        }
        if !same(
            self.state.stat("lock/commit")?,
            &self.locks.stat_open(commit_lock)?,
        ) {
            return replaced(self.locks.path().join("commit").to_string());
        }
        if self.dir.stat(DATABASE)?.map(|stat| stat.identity) != Some(database) {
            return replaced(self.dir.path().join(DATABASE).to_string());
        }
        Ok(())
    }

    /// Refuses planted files where SQLite will write: the database and its companions are regular files
    /// with one name, and ours.
    pub(crate) fn check_database_files(&self) -> Result<Option<Stat>, Error> {
        check_database_files(&self.dir)
    }

    /// Whether a rollback journal lies beside the database. Ours never has one, and SQLite would replay
    /// it.
    pub(crate) fn has_foreign_journal(&self) -> Result<bool, Error> {
        Ok(self.dir.stat(FOREIGN_JOURNAL)?.is_some())
    }

    /// Makes the companions of a new database ahead of SQLite, without copy-on-write: on btrfs a full
    /// disk would otherwise end the process in the middle of a store to the shared index.
    pub(crate) fn prepare_companions(&self) -> Result<(), Error> {
        for name in [WAL, SHM] {
            if self.dir.stat(name)?.is_none() {
                drop(self.dir.create_file(name, 0o644)?);
                self.dir.set_nocow(name);
            }
        }
        Ok(())
    }
}

/// Refuses planted files where SQLite reads or writes: it follows links to the companions of a database,
/// and makes what they lead to, even for a reader.
pub(crate) fn check_database_files(home: &Dir) -> Result<Option<Stat>, Error> {
    for name in [WAL, SHM] {
        check_own_file(home, name)?;
    }
    check_own_file(home, DATABASE)
}

fn check_own_file(home: &Dir, name: &str) -> Result<Option<Stat>, Error> {
    let Some(stat) = home.stat(name)? else {
        return Ok(None);
    };
    let found = match stat.kind {
        Kind::File if stat.links > 1 => "a file with a second name",
        Kind::File => return Ok(Some(stat)),
        Kind::Link => "a symbolic link",
        Kind::Dir => "a directory",
        Kind::Other => "a special file",
    };
    let path = home.path().join(name).to_string();
    Err(Damage::Planted { path, found }.into())
}
