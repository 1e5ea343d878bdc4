//! Small files: a transaction, compared with writing the files one by one, which is neither atomic nor recorded.

use std::io::Write;

use atomic_write_file::AtomicWriteFile;
use camino::Utf8Path;
use rusqlite::Connection;
use tljournal::{Expect, Journal};

use crate::Fallible;
use crate::measure::{Report, pairs};

/// Durable commits of 2, 10 and 100 small files.
pub(crate) fn commits(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    for (count, rounds, goal) in [(2, 400, 1.5), (10, 100, 0.6), (100, 20, 0.25)] {
        let rounds = if smoke { 3 } else { rounds };
        let root = scratch.join(format!("small-{count}"));
        let peer = root.join("peer");
        std::fs::create_dir_all(&peer)?;
        let journal = Journal::open(&root)?;
        let times = pairs(
            rounds,
            |round| put(&journal, count, round),
            |round| {
                for n in 0..count {
                    let mut file = AtomicWriteFile::open(peer.join(format!("f{n}")))?;
                    file.write_all(text(n, round).as_bytes())?;
                    file.commit()?;
                }
                Ok(())
            },
        )?;
        journal.close()?;
        let what = format!("{count} small files, durably: atomic-write-file");
        report.compare(&what, times, goal);
    }
    Ok(())
}

/// The same two files again, compared with one synced commit of SQLite.
pub(crate) fn unchanged(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    let root = scratch.join("same");
    std::fs::create_dir_all(&root)?;
    let journal = Journal::open(&root)?;
    put(&journal, 2, 0)?;
    let peer = Connection::open(root.join("peer.db"))?;
    peer.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (v TEXT)",
    )?;
    let rounds = if smoke { 3 } else { 400 };
    let times = pairs(
        rounds,
        |_| put(&journal, 2, 0),
        |_| {
            Ok(peer
                .execute("INSERT INTO t VALUES ('a small row')", [])
                .map(drop)?)
        },
    )?;
    journal.close()?;
    report.compare(
        "2 small files again, unchanged: one synced commit",
        times,
        0.2,
    );
    Ok(())
}

/// Commits this many small files in one transaction.
pub(crate) fn put(journal: &Journal, count: usize, round: usize) -> Fallible<()> {
    let mut txn = journal.begin("bench");
    for n in 0..count {
        txn.put(format!("build/f{n}"), text(n, round), Expect::Any)?;
    }
    txn.prepare()?.commit()?;
    Ok(())
}

fn text(n: usize, round: usize) -> String {
    format!("file {n} of round {round}: {}\n", "x".repeat(150))
}
