use super::copy::PrivateCopy;
use super::open::Options;
use crate::catalog::{Catalog, CatalogError, HomeRow};
use crate::error::{Error, UsageError};
use crate::fsck::{self, FsckDepth, RebuildOptions, Rebuilt};
use crate::home::Home;
use crate::lock::Wait;

/// A database that is read while the file itself stays as it is.
struct Old {
    catalog: Catalog,
    _copy: PrivateCopy,
}

impl Options {
    /// Makes a new database from what can be read of the old one and from what is on disk; the old one is kept
    /// aside. It can be killed anywhere: the journal has the old database then, or the new one.
    ///
    /// # Errors
    /// [`Error::Usage`] when the database is sound, and it is not to be done anyway; [`Error::Unsupported`] for
    /// one of a newer version, which is left as it is; as the system says.
    pub fn rebuild(self, options: &RebuildOptions) -> Result<Rebuilt, Error> {
        let home = self.open_home()?;
        let mut force = options.force;
        loop {
            let rebuilt = self.rebuild_locked(&home, options, force)?;
            // Whoever comes first takes the new one.
            self.clone().work()?.close()?;
            match rebuilt {
                Some(rebuilt) => return Ok(rebuilt),
                None => force = true,
            }
        }
    }

    /// Makes the new database and sets the old one aside, while nobody commits; `None` if another one is there that
    /// is to be taken first: an earlier rebuild was killed when all was done but that, or is about to do it.
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

    /// Removes a new database that nobody takes any more, because the old one was worked with since: its rebuild
    /// was killed before it set that aside.
    pub(super) fn remove_stale_rebuilt(&self, home: &Home) -> Result<(), Error> {
        if !home.has_rebuilt_database()? {
            return Ok(());
        }
        let _lock = self.commit_lock(home, "remove a database that was not taken")?;
        // It may have been taken meanwhile.
        if home.has_rebuilt_database()? && !is_gone(home)? {
            home.remove_rebuilt_database()?;
        }
        Ok(())
    }
}

/// Whether there is no database, or one that is to be set aside by whoever comes first.
fn is_gone(home: &Home) -> Result<bool, Error> {
    match home.check_database_files()? {
        Some(seen) if seen.size > 0 => Ok(home.is_marked_damaged(seen.identity)?),
        _ => Ok(true),
    }
}

/// Opens the old database to read it, or says why that cannot be.
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
        // One whose header or schema is damaged may still have rows.
        Err(why) => (copy.open_to_salvage(), Some(why)),
    };
    let old = opened.ok().map(|catalog| Old {
        catalog,
        _copy: copy,
    });
    Ok((old, why))
}
