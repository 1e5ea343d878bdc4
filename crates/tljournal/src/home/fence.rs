use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::Home;
use super::layout::{ASIDE, DATABASE, FOREIGN_JOURNAL, LOCK, LOG, RESERVE, SHM, STATE, TXN, WAL};
use crate::disk::{self, Dir, DiskError, unless_gone};
use crate::error::{Damage, Error};
use crate::lock;
use crate::model::{Identity, Kind, Stat};

/// The offset of the journal mode in the header of a database.
const MODE_AT: u64 = 18;

/// The inodes of the database, its log and the index of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DatabaseFiles {
    pub(crate) database: Identity,
    companions: [Option<Identity>; 2],
}

impl Home {
    /// Checks that the names still lead to the open directories.
    pub(crate) fn check_in_place(&self) -> Result<(), Error> {
        for (dir, held) in [(&self.root, &self.root_stat), (&self.dir, &self.home_stat)] {
            if !is_same(dir.stat_by_path()?, held) {
                return replaced(dir.path().to_string());
            }
        }
        if !is_same(self.dir.stat(STATE)?, &self.state_stat) {
            return replaced(self.state.path().to_string());
        }
        for (dir, name) in [(&self.txns, TXN), (&self.locks, LOCK), (&self.aside, ASIDE)] {
            if !is_same(self.state.stat(name)?, &dir.own_stat()?) {
                return replaced(dir.path().to_string());
            }
        }
        Ok(())
    }

    /// Checks that the names still lead to the open files: the directories, the commit lock, the database and its
    /// companions. Writes to a removed file would be lost.
    pub(crate) fn fence(&self, commit_lock: &File, files: DatabaseFiles) -> Result<(), Error> {
        self.fence_lock(commit_lock)?;
        self.check_files(files)
    }

    /// Checks that the database and its companions are still these files.
    pub(crate) fn check_files(&self, files: DatabaseFiles) -> Result<(), Error> {
        match self.database_files()? == files {
            true => Ok(()),
            false => replaced(self.dir.path().join(DATABASE).to_string()),
        }
    }

    /// Checks that the names still lead to the open directories, including that of named locks.
    pub(crate) fn fence_names(&self, names: &Dir) -> Result<(), Error> {
        self.check_in_place()?;
        match is_same(self.state.stat("lock/name")?, &names.own_stat()?) {
            true => Ok(()),
            false => replaced(names.path().to_string()),
        }
    }

    /// Checks that the names still lead to the open directories and the commit lock. A lock on a file that was
    /// renamed away excludes no process.
    pub(crate) fn fence_lock(&self, commit_lock: &File) -> Result<(), Error> {
        self.check_in_place()?;
        if !is_same(
            self.state.stat("lock/commit")?,
            &self.locks.stat_open(commit_lock)?,
        ) {
            return replaced(self.locks.path().join("commit").to_string());
        }
        Ok(())
    }

    /// Refuses planted files where SQLite writes: the database and its companions must be regular files with one hard
    /// link, and the journal's own.
    pub(crate) fn check_database_files(&self) -> Result<Option<Stat>, Error> {
        let mut database = None;
        for name in [WAL, SHM, DATABASE] {
            database = self.check_own_file(name)?;
            if let Some(stat) = &database {
                if !self.dir.may_use(name, stat) {
                    let (path, found) = (self.dir.path().join(name).to_string(), CLOSED);
                    return Err(Damage::Planted { path, found }.into());
                }
                self.restrict(&self.dir, name, stat);
            }
        }
        Ok(database)
    }

    fn check_own_file(&self, name: &str) -> Result<Option<Stat>, Error> {
        check_own_file(&self.dir, self.home_stat.uid, name)
    }

    /// The current identities of the database and its companions.
    pub(crate) fn database_files(&self) -> Result<DatabaseFiles, Error> {
        let identity = |name| Ok::<_, Error>(self.check_own_file(name)?.map(|stat| stat.identity));
        match identity(DATABASE)? {
            Some(database) => Ok(DatabaseFiles {
                database,
                companions: [identity(WAL)?, identity(SHM)?],
            }),
            None => replaced(self.dir.path().join(DATABASE).to_string()),
        }
    }

    /// Syncs the directories of a new home up to the root: a power cut that loses one of them loses everything
    /// committed in it.
    pub(crate) fn sync_layout(&self) -> Result<(), Error> {
        self.state.sync()?;
        self.dir.sync()?;
        let below = self.dir.path().strip_prefix(self.root.path());
        let levels = below.map_or(1, |below| below.components().count());
        let mut dir = self.dir.clone();
        for _ in 0..levels {
            dir = dir.parent()?;
            dir.sync()?;
        }
        Ok(())
    }

    /// Whether a rollback journal is next to the database. The journal never has one, and SQLite would replay it.
    pub(crate) fn has_foreign_journal(&self) -> Result<bool, Error> {
        Ok(self.dir.stat(FOREIGN_JOURNAL)?.is_some())
    }

    /// Whether the database was switched to rollback mode, so that a journal next to it belongs to it. The caller
    /// holds the commit lock, under which the mode is switched back.
    pub(crate) fn has_rollback_mode(&self) -> Result<bool, DiskError> {
        // The file stays open, because closing it would drop the locks that SQLite has on it in this process.
        static OPENED: Mutex<Vec<File>> = Mutex::new(Vec::new());
        let file = match self.dir.open_file(DATABASE) {
            Err(error) if error.is(Errno::NOENT) => return Ok(false),
            opened => opened?,
        };
        let mut header = [0; MODE_AT as usize + 2];
        let read = file.read_at(&mut header, 0);
        OPENED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(file);
        let path = self.dir.path().join(DATABASE);
        let read = read.map_err(|source| DiskError::new("read", path.as_str(), source))?;
        Ok(is_in_rollback_mode(&header[..read]))
    }

    /// Whether an entry in the place of a companion file is not the journal's, while the database itself is valid.
    pub(crate) fn has_planted_companion(&self) -> Result<bool, DiskError> {
        let is_right = |name: &str| {
            let found = in_the_way(&self.dir, name)?;
            Ok::<_, DiskError>(found.is_none())
        };
        Ok(is_right(DATABASE)? && !(is_right(WAL)? && is_right(SHM)?))
    }

    /// Whether this process cannot use a file of the database.
    pub(crate) fn has_file_in_the_way(&self) -> Result<bool, DiskError> {
        Ok(in_the_way(&self.dir, DATABASE)?.is_some() || self.has_planted_companion()?)
    }

    /// Creates the companion files of a new database before SQLite does, without copy-on-write: on btrfs a full disk
    /// would otherwise kill the process during a write to the shared index.
    pub(crate) fn prepare_companions(&self) -> Result<(), Error> {
        for name in [WAL, SHM] {
            if self.dir.stat(name)?.is_none() {
                drop(self.dir.create_own_file(name)?);
                self.dir.set_nocow(name);
            }
        }
        Ok(())
    }
}

/// Refuses planted files where SQLite reads or writes: it follows links in the place of companion files, and creates
/// their targets, even for a reader.
pub(crate) fn check_database_files(home: &Dir) -> Result<Option<Stat>, Error> {
    let owner = home.own_stat()?.uid;
    for name in [WAL, SHM] {
        check_own_file(home, owner, name)?;
    }
    check_own_file(home, owner, DATABASE)
}

/// Whether the header of a database says that it is in rollback mode.
pub(crate) fn is_in_rollback_mode(header: &[u8]) -> bool {
    header.get(MODE_AT as usize) == Some(&1) && header.starts_with(b"SQLite format 3")
}

fn check_own_file(home: &Dir, owner: u32, name: &str) -> Result<Option<Stat>, Error> {
    let stat = home.stat(name)?;
    match planted(owner, stat) {
        None => Ok(stat),
        Some(found) => {
            let path = home.path().join(name).to_string();
            Err(Damage::Planted { path, found }.into())
        }
    }
}

/// The text for a file that this process may not read and write.
const CLOSED: &str = "a file of another user";

/// What is in the place of a file of the journal, if it is not a file or is inaccessible to this process.
pub(super) fn in_the_way(dir: &Dir, name: &str) -> Result<Option<&'static str>, DiskError> {
    let Some(stat) = dir.stat(name)? else {
        return Ok(None);
    };
    Ok(match planted(dir.own_stat()?.uid, Some(stat)) {
        None if !dir.may_use(name, &stat) => Some(CLOSED),
        found => found,
    })
}

/// The entry in the place of a file of the journal, in a directory of this owner, if it is not a file.
pub(super) fn planted(owner: u32, stat: Option<Stat>) -> Option<&'static str> {
    let stat = stat?;
    match stat.kind {
        Kind::File if stat.links > 1 => Some("a file with several hard links"),
        // The owner of the home could have linked a file of root there, to make SQLite write into it.
        Kind::File if disk::is_root() && ![0, stat.uid].contains(&owner) => {
            Some("a file of another user")
        }
        Kind::File => None,
        Kind::Link => Some("a symbolic link"),
        Kind::Dir => Some("a directory"),
        Kind::Other => Some("a special file"),
    }
}

fn is_same(now: Option<Stat>, held: &Stat) -> bool {
    now.is_some_and(|now| now.identity == held.identity && now.dev == held.dev)
}

fn replaced<T>(path: String) -> Result<T, Error> {
    Err(Error::Replaced { path })
}

/// Whether a journal was open for work here. Before that only the layout exists.
pub(crate) fn is_used(state: &Dir) -> Result<bool, DiskError> {
    let holds_something = |dir: &str| -> Result<bool, DiskError> {
        let dir = unless_gone(state.open_dir(dir))?;
        Ok(!dir.map_or(Ok(Vec::new()), |dir| dir.names())?.is_empty())
    };
    Ok(state.stat(RESERVE)?.is_some()
        || holds_something(TXN)?
        || holds_something(LOG)?
        || holds_something(ASIDE)?)
}

/// Whether a database was lost, as opposed to not created yet; a process that creates one holds the commit lock.
pub(crate) fn is_lost(home: &Dir) -> Result<bool, Error> {
    let Some(state) = unless_gone(home.open_dir(STATE))? else {
        return Ok(false);
    };
    if !is_used(&state)? {
        return Ok(false);
    }
    let lock = unless_gone(state.open_file(&format!("{LOCK}/commit")))?;
    let is_free = lock.map_or(Ok(true), |file| lock::try_shared(&file));
    if !is_free.map_err(|errno| DiskError::new("lock", "lock/commit", errno))? {
        return Ok(false);
    }
    Ok(home.stat(DATABASE)?.is_none_or(|stat| stat.size == 0))
}
