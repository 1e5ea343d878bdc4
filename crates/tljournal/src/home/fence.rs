use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::Home;
use super::layout::{ASIDE, DATABASE, FOREIGN_JOURNAL, LOCK, LOG, RESERVE, SHM, STATE, TXN, WAL};
use crate::disk::{self, Dir, DiskError, unless_gone};
use crate::error::{Damage, Error};
use crate::lock;
use crate::model::{Identity, Kind, Stat};

/// Where the header of a database says which kind of journal it has.
const MODE_AT: u64 = 18;

/// Which inodes the database, its log and the index of that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DatabaseFiles {
    pub(crate) database: Identity,
    companions: [Option<Identity>; 2],
}

impl Home {
    /// Makes sure that the names still lead to the directories that are held.
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

    /// Makes sure that the names still lead to what is held: the directories, the commit lock, the database
    /// and its companions. What is written to a file that was removed tells nobody anything.
    pub(crate) fn fence(&self, commit_lock: &File, files: DatabaseFiles) -> Result<(), Error> {
        self.fence_lock(commit_lock)?;
        self.check_files(files)
    }

    /// Makes sure that the database and its companions are still these files.
    pub(crate) fn check_files(&self, files: DatabaseFiles) -> Result<(), Error> {
        match self.database_files()? == files {
            true => Ok(()),
            false => replaced(self.dir.path().join(DATABASE).to_string()),
        }
    }

    /// Makes sure that the names still lead to the directories that are held, and to that of named locks.
    pub(crate) fn fence_names(&self, names: &Dir) -> Result<(), Error> {
        self.check_in_place()?;
        match is_same(self.state.stat("lock/name")?, &names.own_stat()?) {
            true => Ok(()),
            false => replaced(names.path().to_string()),
        }
    }

    /// Makes sure that the names still lead to the directories and the commit lock that are held. A lock
    /// on a file that was renamed away excludes nobody.
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

    /// Refuses planted files where SQLite will write: the database and its companions are regular files
    /// with one name, and ours.
    pub(crate) fn check_database_files(&self) -> Result<Option<Stat>, Error> {
        for name in [WAL, SHM, DATABASE] {
            if let Some(stat) = check_own_file(&self.dir, name)? {
                if !self.dir.may_use(name, &stat) {
                    let (path, found) = (self.dir.path().join(name).to_string(), CLOSED);
                    return Err(Damage::Planted { path, found }.into());
                }
                self.restrict(&self.dir, name, &stat);
            }
        }
        check_own_file(&self.dir, DATABASE)
    }

    /// Which files the database and its companions are now.
    pub(crate) fn database_files(&self) -> Result<DatabaseFiles, Error> {
        let own = |name| check_own_file(&self.dir, name);
        let identity = |name| Ok::<_, Error>(own(name)?.map(|stat| stat.identity));
        match identity(DATABASE)? {
            Some(database) => Ok(DatabaseFiles {
                database,
                companions: [identity(WAL)?, identity(SHM)?],
            }),
            None => replaced(self.dir.path().join(DATABASE).to_string()),
        }
    }

    /// Makes the directories of a new home durable, up to the root: a power cut that takes one of them takes
    /// everything that was promised in it.
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

    /// Whether a rollback journal lies beside the database. Ours never has one, and SQLite would replay
    /// it.
    pub(crate) fn has_foreign_journal(&self) -> Result<bool, Error> {
        Ok(self.dir.stat(FOREIGN_JOURNAL)?.is_some())
    }

    /// Whether the database was switched to a rollback journal, so that a journal beside it is its own. The caller
    /// holds the commit lock, under which ours switch it back.
    pub(crate) fn has_rollback_mode(&self) -> Result<bool, DiskError> {
        // To close the file would drop the locks that SQLite has on it in this process: it stays open.
        static OPENED: Mutex<Vec<File>> = Mutex::new(Vec::new());
        let file = match self.dir.open_file(DATABASE) {
            Err(error) if error.is(Errno::NOENT) => return Ok(false),
            opened => opened?,
        };
        let mut header = Vec::new();
        let read = (&file).take(MODE_AT + 2).read_to_end(&mut header);
        OPENED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(file);
        let path = self.dir.path().join(DATABASE);
        read.map_err(|source| DiskError::new("read", path.as_str(), source))?;
        Ok(is_in_rollback_mode(&header))
    }

    /// Whether something that is no file of ours lies in the place of a companion, and the database itself is right.
    pub(crate) fn has_planted_companion(&self) -> Result<bool, DiskError> {
        let is_right = |name: &str| {
            let found = in_the_way(&self.dir, name)?;
            Ok::<_, DiskError>(found.is_none())
        };
        Ok(is_right(DATABASE)? && !(is_right(WAL)? && is_right(SHM)?))
    }

    /// Whether a file of the database cannot be used by this process.
    pub(crate) fn has_file_in_the_way(&self) -> Result<bool, DiskError> {
        Ok(in_the_way(&self.dir, DATABASE)?.is_some() || self.has_planted_companion()?)
    }

    /// Makes the companions of a new database ahead of SQLite, without copy-on-write: on btrfs a full
    /// disk would otherwise end the process in the middle of a store to the shared index.
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

/// Refuses planted files where SQLite reads or writes: it follows links to the companions of a database,
/// and makes what they lead to, even for a reader.
pub(crate) fn check_database_files(home: &Dir) -> Result<Option<Stat>, Error> {
    for name in [WAL, SHM] {
        check_own_file(home, name)?;
    }
    check_own_file(home, DATABASE)
}

/// Whether the beginning of a database says that it has a rollback journal.
pub(crate) fn is_in_rollback_mode(header: &[u8]) -> bool {
    header.get(MODE_AT as usize) == Some(&1) && header.starts_with(b"SQLite format 3")
}

fn check_own_file(home: &Dir, name: &str) -> Result<Option<Stat>, Error> {
    let stat = home.stat(name)?;
    match planted(home, stat)? {
        None => Ok(stat),
        Some(found) => {
            let path = home.path().join(name).to_string();
            Err(Damage::Planted { path, found }.into())
        }
    }
}

/// Said of a file that this process may not read and write.
const CLOSED: &str = "a file of another user";

/// What lies where a file belongs that is written here, if it is none, or is closed to this process.
pub(super) fn in_the_way(dir: &Dir, name: &str) -> Result<Option<&'static str>, DiskError> {
    let Some(stat) = dir.stat(name)? else {
        return Ok(None);
    };
    Ok(match planted(dir, Some(stat))? {
        None if !dir.may_use(name, &stat) => Some(CLOSED),
        found => found,
    })
}

/// What lies where a file of ours belongs, if it is none.
pub(super) fn planted(home: &Dir, stat: Option<Stat>) -> Result<Option<&'static str>, DiskError> {
    let Some(stat) = stat else {
        return Ok(None);
    };
    Ok(match stat.kind {
        Kind::File if stat.links > 1 => Some("a file with a second name"),
        // Its owner could have put root's own file there, to have SQLite write into it.
        Kind::File if disk::is_root() && ![0, stat.uid].contains(&home.own_stat()?.uid) => {
            Some("a file of another user")
        }
        Kind::File => None,
        Kind::Link => Some("a symbolic link"),
        Kind::Dir => Some("a directory"),
        Kind::Other => Some("a special file"),
    })
}

fn is_same(now: Option<Stat>, held: &Stat) -> bool {
    now.is_some_and(|now| now.identity == held.identity && now.dev == held.dev)
}

fn replaced<T>(path: String) -> Result<T, Error> {
    Err(Error::Replaced { path })
}

/// Whether a journal was open for work here. Before that nothing but the layout is there.
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

/// Tells a database that is gone from one that has not been made; whoever makes one holds the commit lock.
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
