use crate::catalog::{Catalog, CatalogError};
use crate::engine::{Store, sqlite_turn};
use crate::error::Error;
use crate::home::{Home, hold_index};
use crate::lock::{DbLock, Wait};
use crate::model::Stat;

/// Opens the database by the real path of the open home, reads something in the snapshot in which its schema was
/// checked, and checks that it is the expected file.
///
/// # Errors
/// [`Error::Replaced`] when the file was replaced; those of opening and reading.
pub(super) fn open_store<T>(
    home: &Home,
    expected: &Stat,
    wait: Wait<'_>,
    read: impl Fn(&Catalog) -> Result<T, CatalogError>,
) -> Result<(Store, T), Error> {
    let lock = DbLock::open(&home.locks)?;
    let path = home.database_path()?;
    hold_index(&home.dir)?;
    let read = |catalog: &mut Catalog| {
        catalog.set_root(home.root_stat.identity);
        read(catalog)
    };
    let opened = sqlite_turn(&home.dir, wait, || Ok(Catalog::open_and(&path, read)?));
    // The result is valid only if the file is still the same.
    let files = home.database_files()?;
    if files.database != expected.identity {
        return Err(Error::Replaced {
            path: home.dir.path().to_string(),
        });
    }
    let (catalog, read) = opened?;
    let store = Store {
        catalog,
        lock,
        files,
    };
    Ok((store, read))
}
