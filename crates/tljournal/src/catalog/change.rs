use rusqlite::{Row, params};

use super::codec::{bad, digest, image, op, place, signed};
use super::{Catalog, CatalogError};
use crate::model::{Change, Durability, Image, Place, RelPath, Spot};

pub(super) const COLUMNS: &str = "n, root, path, op, pre_kind, pre_ino, pre_born, pre_size, pre_mode, pre_mtime,
                       new_kind, new_ino, new_born, new_size, new_mode, new_mtime, digest, target, beside,
                       rebuildable, drift";

impl Catalog {
    /// Records the changes of a transaction.
    pub(crate) fn insert_changes(&self, txn: i64, changes: &[Change]) -> Result<(), CatalogError> {
        let mut statement = self.conn.prepare_cached(
            "INSERT OR REPLACE INTO change (txn, n, root, path, op, pre_kind, pre_ino, pre_born, pre_size,
             pre_mode, pre_mtime, new_kind, new_ino, new_born, new_size, new_mode, new_mtime, digest,
             target, beside, rebuildable, drift) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
             ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
        )?;
        for change in changes {
            let (pre, new) = (Columns::of(change.pre), Columns::of(change.new));
            let beside = match &change.spot {
                Spot::Home => None,
                Spot::Beside(dir) => Some(dir.as_ref().map_or("", RelPath::as_str)),
            };
            statement.execute(params![
                txn,
                change.n,
                self.root_of(&change.place)?,
                change.place.path.as_str(),
                change.op.as_str(),
                pre.kind,
                pre.ino,
                pre.born,
                pre.size,
                pre.mode,
                pre.mtime,
                new.kind,
                new.ino,
                new.born,
                new.size,
                new.mode,
                new.mtime,
                change
                    .digest
                    .as_ref()
                    .map(|digest| digest.as_bytes().as_slice()),
                change.target,
                beside,
                change.durability == Durability::Rebuildable,
                change.drift,
            ])?;
        }
        Ok(())
    }

    /// The changes of a transaction, in order; `None` if one of them is below another root.
    pub(crate) fn changes(&self, txn: i64) -> Result<Option<Vec<Change>>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM change WHERE txn = ?1 ORDER BY n");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([txn])?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            match self.read_change(row)? {
                Some(change) => changes.push(change),
                None => return Ok(None),
            }
        }
        Ok(Some(changes))
    }

    /// The places that a transaction changes, without those below another root.
    pub(crate) fn places(&self, txn: i64) -> Result<Vec<Place>, CatalogError> {
        let sql = "SELECT root, path FROM change WHERE txn = ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([txn])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let path: String = row.get(1)?;
            found.extend(place(row.get(0)?, &path, self.own_root()?)?);
        }
        Ok(found)
    }

    pub(super) fn read_change(&self, row: &Row<'_>) -> Result<Option<Change>, CatalogError> {
        let path: String = row.get(2)?;
        let place = place(row.get(1)?, &path, self.own_root()?)?;
        let spot = match row.get::<_, Option<String>>(18)?.as_deref() {
            None => Spot::Home,
            Some("") => Spot::Beside(None),
            Some(dir) => Spot::Beside(Some(RelPath::new(dir).map_err(bad)?)),
        };
        let (n, op) = (row.get(0)?, op(row, 3)?);
        let (pre, new) = (image(row, 4)?, image(row, 10)?);
        let (digest, target) = (digest(row.get(16)?)?, row.get(17)?);
        let durability = match row.get(19)? {
            true => Durability::Rebuildable,
            false => Durability::Durable,
        };
        let drift = row.get(20)?;
        Ok(place.map(|place| Change {
            n,
            place,
            op,
            pre,
            new,
            digest,
            target,
            spot,
            durability,
            drift,
        }))
    }
}

/// An image as six columns, all NULL if there is no image.
#[derive(Default)]
struct Columns {
    kind: Option<&'static str>,
    ino: Option<i64>,
    born: Option<String>,
    size: Option<i64>,
    mode: Option<u32>,
    mtime: Option<String>,
}

impl Columns {
    fn of(image: Option<Image>) -> Self {
        let Some(image) = image else {
            return Self::default();
        };
        Self {
            kind: Some(image.kind.as_str()),
            ino: Some(signed(image.identity.ino)),
            born: Some(image.identity.born.to_string()),
            size: Some(signed(image.size)),
            mode: Some(image.mode),
            mtime: Some(image.mtime.to_string()),
        }
    }
}
