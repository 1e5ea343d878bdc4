//! A database forged by its owner, with a committed transaction that was never made.

use camino::Utf8Path;
use rusqlite::{Connection, params};
use tljournal::disk::{Dir, Disk};

/// A mode that gives everyone access and has set-id bits.
const OPEN: u32 = 0o4777;

/// Records that a committed transaction must change a path in the home, and its current state.
///
/// # Panics
/// When the database cannot be written, or the path does not exist.
pub fn forge(home: &Utf8Path, path: &str, op: &str, (before, after): (bool, bool)) {
    let dir = Dir::open(home, Disk::default()).expect("a home");
    let stat = dir.stat(path).expect("a path").expect("something there");
    let (kind, born) = (stat.kind.as_str(), stat.identity.born.to_string());
    let mtime = stat.mtime.to_string();
    let database = Connection::open(home.join(".state.db")).expect("a database");
    let last = "SELECT coalesce(max(commit_no), 0) + 1, coalesce(max(id), 0) + 1 FROM txn";
    let last = database.query_row(last, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
    let (commit, txn): (_, i64) = last.expect("transactions");
    let uuid = format!("01a22c31-a40b-757b-a228-{:012x}", 0xf566_b8a1_9100 + txn);
    let begun =
        "INSERT INTO txn (id, uuid, run, root, label, state, began_at, commit_no, committed_at)
                 SELECT ?1, ?2, (SELECT min(id) FROM run), (SELECT min(id) FROM root), 'forged', 'committed', ?3, ?4, ?3";
    database
        .execute(begun, params![txn, uuid, mtime, commit])
        .expect("a transaction");
    let change = "INSERT INTO change (txn, n, root, path, op, rebuildable, drift)
                  VALUES (?1, 0, 0, ?2, ?3, 0, 0)";
    database
        .execute(change, params![txn, path, op])
        .expect("a change");
    for (prefix, is_wanted, mode) in [("pre", before, stat.mode), ("new", after, OPEN)] {
        if is_wanted {
            let size = if kind == "directory" { 0 } else { stat.size };
            let image = format!(
                "UPDATE change SET {prefix}_kind = ?2, {prefix}_ino = ?3, {prefix}_born = ?4,
                 {prefix}_size = ?5, {prefix}_mode = ?6, {prefix}_mtime = ?7 WHERE txn = ?1"
            );
            let ino = stat.identity.ino as i64;
            let values = params![txn, kind, ino, born, size as i64, mode, "1.000000000"];
            database.execute(&image, values).expect("an image");
            if prefix == "pre" {
                let same = "UPDATE change SET pre_mtime = ?2 WHERE txn = ?1";
                database
                    .execute(same, params![txn, mtime])
                    .expect("its mtime");
            }
        }
    }
}
