use super::copy::PrivateCopy;
use super::open::Options;
use crate::catalog::{Catalog, CatalogError, HomeRow};
use crate::error::{Error, UsageError};
use crate::fsck::{self, FsckDepth, RebuildOptions, Rebuilt};
use crate::home::Home;
use crate::lock::Wait;

/// A private copy of the old database.
struct Old {
    catalog: Catalog,
    _copy: PrivateCopy,
}

impl Options {
    /// Creates a new database from the readable rows of the old one and from the disk; the old one is set aside. A
    /// kill leaves the old database or the new one.
    ///
    /// # Errors
    /// [`Error::Usage`] when the database is sound, unless forced; [`Error::Unsupported`] for one of a newer version,
    /// which is not changed; other errors of the system.
    pub fn rebuild(self, options: &RebuildOptions) -> Result<Rebuilt, Error> {
        let home = self.open_home()?;
        let mut force = options.force;
        loop {
            let rebuilt = self.rebuild_locked(&home, options, force)?;
            // The next open for work takes the new database.
            self.clone().work()?.close()?;
            match rebuilt {
                Some(rebuilt) => return Ok(rebuilt),
                None => force = true,
            }
        }
    }

    /// Creates the new database and sets the old one aside, under the commit lock; `None` if another new database
    /// must be taken first, because an earlier rebuild was killed before that, or is about to do it.
    fn rebuild_locked(
        &self,
        home: &Home,
        options: &RebuildOptions,
        force: bool,
    ) -> Result<Option<Rebuilt>, Error> {
        let _lock = self.commit_lock(home, "rebuild the database")?;
        if home.has_rebuilt_database()? && is_gone(home)? {
            return Ok(None);
        }
        let seen = home.check_database_files()?;
        let wait = self.wait();
        let (old, why) = open_old(home, wait)?;
        let sound = |old: &Old| fsck::is_sound(&old.catalog).unwrap_or(false);
        let is_sound = why.is_none() && old.as_ref().is_some_and(sound);
        if !force && is_sound && !is_gone(home)? {
            return Err(UsageError::Sound.into());
        }
        let identity = home.home_stat.identity;
        let features = home.try_features()?;
        let row = HomeRow { identity, features };
        let catalog = old.as_ref().map(|old| &old.catalog);
        let mut rebuilt = fsck::make_rebuilt(home, row, catalog, options, FsckDepth::Full)?;
        drop(old);
        if let Some(seen) = seen {
            let why = why.unwrap_or(CatalogError::Corrupt("it was rebuilt".to_owned()));
            rebuilt.kept = Self::set_aside_locked(home, Some(seen.identity), &why, wait)?;
        }
        Ok(Some(rebuilt))
    }

    /// Removes a new database that will not be taken, because the old one was used since: its rebuild was killed
    /// before it set the old one aside.
    pub(super) fn remove_stale_rebuilt(&self, home: &Home) -> Result<(), Error> {
        if !home.has_rebuilt_database()? {
            return Ok(());
        }
        let _lock = self.commit_lock(home, "remove a database that was not taken")?;
        // Another process may have taken it.
        if home.has_rebuilt_database()? && !is_gone(home)? {
            home.remove_rebuilt_database()?;
        }
        Ok(())
    }
}

/// Whether the database is missing, or marked as damaged and about to be set aside.
fn is_gone(home: &Home) -> Result<bool, Error> {
    match home.check_database_files()? {
        Some(seen) if seen.size > 0 => Ok(home.is_marked_damaged(seen.identity)?),
        _ => Ok(true),
    }
}

/// Opens the old database for reading, or returns why that failed.
fn open_old(home: &Home, wait: Wait<'_>) -> Result<(Option<Old>, Option<CatalogError>), Error> {
    if home
        .check_database_files()?
        .is_none_or(|stat| stat.size == 0)
    {
        return Ok((None, None));
    }
    let copy = PrivateCopy::of(&home.dir, wait)?;
    let opened = copy.open().and_then(|catalog| {
        catalog.check_writable()?;
        Ok(catalog)
    });
    let (opened, why) = match opened {
        Ok(catalog) => (Ok(catalog), None),
        Err(why @ CatalogError::Newer { .. }) => return Err(why.into()),
        // A database with a damaged header or schema may still have readable rows.
        Err(why) => (copy.open_to_salvage(), Some(why)),
    };
    let old = opened.ok().map(|catalog| Old {
        catalog,
        _copy: copy,
    });
    Ok((old, why))
}
