//! What becomes of a database that cannot be worked with: it goes aside as evidence, and a new one begins with the
//! rows that can still be read.

use super::copy::PrivateCopy;
use super::open::Options;
use crate::catalog::{CatalogError, HomeRow};
use crate::error::{Error, chain};
use crate::fsck::{self, FsckDepth, RebuildOptions};
use crate::home::{DATABASE, Home};
use crate::lock::{DbLock, Wait};
use crate::model::Identity;

impl Options {
    /// Sets a database aside that cannot be used, so that a new one can be begun; unless somebody else
    /// did that since it was `seen`.
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

    /// The same for who holds the commit lock.
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
        // The mark says that the rest has to follow, should this be cut short: without its log a
        // database is an older one.
        home.mark_damaged(damaged)?;
        let _synced = home.state.sync()?;
        let kept = home.set_database_aside()?;
        let _synced = home.dir.sync()?;
        home.forget_damage()?;
        tracing::warn!(kept, why = %why, "the database was set aside and a new one is begun");
        Ok(Some(kept))
    }

    /// Makes a new database, which is taken when there is no other one, of the rows that can be read. Without it a new
    /// one begins empty: that costs what history tells, and nothing that is on disk.
    fn save_rows(&self, home: &Home) {
        match self.try_to_save_rows(home) {
            Ok(0) => {}
            Ok(rows) => tracing::warn!(rows, "what could be read of the damaged database is used"),
            Err(error) => {
                tracing::warn!(why = %chain(&error), "nothing of the damaged database can be used");
                if let Err(error) = home.remove_rebuilt_database() {
                    tracing::debug!(%error, "there is no new database");
                }
            }
        }
    }

    /// The caller holds the commit lock. Returns how many rows were saved.
    fn try_to_save_rows(&self, home: &Home) -> Result<u64, Error> {
        if home.has_rebuilt_database()? {
            // Made from what is on disk, and not taken yet.
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

    /// Sets aside what lies where the files of the database and the locks belong, and is none.
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
        // What belongs to another user is not made readable for this one.
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
        tracing::warn!(kept, "what was in the place of the database was set aside");
        Ok(())
    }
}
