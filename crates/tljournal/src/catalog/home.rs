use rusqlite::{OptionalExtension, Row, params};

use super::codec::{identity, signed};
use super::{Catalog, CatalogError};
use crate::ambient;
use crate::disk::Features;
use crate::model::Identity;

/// The home that the database belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HomeRow {
    pub(crate) identity: Identity,
    pub(crate) features: Features,
}

pub(super) const HOME_COLUMNS: &str = "ino, born, exchange, birth_times";

impl Catalog {
    /// Writes the whole database into one file, which is empty or does not exist, without deleted rows.
    pub(crate) fn pack_into(&self, path: &str) -> Result<(), CatalogError> {
        self.conn.execute("VACUUM INTO ?1", [path])?;
        Ok(())
    }

    /// The home that the database was created for; `None` in a new database.
    pub(crate) fn home(&self) -> Result<Option<HomeRow>, CatalogError> {
        let mut statement = self
            .conn
            .prepare_cached(&format!("SELECT {HOME_COLUMNS} FROM home"))?;
        statement
            .query_row([], |row| Ok(read_home(row)))
            .optional()?
            .transpose()
    }

    /// Records the home that the database belongs to.
    pub(crate) fn set_home(&self, home: HomeRow) -> Result<(), CatalogError> {
        self.conn.execute(
            "INSERT INTO home (id, ino, born, made_at, exchange, birth_times)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET ino = ?1, born = ?2, exchange = ?4, birth_times = ?5",
            params![
                signed(home.identity.ino),
                home.identity.born.to_string(),
                ambient::now().to_string(),
                home.features.exchange,
                home.features.birth_times,
            ],
        )?;
        Ok(())
    }

    /// Sets the root under which the opener's places are recorded.
    pub(crate) fn set_root(&mut self, root: Identity) {
        self.root = Some(root);
    }

    /// The row of the opener's root; 0 while it has none.
    pub(crate) fn own_root(&self) -> Result<i64, CatalogError> {
        if let (None, Some(root)) = (self.root_row.get(), self.root) {
            let sql = "SELECT id FROM root WHERE ino = ?1 AND born = ?2";
            let key = params![signed(root.ino), root.born.to_string()];
            let found = self
                .conn
                .prepare_cached(sql)?
                .query_row(key, |row| row.get(0));
            self.root_row.set(found.optional()?);
        }
        Ok(self.root_row.get().unwrap_or(0))
    }

    /// Uses the root of the last transaction as the opener's root, because the inodes of a copy are meaningless.
    pub(crate) fn adopt_latest_root(&self) -> Result<(), CatalogError> {
        let sql = "SELECT root FROM txn ORDER BY id DESC LIMIT 1";
        let latest = self.conn.query_row(sql, [], |row| row.get(0)).optional()?;
        self.root_row.set(latest);
        Ok(())
    }

    /// Inserts a row for a root if it has none.
    pub(crate) fn ensure_root(&self, root: Identity, path: &str) -> Result<(), CatalogError> {
        self.conn.execute(
            "INSERT OR IGNORE INTO root (ino, born, path) VALUES (?1, ?2, ?3)",
            params![signed(root.ino), root.born.to_string(), path],
        )?;
        Ok(())
    }
}

pub(super) fn read_home(row: &Row<'_>) -> Result<HomeRow, CatalogError> {
    Ok(HomeRow {
        identity: identity(row.get(0)?, &row.get::<_, String>(1)?)?,
        features: Features {
            exchange: row.get(2)?,
            birth_times: row.get(3)?,
        },
    })
}
