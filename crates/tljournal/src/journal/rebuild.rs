use super::inspect::readable_copy;
use super::open::Options;
use crate::catalog::{Catalog, CatalogError, HomeRow};
use crate::error::{Damage, Error, UsageError};
use crate::fsck::{self, RebuildOptions, Rebuilt};
use crate::home::Home;
use crate::model::Stat;

/// A database that is read while the file itself stays as it is.
struct Old {
    catalog: Catalog,
    _copy: tempfile::TempDir,
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
        let is_missing = |seen: &Option<Stat>| seen.as_ref().is_none_or(|stat| stat.size == 0);
        let is_made = is_missing(&home.check_database_files()?) && home.has_rebuilt_database()?;
        if is_made {
            // An earlier one was ended when all was done but this.
            self.clone().work()?.close()?;
        }
        let seen = home.check_database_files()?;
        let (old, why) = open_old(&home)?;
        let marked = match &seen {
            Some(seen) => home.is_marked_damaged(seen.identity)?,
            None => false,
        };
        let sound = |old: &Old| fsck::is_sound(&old.catalog).unwrap_or(false);
        if !options.force && !is_made && !marked && old.as_ref().is_some_and(sound) {
            return Err(UsageError::Sound.into());
        }
        let identity = home.home_stat.identity;
        let mut rebuilt = {
            let _lock = self.commit_lock(&home, "rebuild the database")?;
            let features = home.try_features()?;
            let row = HomeRow { identity, features };
            let old = old.as_ref().map(|old| &old.catalog);
            fsck::make_rebuilt(&home, row, old, options)?
        };
        drop(old);
        if let Some(seen) = seen {
            let why = why.unwrap_or(CatalogError::Corrupt("it was rebuilt".to_owned()));
            rebuilt.kept = self.set_database_aside(Some(seen.identity), &why)?;
        }
        // Whoever comes first takes the new one.
        self.work()?.close()?;
        Ok(rebuilt)
    }
}

/// Opens the old database to read it, or says why that cannot be.
fn open_old(home: &Home) -> Result<(Option<Old>, Option<CatalogError>), Error> {
    if home
        .check_database_files()?
        .is_none_or(|stat| stat.size == 0)
    {
        return Ok((None, None));
    }
    match readable_copy(&home.dir) {
        Ok((catalog, _copy)) => Ok((Some(Old { catalog, _copy }), None)),
        Err(Error::Catalog(why) | Error::Damaged(Damage::Catalog { source: why, .. })) => {
            Ok((None, Some(why)))
        }
        Err(error) => Err(error),
    }
}
