use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use super::leftover::Leftovers;
use super::place::Map;
use super::staging::STAGED_PATHS;
use crate::disk::{self, Acting, Dir, Disk, DiskError, Features};
use crate::error::{Damage, Error, Unsupported, UsageError};
use crate::lock;
use crate::model::{ACL, Access, Kind, RelPath, Stat, TxnId};

/// The database.
pub(crate) const DATABASE: &str = ".state.db";
/// Its write-ahead log.
pub(crate) const WAL: &str = ".state.db-wal";
/// The index of the log, which processes share.
pub(crate) const SHM: &str = ".state.db-shm";
/// A rollback journal of another program, which must not be replayed into the database.
pub(crate) const FOREIGN_JOURNAL: &str = ".state.db-journal";
/// The prefix of a mark that a database is damaged.
pub(crate) const DAMAGED_PREFIX: &str = "damaged-";
/// The prefix of all names of the journal in the home.
pub(super) const OWN_PREFIX: &str = ".state";
/// The prefix of the names of staging slots next to targets.
pub(crate) const BESIDE_PREFIX: &str = ".tljournal-";

pub(crate) const STATE: &str = ".state";
pub(crate) const TXN: &str = "txn";
pub(crate) const LOCK: &str = "lock";
/// The directory of named locks, below the other locks.
pub(crate) const NAMED: &str = "name";
/// The directory of logs.
pub(crate) const LOG: &str = "log";
pub(crate) const ASIDE: &str = "aside";
/// A new database under construction, below `.state`.
pub(crate) const REBUILDING: &str = "rebuilding.db";
/// A complete rebuilt database, used when there is no database.
pub(crate) const REBUILT: &str = "rebuilt.db";
/// The suffixes of the database's companion files.
pub(crate) const WAL_SUFFIX: &str = "-wal";
pub(crate) const SHM_SUFFIX: &str = "-shm";
pub(crate) const RESERVE: &str = "reserve";
const RESERVE_BYTES: usize = 1 << 20;
/// `MAX_PATHNAME` of SQLite, minus the part that it reserves.
const DATABASE_PATH_BYTES_MAX: usize = 510;

/// The open directories of a journal.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) root: Dir,
    pub(crate) dir: Dir,
    pub(crate) state: Dir,
    pub(crate) txns: Dir,
    pub(crate) locks: Dir,
    pub(crate) aside: Dir,
    pub(crate) root_stat: Stat,
    pub(crate) home_stat: Stat,
    pub(crate) state_stat: Stat,
    pub(crate) map: Map,
    pub(crate) syncfs_reaches_medium: bool,
    /// Whether a part of it may be in the lower layer of an overlay.
    pub(crate) is_overlay: bool,
    /// The leftovers that could not be deleted.
    pub(crate) leftovers: Arc<Leftovers>,
    /// The group to which everything that is set aside now belongs, if there is one.
    pub(super) group: Arc<Mutex<Option<String>>>,
}

impl Home {
    /// Opens the directories of a home, and creates missing ones if `create`.
    pub(crate) fn open(
        root: &Utf8Path,
        home: &Utf8Path,
        territory: Vec<RelPath>,
        disk: &Disk,
        create: bool,
    ) -> Result<Self, Error> {
        disk::forget_rights();
        let root_dir = Dir::open(root, disk.clone())?;
        refuse_without_proc(&root_dir)?;
        let dir = match create {
            true => ensure_there(&root_dir, root, home)?,
            false => open_there(&root_dir, root, home)?,
        };
        let (root_stat, home_stat) = (root_dir.own_stat()?, dir.own_stat()?);
        let attributes = dir.own_attributes()?;
        let dir = dir.used_by(Access::of_home(&home_stat, attributes.get(ACL)));
        let state = if create {
            if dir.stat(STATE)?.is_none() {
                refuse_unsuitable(&dir)?;
            }
            dir.ensure_own_dir(STATE)?
        } else {
            match dir.open_dir(STATE) {
                Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => {
                    let path = home.to_string();
                    return Err(UsageError::NoJournal { path }.into());
                }
                opened => opened?,
            }
        };
        refuse_state_of_another(home_stat.uid, &state)?;
        // An inherited ACL must not make these files readable for more users.
        let inherits = create && state.remove_acls()?;
        let sub = |name| match create {
            true => state.ensure_own_dir(name),
            false => state.open_dir(name),
        };
        let map = Map::new(
            (root, root_stat.identity),
            (home, home_stat.identity),
            territory,
        );
        let filesystem = dir.filesystem()?;
        let (txns, locks, aside) = (sub(TXN)?, sub(LOCK)?, sub(ASIDE)?);
        for dir in [&txns, &locks, &aside].into_iter().filter(|_| inherits) {
            dir.remove_acls()?;
        }
        let home = Self {
            root: root_dir,
            txns,
            locks,
            aside,
            state_stat: state.own_stat()?,
            syncfs_reaches_medium: filesystem.syncfs_reaches_medium,
            is_overlay: filesystem.is_overlay,
            state,
            dir,
            root_stat,
            home_stat,
            map,
            leftovers: Arc::default(),
            group: Arc::default(),
        };
        if create {
            home.restrict_layout();
        }
        Ok(home)
    }

    /// Switches to the rights of the home's owner, if this process is root and the owner is another user: for
    /// everything that only the database or the content of `.state` requests, which that user may have written.
    #[must_use = "the thread has the rights of root again when this is dropped"]
    pub(crate) fn act_as_owner(&self) -> Option<Acting> {
        Acting::as_owner(&self.home_stat)
    }

    /// The same while SQLite opens the database by its path, if that user can access it: a link in the place of one
    /// of its files leads nowhere that the user could not go.
    #[must_use = "the thread has the rights of root again when this is dropped"]
    pub(crate) fn act_for_database(&self) -> Result<Option<Acting>, Error> {
        let path = self.dir.real_path()?;
        let acting = self.act_as_owner();
        Ok(acting.filter(|_| disk::may_enter(&path)))
    }

    /// Removes the access that homes of older versions gave to other users, if `.state` still gives any.
    fn restrict_layout(&self) {
        let access = self.dir.access();
        if access.is_of(&self.state_stat, access.dir_mode()) {
            return;
        }
        tracing::debug!(home = %self.dir.path(), "restricting who may use the journal's own files");
        self.restrict(&self.dir, STATE, &self.state_stat);
        let is_own = |name: &str| [TXN, LOCK, LOG, ASIDE, RESERVE].contains(&name);
        self.restrict_entries(&self.state, is_own);
        let is_shared = |name: &str| name.parse::<TxnId>().is_ok() && !self.lists_closed(name);
        self.restrict_entries(&self.txns, is_shared);
        for dir in self.staged_ids().unwrap_or_default() {
            if let Ok(dir) = self.txns.open_dir(&dir.to_string()) {
                self.restrict_entries(&dir, |name| name == STAGED_PATHS);
            }
        }
        for dir in [self.state.open_dir(LOG), self.locks.open_dir(NAMED)] {
            dir.iter()
                .for_each(|dir| self.restrict_entries(dir, |_| true));
        }
        self.restrict_entries(&self.locks, |_| true);
        // Quarantined items keep their modes: their directory is inaccessible to others.
    }

    fn restrict_entries(&self, dir: &Dir, is_own: impl Fn(&str) -> bool) {
        for name in dir.names().unwrap_or_default() {
            if let Some(name) = name.to_str().filter(|name| is_own(name))
                && let Ok(Some(stat)) = dir.stat(name)
            {
                self.restrict(dir, name, &stat);
            }
        }
    }

    /// Restricts the access to an entry of the journal. An entry of another user is left alone.
    pub(super) fn restrict(&self, dir: &Dir, name: &str, stat: &Stat) {
        if stat.kind == Kind::File && stat.links > 1 {
            return;
        }
        let restricted = dir.restrict(name, stat);
        if let Err(error) = restricted.and_then(|()| dir.remove_acl(name, stat)) {
            tracing::debug!(%error, "failed to restrict the access to a file of the journal");
        }
    }

    /// Tries whether locks exclude other processes here, which the whole design needs.
    pub(crate) fn try_locks(&self) -> Result<(), Error> {
        refuse_unsuitable(&self.dir)?;
        drop(self.locks.open_lock_file("probe")?);
        let missing = |tried: Result<bool, DiskError>| match tried {
            Err(error) if error.is_missing_lock() => Ok(Some(true)),
            tried => Ok::<_, DiskError>((!tried?).then_some(false)),
        };
        let flock = missing(self.locks.flock_excludes("probe"))?;
        let bytes = missing(lock::bytes_exclude(&self.locks, "probe"))?;
        match (flock, bytes) {
            (Some(true), _) => {
                self.refuse("files cannot be locked (flock), so two processes would overwrite each other's work")
            }
            (Some(false), _) => self.refuse("two processes cannot exclude each other (flock)"),
            (None, Some(_)) => self.refuse(
                "bytes of a file cannot be locked (open file description locks), so it cannot be determined which runs are running",
            ),
            (None, None) => Ok(()),
        }
    }

    /// Tries the features of the filesystem, in the staging directory.
    pub(crate) fn try_features(&self) -> Result<Features, Error> {
        if !self.locks.renames_replace_nothing("probe.rename")? {
            self.refuse("a rename may replace another file (RENAME_NOREPLACE is not supported)")?;
        }
        Ok(self.locks.try_features("probe.exchange")?)
    }

    fn refuse(&self, reason: &'static str) -> Result<(), Error> {
        let filesystem = self.dir.filesystem()?.name;
        let path = self.dir.path().to_string();
        Err(Unsupported::Filesystem {
            path,
            filesystem,
            reason,
        }
        .into())
    }

    /// Creates the reserve file if it is missing; without it a full disk has effects a little earlier.
    pub(crate) fn keep_reserve(&self) {
        let found = self.state.stat(RESERVE);
        let is_there = match found {
            Ok(Some(stat)) if stat.kind == Kind::File => return,
            Ok(Some(_)) => match self.set_aside(&self.state, RESERVE, "planted") {
                Ok(_) => false,
                Err(error) => {
                    tracing::warn!(%error, "failed to replace the entry in the place of the reserve file");
                    true
                }
            },
            Ok(None) => false,
            Err(_) => true,
        };
        if !is_there && let Err(error) = self.state.fill_file(RESERVE, RESERVE_BYTES) {
            tracing::debug!(%error, "no reserve");
        }
    }

    /// Deletes the reserve file to free space for a required write. Returns whether it existed.
    pub(crate) fn give_up_reserve(&self) -> bool {
        self.state.remove_file(RESERVE).is_ok()
    }

    /// Creates the database file if it is missing, so that its identity is known before it is opened.
    pub(crate) fn ensure_database(&self) -> Result<Stat, Error> {
        match self.check_database_files()? {
            Some(stat) => Ok(stat),
            None => Ok(self.dir.create_own_file(DATABASE)?.stat()?),
        }
    }

    /// Refuses a path that leads to the journal's own files: opening and closing a file of the database drops its
    /// locks.
    pub(crate) fn refuse_path_to_own(&self, path: &Utf8Path) -> Result<(), Error> {
        let real = self.dir.disk().real_path_of(path)?;
        let home = self.dir.real_path()?;
        let inside = real.strip_prefix(&home).ok();
        let first = inside.and_then(|inside| inside.components().next());
        let name = first.map_or("", |first| first.as_str());
        match name == STATE || name.starts_with(DATABASE) {
            true => Err(UsageError::Reserved {
                path: path.as_str().escape_debug().to_string(),
            }
            .into()),
            false => Ok(()),
        }
    }

    /// The path of the database without links, because SQLite refuses links.
    pub(crate) fn database_path(&self) -> Result<Utf8PathBuf, Error> {
        let path = self.dir.real_path()?.join(DATABASE);
        match is_openable(&path) {
            true => Ok(path),
            false => Err(Unsupported::LongPath {
                bytes: path.as_str().len(),
                max: DATABASE_PATH_BYTES_MAX,
                path: path.into_string(),
            }
            .into()),
        }
    }
}

/// Refuses to work without `/proc`, which provides the real paths of open directories.
pub(crate) fn refuse_without_proc(dir: &Dir) -> Result<(), Error> {
    match dir.real_path() {
        Err(error) if error.is(Errno::NOENT) => Err(Unsupported::NoProc.into()),
        // Other errors are reported when the path is used.
        _ => Ok(()),
    }
}

/// Whether SQLite can open a database at this path. It resolves every link, so a short path through `/proc` does not
/// help.
pub(crate) fn is_openable(path: &Utf8Path) -> bool {
    path.as_str().len() <= DATABASE_PATH_BYTES_MAX
}

fn refuse_unsuitable(dir: &Dir) -> Result<(), Error> {
    let filesystem = dir.filesystem()?;
    match filesystem.unsuitable {
        None => Ok(()),
        Some(reason) => Err(Unsupported::Filesystem {
            path: dir.path().to_string(),
            filesystem: filesystem.name,
            reason,
        }
        .into()),
    }
}

/// Refuses a directory of root in the place of `.state` in a home of another user, who could have put it there.
fn refuse_state_of_another(owner: u32, state: &Dir) -> Result<(), Error> {
    if !disk::is_root() || owner == 0 || owner == state.own_stat()?.uid {
        return Ok(());
    }
    let (path, found) = (state.path().to_string(), "a directory of another user");
    Err(Damage::Planted { path, found }.into())
}

/// Opens the home by the path the caller gave: links on the way are followed as [`Dir::open`] does, because the build
/// directory may be one.
fn follow(root_dir: &Dir, root: &Utf8Path, home: &Utf8Path) -> Result<Dir, DiskError> {
    match relative(root, home) {
        Some(path) => root_dir.open_named(path.as_str()),
        None => Dir::open(home, root_dir.disk().clone()),
    }
}

/// Opens an existing home.
pub(crate) fn open_there(root_dir: &Dir, root: &Utf8Path, home: &Utf8Path) -> Result<Dir, Error> {
    match follow(root_dir, root, home) {
        Err(error) if error.is(Errno::NOENT) => {
            let path = home.to_string();
            Err(UsageError::NoJournal { path }.into())
        }
        opened => Ok(opened?),
    }
}

/// Opens the home, and creates it if it is missing and below the root.
fn ensure_there(root_dir: &Dir, root: &Utf8Path, home: &Utf8Path) -> Result<Dir, Error> {
    match (follow(root_dir, root, home), relative(root, home)) {
        (Err(error), Some(path)) if error.is(Errno::NOENT) => {
            let mut at = root_dir.clone();
            for part in path.as_str().split('/') {
                at = at.ensure_dir(part, 0o755)?;
            }
            Ok(at)
        }
        (opened, _) => Ok(opened?),
    }
}

/// The path of the home below the root, if the paths show that it is below.
pub(super) fn relative(root: &Utf8Path, home: &Utf8Path) -> Option<RelPath> {
    RelPath::new(home.strip_prefix(root).ok()?.as_str()).ok()
}
