//! Checks whether a database has a schema that this version knows, by the text of the schema alone, before any
//! statement evaluates it.

use rusqlite::Connection;

use super::sql_text::{Table, Token, is_plain, tokens};
use super::{CatalogError, EMPTY};
use crate::model::Hasher;

/// The migrations, oldest first; append only.
pub(super) const MIGRATIONS: [&str; 5] = [
    include_str!("../../migrations/0001_catalog.sql"),
    include_str!("../../migrations/0002_runs_and_vouchers.sql"),
    include_str!("../../migrations/0003_history.sql"),
    include_str!("../../migrations/0004_facts.sql"),
    include_str!("../../migrations/0005_leftovers.sql"),
];

/// The digest of the text of the newest schema. A database with this digest needs no further check when it is opened.
const NEWEST: &str = "sha256:2c397d8ab1eb9561663fab40d5e45e995defd914db7c6adabef9bae59551d16d";

/// The largest number of tables, indexes and other objects that are read. This version has 30.
const OBJECTS_MAX: usize = 500;

/// A table, index, view or trigger of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    kind: String,
    name: String,
    table: String,
    /// `None` for an index created by a constraint.
    sql: Option<String>,
    /// Whether it has pages of its own, as tables and indexes do.
    stored: bool,
}

/// The result of comparing a schema with the known ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The database is empty.
    Empty,
    /// The schema is known, or known with additions, after these statements have run; none of them touches a row.
    Ours(Vec<String>),
    /// None of its tables is known.
    Foreign,
    /// A known table is missing or different.
    Damaged(String),
}

/// All objects of the schema, by name.
pub(super) fn objects(conn: &Connection) -> Result<Vec<Object>, CatalogError> {
    let sql = "SELECT type, name, tbl_name, sql, rootpage FROM sqlite_schema ORDER BY name, type";
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(Object {
            kind: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            sql: row.get(3)?,
            stored: row.get::<_, Option<i64>>(4)?.is_some_and(|page| page > 0),
        })
    })?;
    let found = rows.take(OBJECTS_MAX + 1).collect::<Result<Vec<_>, _>>()?;
    match found.len() > OBJECTS_MAX {
        true => Err(CatalogError::Schema("it has too many tables".to_owned())),
        false => Ok(found),
    }
}

/// Compares a schema with the known ones. `version` is the number that the database claims.
pub(super) fn standing(found: &[Object], version: i64) -> Result<Standing, CatalogError> {
    let newest = MIGRATIONS.len();
    if found.is_empty() {
        return Ok(Standing::Empty);
    }
    if version == newest as i64 && digest(found) == NEWEST {
        return Ok(Standing::Ours(Vec::new()));
    }
    let all = known()?;
    let last = all.last().map(Vec::as_slice).unwrap_or_default();
    let claimed = usize::try_from(version).map_or(newest, |version| version.min(newest));
    let candidates = std::iter::once(claimed.max(1)).chain((1..=newest).rev());
    let mut damage = None;
    for candidate in candidates {
        let known = &all[candidate - 1];
        if let Some(why) = differing(found, known) {
            damage = damage.or(Some(why));
            continue;
        }
        // A candidate that lacks something which a later migration adds is the wrong one.
        if candidate < newest && has_more_of(found, known, last) {
            continue;
        }
        let mut mends = mends(found, known);
        // A newer version may have added to the schema; no version of the journal writes any other number.
        let is_newer = version > candidate as i64 && candidate == newest;
        if version != candidate as i64 && !is_newer {
            mends.push(format!("PRAGMA user_version = {candidate}"));
        }
        return Ok(Standing::Ours(mends));
    }
    let ours = |object: &&Object| last.iter().any(|known| known.name == object.name);
    Ok(match found.iter().filter(ours).count() {
        0 => Standing::Foreign,
        _ => Standing::Damaged(damage.unwrap_or_else(|| EMPTY.to_owned())),
    })
}

/// Whether the feature columns can be read.
pub(super) fn has_features(found: &[Object]) -> bool {
    let home = found
        .iter()
        .find(|object| object.name == "home" && object.stored);
    let sql = home.and_then(|home| home.sql.as_deref());
    let names = ["incompat", "compat_read"];
    sql.is_some_and(|sql| is_plain(sql) && names.iter().all(|name| sql.contains(name)))
}

/// The schema after each migration.
fn known() -> Result<Vec<Vec<Object>>, CatalogError> {
    let conn = Connection::open_in_memory()?;
    let after = |sql: &&str| {
        conn.execute_batch(sql)?;
        objects(&conn)
    };
    MIGRATIONS.iter().map(after).collect()
}

/// Why the tables cannot be used; `None` if every known table exists, at most with additions.
fn differing(found: &[Object], known: &[Object]) -> Option<String> {
    let is_table = |object: &&Object| object.kind == "table" && !is_of_sqlite(object);
    for table in known.iter().filter(is_table) {
        let name = &table.name;
        let Some(own) = found.iter().find(|own| own.name.eq_ignore_ascii_case(name)) else {
            return Some(format!("the table {name} is missing"));
        };
        let parse = |object: &Object| Table::parse(object.sql.as_deref()?);
        let extends = match (parse(own), parse(table)) {
            (Some(own), Some(table)) => own.extends(&table),
            _ => false,
        };
        if !extends || !own.stored || own.kind != "table" {
            return Some(format!("the table {name} differs from the known schema"));
        }
    }
    let is_known = |own: &Object| known.iter().any(|known| known.name == own.name);
    for own in found.iter().filter(is_table).filter(|own| !is_known(own)) {
        if !own.stored || !own.sql.as_deref().is_some_and(is_plain) {
            let name = own.name.escape_debug();
            return Some(format!(
                "the table {name} of another program computes something"
            ));
        }
    }
    None
}

/// Whether a schema holds a table or column of the last known schema that this known one lacks.
fn has_more_of(found: &[Object], known: &[Object], last: &[Object]) -> bool {
    let table = |all: &[Object], name: &str| {
        let named = all.iter().find(|object| object.name == name);
        named.and_then(|object| Table::parse(object.sql.as_deref()?))
    };
    let tables = last.iter().filter(|object| object.kind == "table");
    tables.into_iter().any(|object| {
        let [own, known, last] = [found, known, last].map(|all| table(all, &object.name));
        match (own, known, last) {
            (Some(own), Some(known), Some(last)) => own.has_more_of(&known, &last),
            (own, known, _) => own.is_some() && known.is_none(),
        }
    })
}

/// The statements that make the indexes those of the known schema and drop objects that may compute something.
fn mends(found: &[Object], known: &[Object]) -> Vec<String> {
    let mut mends = Vec::new();
    let sql_of = |object: &Object| object.sql.as_deref().map(tokens);
    for own in found.iter().filter(|own| own.kind != "table") {
        let is_right = match known.iter().find(|known| known.name == own.name) {
            Some(known) => own.kind == known.kind && sql_of(own) == sql_of(known),
            // An index of a newer version, or one that a person added, only costs time.
            None => {
                own.kind == "index" && !refuses_rows(own) && own.sql.as_deref().is_none_or(is_plain)
            }
        };
        if !is_right {
            let kind = match own.kind.as_str() {
                "view" => "VIEW",
                "trigger" => "TRIGGER",
                _ => "INDEX",
            };
            let name = own.name.replace('"', "\"\"");
            mends.push(format!("DROP {kind} \"{name}\""));
        }
    }
    for index in known.iter().filter(|known| known.kind == "index") {
        let is_there = |own: &Object| own.name == index.name && sql_of(own) == sql_of(index);
        if !found.iter().any(is_there) {
            mends.extend(index.sql.clone());
        }
    }
    mends
}

/// Whether an index is unique.
fn refuses_rows(index: &Object) -> bool {
    let words = index.sql.as_deref().map(tokens).unwrap_or_default();
    words.get(1) == Some(&Token::Word("unique".to_owned()))
}

/// Whether SQLite creates it itself, as for `ANALYZE`.
fn is_of_sqlite(object: &Object) -> bool {
    object.name.starts_with("sqlite_")
}

/// The digest of all objects of a schema.
fn digest(objects: &[Object]) -> String {
    let mut hasher = Hasher::default();
    for object in objects {
        let Object {
            kind,
            name,
            table,
            sql,
            ..
        } = object;
        for text in [kind, name, table, sql.as_ref().unwrap_or(name)] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&[u8::from(object.stored), u8::from(sql.is_some())]);
    }
    hasher.finish().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_schema_needs_no_closer_look() {
        let newest = known().unwrap().pop().unwrap();
        assert_eq!(digest(&newest), NEWEST, "write this digest there");
    }

    #[test]
    fn each_known_schema_is_recognized_with_any_version_number() {
        for (at, schema) in (1..).zip(known().unwrap()) {
            assert_eq!(standing(&schema, at).unwrap(), Standing::Ours(Vec::new()));
            for claimed in [-1, 0, i64::from(i32::MIN)] {
                let mend = vec![format!("PRAGMA user_version = {at}")];
                assert_eq!(
                    standing(&schema, claimed).unwrap(),
                    Standing::Ours(mend),
                    "{at}"
                );
            }
        }
        let newest = known().unwrap().pop().unwrap();
        assert_eq!(standing(&newest, 99).unwrap(), Standing::Ours(Vec::new()));
        assert_eq!(standing(&[], 0).unwrap(), Standing::Empty);
    }
}
