//! Replaces an unusable database: the old one is set aside as evidence, and a new one is created from its readable
//! rows.

use super::copy::PrivateCopy;
use super::open::Options;
use crate::catalog::{CatalogError, HomeRow};
use crate::error::{Error, chain};
use crate::fsck::{self, FsckDepth, RebuildOptions};
use crate::home::{DATABASE, Home};
use crate::lock::{DbLock, Wait};
use crate::model::Identity;

impl Options {
    /// Sets an unusable database aside, so that a new one can be created, unless another process has done that since
    /// it was `seen`.
    pub(super) fn set_database_aside(
        &self,
        seen: Option<Identity>,
        why: &CatalogError,
    ) -> Result<Option<String>, Error> {
        let home = self.open_home()?;
        let _lock = self.commit_lock(&home, "set a damaged database aside")?;
        let found = home.check_database_files()?.map(|stat| stat.identity);
        if found.is_some() && found == seen {
            self.save_rows(&home);
        }
        Self::set_aside_locked(&home, seen, why, self.wait())
    }

    /// The same for a caller that holds the commit lock.
    pub(super) fn set_aside_locked(
        home: &Home,
        seen: Option<Identity>,
        why: &CatalogError,
        wait: Wait<'_>,
    ) -> Result<Option<String>, Error> {
        let mut lock = DbLock::open(&home.locks)?;
        let _turn = lock.take(wait)?;
        let found = home.check_database_files()?.map(|stat| stat.identity);
        let Some(damaged) = found.filter(|_| found == seen) else {
            return Ok(None);
        };
        // The mark makes the next process complete an interrupted move: without its log the database is an older
        // state.
        home.mark_damaged(damaged)?;
        let _synced = home.state.sync()?;
        let kept = home.set_database_aside()?;
        let _synced = home.dir.sync()?;
        home.forget_damage()?;
        tracing::warn!(kept, why = %why, "the database was set aside, and a new one is created");
        Ok(Some(kept))
    }

    /// Creates a new database from the readable rows, which is taken when there is no other one. If that fails, the
    /// new database is empty: the history is lost, and no files are.
    fn save_rows(&self, home: &Home) {
        match self.try_to_save_rows(home) {
            Ok(0) => {}
            Ok(rows) => tracing::warn!(rows, "the readable rows of the damaged database are used"),
            Err(error) => {
                tracing::warn!(why = %chain(&error), "no row of the damaged database can be used");
                if let Err(error) = home.remove_rebuilt_database() {
                    tracing::debug!(%error, "there is no new database");
                }
            }
        }
    }

    /// The caller holds the commit lock. Returns the number of saved rows.
    fn try_to_save_rows(&self, home: &Home) -> Result<u64, Error> {
        if home.has_rebuilt_database()? {
            // A rebuild has created it from the disk, and it is not taken yet.
            return Ok(0);
        }
        let copy = PrivateCopy::of(&home.dir, self.wait())?;
        let old = copy.open_to_salvage()?;
        if !old.has_tables()? {
            return Ok(0);
        }
        let row = HomeRow {
            identity: home.home_stat.identity,
            features: home.try_features()?,
        };
        let options = RebuildOptions::default();
        let made = fsck::make_rebuilt(home, row, Some(&old), &options, FsckDepth::Quick)?;
        Ok(made.rows.iter().map(|(_, rows, _)| rows).sum())
    }

    /// Sets aside entries that are in the place of the database files or lock files.
    pub(super) fn set_planted_aside(&self) -> Result<(), Error> {
        let home = self.open_home()?;
        home.set_planted_locks_aside()?;
        let _lock = self.commit_lock(&home, "set aside what is no file of the journal")?;
        if home.has_planted_companion()? {
            return home.set_planted_companions_aside();
        }
        if home.check_database_files().is_ok() && !home.has_file_in_the_way()? {
            return Ok(());
        }
        // A database of another user must not become readable for this one.
        let owner = home.home_stat.uid;
        if home
            .dir
            .stat(DATABASE)?
            .is_some_and(|stat| stat.uid == owner)
        {
            self.save_rows(&home);
        }
        let mut lock = DbLock::open(&home.locks)?;
        let _turn = lock.take(self.wait())?;
        let kept = home.set_database_aside()?;
        let _synced = home.dir.sync()?;
        tracing::warn!(kept, "an entry in the place of the database was set aside");
        Ok(())
    }
}
