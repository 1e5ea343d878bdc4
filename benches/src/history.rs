//! Opening with a long history, compared with opening with none.

use camino::Utf8Path;
use rusqlite::Connection;
use tljournal::Journal;

use crate::Fallible;
use crate::measure::{Report, pairs};
use crate::small::put;

/// Opens a journal with a million past transactions, and one with a single one.
pub(crate) fn open(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    let count = if smoke { 10_000 } else { 1_000_000 };
    let (long, short) = (scratch.join("long"), scratch.join("short"));
    for root in [&long, &short] {
        std::fs::create_dir_all(root)?;
        let journal = Journal::open(root)?;
        put(&journal, 2, 0)?;
        journal.close()?;
    }
    lengthen(&long, count)?;
    let rounds = if smoke { 3 } else { 200 };
    let open = |root: &Utf8Path| -> Fallible<()> { Ok(Journal::open(root)?.close()?) };
    let times = pairs(rounds, |_| open(&long), |_| open(&short))?;
    report.compare(
        &format!("open with {count} past transactions: with one"),
        times,
        1.5,
    );
    Ok(())
}

/// Copies the rows of the first transaction.
fn lengthen(root: &Utf8Path, count: u32) -> Fallible<()> {
    let catalog = Connection::open(root.join("build/.state.db"))?;
    catalog.execute_batch(&format!(
        "PRAGMA synchronous = OFF;
         BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS
             (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= {count}) SELECT i FROM n;
         INSERT INTO txn (id, uuid, run, root, label, state, began_at, ended_at, commit_no)
             SELECT i, printf('%s-%08x', uuid, i), run, root, label, state, began_at, ended_at, i
             FROM n, txn WHERE txn.id = 1;
         INSERT INTO change (txn, n, root, path, op, rebuildable, drift)
             SELECT i, change.n, root, path, op, rebuildable, drift
             FROM n, change WHERE change.txn = 1;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    ))?;
    Ok(())
}
