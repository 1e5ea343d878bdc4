//! Finds the transactions that touched a place without reading the whole history.

use rusqlite::types::Value;

use super::codec::below;
use super::{Catalog, CatalogError};
use crate::model::Place;

/// This many of the latest transactions are read one by one, which finds the changes below a busy directory. Older
/// ones are found by the index of paths.
const LATEST: i64 = 500;

impl Catalog {
    /// Passes the numbers of the transactions that changed something at, above or below a place, latest first, until
    /// the callback stops.
    pub(super) fn each_touching(
        &self,
        place: &Place,
        before: Option<i64>,
        mut tell: impl FnMut(i64) -> Result<bool, CatalogError>,
    ) -> Result<(), CatalogError> {
        let before = before.unwrap_or(i64::MAX);
        let sql = "SELECT max(id) FROM txn WHERE id < ?1";
        let mut latest = self.conn.prepare_cached(sql)?;
        let latest: Option<i64> = latest.query_row([before], |row| row.get(0))?;
        let from = latest.unwrap_or(0).saturating_sub(LATEST);
        let (early, late) = (
            self.by_path(place, from)?,
            self.one_by_one(place, from, before)?,
        );
        for (sql, values) in [late, early] {
            let mut statement = self.conn.prepare_cached(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                if !tell(row.get(0)?)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads all changes of some transactions.
    pub(super) fn one_by_one(
        &self,
        place: &Place,
        from: i64,
        before: i64,
    ) -> Result<(String, Vec<Value>), CatalogError> {
        let above = above(place);
        let marks = vec!["?"; above.len()].join(", ");
        let sql = format!(
            "SELECT DISTINCT txn FROM change WHERE txn >= ? AND txn < ? AND +root = ?
             AND (path = ? OR path >= ? AND path < ? OR path IN ({marks}) AND op != 'parent')
             ORDER BY txn DESC"
        );
        let (first, last) = below(&place.path);
        let numbers = [from, before, self.root_of(place)?].map(Value::from);
        let own = [place.path.as_str().to_owned(), first, last];
        let texts = own.into_iter().chain(above).map(Value::from);
        Ok((sql, numbers.into_iter().chain(texts).collect()))
    }

    /// Uses the index for each path.
    pub(super) fn by_path(
        &self,
        place: &Place,
        before: i64,
    ) -> Result<(String, Vec<Value>), CatalogError> {
        let (first, last) = below(&place.path);
        let mut sql = "SELECT txn FROM change INDEXED BY change_path
                       WHERE root = ?1 AND path = ?3 AND txn < ?2
                       UNION SELECT txn FROM change INDEXED BY change_path
                       WHERE root = ?1 AND path >= ?4 AND path < ?5 AND txn < ?2"
            .to_owned();
        let numbers = [self.root_of(place)?, before].map(Value::from);
        let own = [place.path.as_str().to_owned(), first, last].map(Value::from);
        let mut values: Vec<_> = numbers.into_iter().chain(own).collect();
        for path in above(place) {
            values.push(path.into());
            let at = values.len();
            sql.push_str(&format!(
                " UNION SELECT txn FROM change INDEXED BY change_path
                 WHERE root = ?1 AND path = ?{at} AND txn < ?2 AND op != 'parent'"
            ));
        }
        sql.push_str(" ORDER BY 1 DESC");
        Ok((sql, values))
    }
}

/// The directories above a place, as rows name them.
fn above(place: &Place) -> Vec<String> {
    let above = place.path.ancestors().skip(1);
    above.map(|path| path.to_string()).collect()
}
