use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use camino::Utf8Path;

use super::compare::compare;
use super::copy::{PrivateCopy, log_bytes_in, share_database};
use super::history::History;
use crate::catalog::{Catalog, CatalogError, HomeRow};
use crate::disk::unless_gone;
use crate::disk::{Dir, Disk};
use crate::engine::sqlite_turn;
use crate::error::{Damage, Error, UsageError, chain};
use crate::fsck::{self, Finding, FsckOptions, FsckReport};
use crate::home::{
    DATABASE, FOREIGN_JOURNAL, Map, SHM, STATE, check_database_files, hold_index, is_lost,
    is_openable, is_used, named_below, open_there, refuse_without_proc,
};
use crate::lock::{Runs, Wait};
use crate::look::{Asked, Look, Seen, Spare};
use crate::model::{Identity, KeyMaterial, Kind};
use crate::tree::{Difference, DifferenceKind};

/// The directory of the locks, in the home.
const LOCKS: &str = ".state/lock";

/// A journal that is open for reading. It changes nothing on disk.
#[derive(Debug)]
pub struct Inspection {
    catalog: Mutex<Catalog>,
    /// A private copy without the unreadable rows, read once a row could not be read.
    spare: OnceLock<Option<(Mutex<Catalog>, PrivateCopy)>>,
    map: Map,
    /// Tells which runs are alive, where that can be determined.
    runs: Option<Runs>,
    root: Dir,
    home: Dir,
    state: Option<Dir>,
    at_home: bool,
    /// The state of the database when it was read, if later writes are not visible.
    seen: Option<Seen>,
    /// The private copy that is read, if one is.
    copy: Option<PrivateCopy>,
    key_material: KeyMaterial,
    lock_wait: Option<Duration>,
}

impl Inspection {
    /// The database is read in place at home, or if its log is empty, as an immutable file; otherwise as a private
    /// copy, so that the evidence is not changed.
    pub(super) fn open(
        root: &Utf8Path,
        home: &Utf8Path,
        disk: &Disk,
        key_material: KeyMaterial,
        wait: Wait<'_>,
    ) -> Result<Self, Error> {
        let no_journal = || UsageError::NoJournal {
            path: home.to_string(),
        };
        let root_dir = Dir::open(root, disk.clone())?;
        let dir = open_there(&root_dir, root, home)?;
        if check_database_files(&dir)?.is_none_or(|stat| stat.size == 0) {
            if is_lost(&dir)? {
                let path = home.join(DATABASE).to_string();
                return Err(Damage::Lost { path }.into());
            }
            return Err(no_journal().into());
        }
        // The database is private: other users get an error about that first.
        dir.check_readable(DATABASE)?;
        refuse_without_proc(&dir)?;
        let path = dir.real_path()?.join(DATABASE);
        let (root_stat, home_stat) = (root_dir.own_stat()?, dir.own_stat()?);
        let log_is_empty = log_bytes_in(&dir)? == 0;
        let has_journal = dir.stat(FOREIGN_JOURNAL)?.is_some();
        let is_own =
            |row: Option<HomeRow>| row.is_some_and(|row| row.identity == home_stat.identity);
        let seen = Seen::of(&dir)?;
        // A private copy has a short path.
        let is_openable = is_openable(&path);
        let told = {
            // The lock blocks writers while the database is opened as an immutable file.
            let _lock = share_database(&dir, wait)?;
            match is_openable {
                true => Catalog::open_read_only(&path, true).and_then(|catalog| catalog.home()),
                false => Ok(None),
            }
        };
        let state = unless_gone(dir.open_dir(STATE))?;
        let open_copy = || -> Result<_, Error> {
            let copy = PrivateCopy::of(&dir, wait)?;
            let mut catalog = copy.open()?;
            if let Err(CatalogError::Row(_)) = catalog.home() {
                catalog.keep_readable_rows()?;
            }
            Ok((catalog.home()?, Some((catalog, copy))))
        };
        let is_unreadable = matches!(told, Err(CatalogError::Row(_)));
        let opened = match told {
            // A kill during a checkpoint, or a power cut, may have left all content in the log; or a rollback journal
            // makes the database unreadable.
            Err(CatalogError::Corrupt(_) | CatalogError::Row(_))
                if !log_is_empty || has_journal =>
            {
                open_copy()
            }
            // Repairs of the schema and of the row of the home are made in a private copy.
            Err(CatalogError::Schema(_) | CatalogError::Row(_)) => open_copy(),
            Ok(_) if !is_openable => open_copy(),
            told => told.map(|row| (row, None)).map_err(Error::from),
        };
        let (home_row, copy) = match opened {
            Err(Error::Damaged(Damage::Catalog { source, .. }))
                if source.is_empty() && !state.as_ref().map_or(Ok(false), is_used)? =>
            {
                // The process that was creating the journal was killed.
                return Err(no_journal().into());
            }
            opened => opened?,
        };
        // SQLite would replay a rollback journal next to the database.
        let is_mended = copy
            .as_ref()
            .is_some_and(|(catalog, _)| !catalog.mends().is_empty())
            || is_unreadable;
        let is_usable = is_openable && !is_mended && !has_journal;
        let shared = is_own(home_row)
            && is_usable
            && dir.stat(SHM)?.is_some()
            && dir.is_writable()
            && hold_index(&dir).is_ok();
        let in_place = shared || log_is_empty && is_usable;
        let (mut catalog, copy) = match (in_place, copy) {
            (true, _) => {
                let open = || Ok(Catalog::open_read_only(&path, !shared)?);
                (sqlite_turn(&dir, wait, open)?, None)
            }
            (false, Some((catalog, copy))) => (catalog, Some(copy)),
            (false, None) => {
                let copy = PrivateCopy::of(&dir, wait)?;
                (copy.open()?, Some(copy))
            }
        };
        let at_home = sqlite_turn(&dir, wait, || {
            let at_home = is_own(catalog.home()?);
            set_root(&mut catalog, root_stat.identity, at_home)?;
            Ok(at_home)
        })?;
        let map = Map::new(
            (root, root_stat.identity),
            (home, home_stat.identity),
            Vec::new(),
        );
        Ok(Self {
            catalog: Mutex::new(catalog),
            spare: OnceLock::new(),
            map,
            runs: dir
                .open_dir(LOCKS)
                .and_then(Runs::open_to_look)
                .ok()
                .filter(|_| at_home),
            root: root_dir,
            state,
            home: dir,
            at_home,
            seen: Some(seen).filter(|_| at_home && !shared),
            copy,
            key_material,
            lock_wait: wait.limit,
        })
    }

    /// The history, and the recorded state of paths.
    #[must_use]
    pub fn history(&self) -> History<'_> {
        History::new(self.look())
    }

    /// Whether the database belongs to this directory, and not to one that it was copied from.
    #[must_use]
    pub fn is_at_home(&self) -> bool {
        self.at_home
    }

    /// Whether a private copy of the database is read, because its log is not empty and it must not be changed.
    #[must_use]
    pub fn reads_a_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Compares the tree at a path with the installed one: by signature, or all content if `full`.
    ///
    /// # Errors
    /// [`Error::Usage`] when no tree was installed there.
    pub fn verify(&self, path: &str, full: bool) -> Result<Vec<Difference>, Error> {
        let look = self.look();
        let path = named_below(look.root, path)?;
        let place = look.place(&path)?;
        let not_a_tree = || UsageError::NotATree {
            path: path.to_string(),
        };
        let entry = look.entry(&place)?.ok_or_else(not_a_tree)?;
        let manifest = self
            .history()
            .manifest(path.as_str())?
            .ok_or_else(not_a_tree)?;
        let Some(parent) = look.parent(&place)? else {
            return Ok(vec![Difference::missing()]);
        };
        match parent.stat(place.path.name())? {
            None => Ok(vec![Difference::missing()]),
            Some(stat) if stat.kind == Kind::Dir => {
                let root = parent.open_dir(place.path.name())?;
                compare(&root, &entry, &manifest, full)
            }
            Some(stat) => Ok(vec![Difference::of_root(DifferenceKind::Kind {
                expected: Kind::Dir,
                found: stat.kind,
            })]),
        }
    }

    /// Checks the disk against the catalog, and the journal's own files; passes each finding to `told`, which may
    /// stop the check. Changes nothing.
    pub fn fsck(
        &self,
        options: &FsckOptions,
        told: &mut dyn FnMut(Finding) -> ControlFlow<()>,
    ) -> FsckReport {
        // A check reports the unreadable rows.
        let look = Look {
            asked: Asked::Catalog(&self.catalog),
            ..self.look()
        };
        fsck::check(&look, options, told)
    }

    /// Read access to this journal.
    pub(super) fn look(&self) -> Look<'_> {
        Look {
            asked: Asked::Readable(&self.catalog, self),
            map: &self.map,
            root: &self.root,
            home: &self.home,
            state: self.state.clone(),
            runs: self.runs.as_ref(),
            at_home: self.at_home,
            seen: self.seen.as_ref(),
            key_material: &self.key_material,
            lock_wait: self.lock_wait,
        }
    }
}

impl Inspection {
    fn make_spare(&self) -> Result<(Mutex<Catalog>, PrivateCopy), Error> {
        let copy = PrivateCopy::of(&self.home, Wait::within(self.lock_wait))?;
        let mut catalog = copy.open()?;
        let rows = catalog.keep_readable_rows()?;
        set_root(&mut catalog, self.root.own_stat()?.identity, self.at_home)?;
        tracing::warn!(
            "{rows} rows of the database cannot be read and are left out; `tljournal fsck` lists them"
        );
        Ok((Mutex::new(catalog), copy))
    }
}

impl Spare for Inspection {
    fn made(&self) -> Option<&Mutex<Catalog>> {
        let (catalog, _) = self.spare.get()?.as_ref()?;
        Some(catalog)
    }

    fn make(&self) -> Option<&Mutex<Catalog>> {
        let make = || match self.make_spare() {
            Ok(spare) => Some(spare),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the rows that can be read are not told apart");
                None
            }
        };
        let (catalog, _) = self.spare.get_or_init(make).as_ref()?;
        Some(catalog)
    }
}

/// Reads the places of a root as those of this one; of a copy as those of its latest root.
fn set_root(catalog: &mut Catalog, root: Identity, at_home: bool) -> Result<(), Error> {
    catalog.set_root(root);
    if !at_home && catalog.own_root()? == 0 {
        catalog.adopt_latest_root()?;
    }
    Ok(())
}
