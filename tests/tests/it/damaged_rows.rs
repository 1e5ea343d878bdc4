//! A row with a value that the journal never writes, in every column of every table: commands that look read the other
//! rows, and once a command has worked no command fails.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use tljournal::{
    Error, EventFilter, Finding, FsckDepth, FsckOptions, Journal, Limits, Options, RelPath,
    RepairOptions, Retention, RunFilter, Timestamp, TxnFilter, UndoOptions,
};
use tljournal_testkit::{Steps, TreeSpec, World};

use crate::foreign_database::{DATABASE, put, scene};

/// The numbers of the transactions: each is looked at, and some are undone.
const TXNS: std::ops::RangeInclusive<i64> = 1..=6;
const UNDONE: [i64; 2] = [2, 4];

/// What refuses a database on purpose.
const FEATURES: [&str; 2] = ["home.incompat", "home.compat_read"];

/// Rows of tables that a short history leaves empty.
const MORE: &str = "INSERT INTO voucher (run, root, path, digest, since)
        SELECT uuid, 0, 'tag', zeroblob(32), '1.0' FROM run LIMIT 1;
    INSERT INTO leftover (path, uid, boot, at, reason) VALUES ('aside/x', 0, 'x', '1.0', 'x');
    INSERT INTO event (at, run, txn, kind, path, detail) VALUES ('1.0', 1, 1, 'waiting', 'x', 'x');";

fn tree(content: &str) -> TreeSpec {
    let tree = TreeSpec::new(0o755, Timestamp::new(1, 0));
    let file =
        |tree: TreeSpec, name, content: &str| tree.file(name, 0o644, Timestamp::new(2, 0), content);
    file(file(tree, "f", "x"), "g", content)
}

fn world() -> World {
    let world = scene();
    let journal = world.open();
    let spec = tree("y");
    for steps in [
        Steps::new("tree").tree("build/t", spec),
        Steps::new("gone").remove("build/a"),
    ] {
        steps.try_commit(&journal).unwrap();
    }
    journal.close().unwrap();
    sql(&world, MORE).unwrap();
    world
}

fn sql(world: &World, sql: &str) -> rusqlite::Result<usize> {
    let database = Connection::open(world.path(DATABASE))?;
    database.execute_batch("PRAGMA foreign_keys = OFF")?;
    database.execute_batch(sql)?;
    Ok(database.changes() as usize)
}

/// Statements that give one column of one row a value that the journal never writes.
fn mutations() -> Vec<String> {
    let world = world();
    let database = Connection::open(world.path(DATABASE)).unwrap();
    let texts = |sql: &str| -> Vec<(String, String, bool)> {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    let tables = texts("SELECT name, '', 0 FROM sqlite_schema WHERE type = 'table'");
    let mut all = Vec::new();
    for (table, ..) in tables {
        let columns = texts(&format!(
            "SELECT name, type, pk FROM pragma_table_info('{table}')"
        ));
        let keys: Vec<_> = columns.iter().filter(|(.., key)| *key).collect();
        let keys: Vec<_> = keys.iter().map(|(name, ..)| name.as_str()).collect();
        let keys = keys.join(", ");
        for (column, kind, _) in &columns {
            if FEATURES.contains(&format!("{table}.{column}").as_str()) {
                continue;
            }
            let values: &[&str] = match kind.as_str() {
                "TEXT" => &["'x'", "CAST(x'ff' AS TEXT)", "NULL"],
                "INTEGER" => &["-1", "9223372036854775807", "NULL"],
                _ => &["x'00'", "x''", "NULL"],
            };
            for value in values {
                all.push(format!(
                    "UPDATE {table} SET {column} = {value} WHERE ({keys}) IN
                     (SELECT {keys} FROM {table} ORDER BY {keys} LIMIT 1 OFFSET
                     (SELECT count(*) / 2 FROM {table}))"
                ));
            }
        }
    }
    all
}

/// What failed, unless what was asked for is refused.
#[derive(Default)]
struct Failures(BTreeMap<String, String>);

impl Failures {
    fn note<T>(&mut self, what: &str, done: Result<T, Error>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(Error::Usage(_) | Error::Conflict(_)) => None,
            Err(error) => {
                self.0.insert(what.to_owned(), error.to_string());
                None
            }
        }
    }
}

fn path(path: &str) -> RelPath {
    path.parse().unwrap()
}

/// Looks at everything that there is to look at.
fn look(options: Options) -> Failures {
    let mut failed = Failures::default();
    let Some(inspection) = failed.note("inspect", options.inspect()) else {
        return failed;
    };
    let history = inspection.history();
    let touching = TxnFilter {
        path: Some(path("build/t")),
        ..TxnFilter::default()
    };
    failed.note("status", history.status());
    failed.note("log", history.transactions(&TxnFilter::default()));
    failed.note("log --path", history.transactions(&touching));
    failed.note("runs", history.runs(&RunFilter::default()));
    failed.note("events", history.events(&EventFilter::default()));
    failed.note("vouchers", history.vouchers());
    failed.note("gc --dry-run", history.plan_gc(&nothing()));
    failed.note("verify", inspection.verify("build/t", true));
    for at in ["build/a", "build/t", "build/t/f", "build/dir/b"] {
        failed.note("blame", history.blame(&path(at), 9));
        failed.note("entry", history.entry(at));
        failed.note("manifest", history.manifest(at));
    }
    for number in TXNS {
        failed.note("changes", history.changes(number));
        let found = failed.note("show", history.transaction(&number.to_string()));
        if let Some(txn) = found.flatten() {
            failed.note("diff", history.diff(number));
            failed.note("undo --dry-run", history.plan_undo(&txn, &undoing()));
            let planned = history.plan_restore(&path("build/t"), &txn, &undoing());
            failed.note("restore --dry-run", planned);
        }
    }
    failed
}

fn nothing() -> Retention {
    Retention {
        kept: Limits::NOTHING,
        ..Retention::default()
    }
}

fn undoing() -> UndoOptions {
    UndoOptions::default()
}

fn repair(world: &World, journal: &Journal) -> Result<(), Error> {
    let options = FsckOptions {
        depth: FsckDepth::Full,
        ..FsckOptions::default()
    };
    let mut findings = Vec::new();
    let mut told = |finding: Finding| {
        findings.push(finding);
        ControlFlow::Continue(())
    };
    world.options().fsck(&options, &mut told)?;
    let told = &mut |_| ControlFlow::Continue(());
    journal
        .repair(&findings, &RepairOptions::default(), told)
        .map(drop)
}

/// Does everything that can be done, each with a journal of its own.
fn work(world: &World, content: &str) -> Failures {
    let mut failed = Failures::default();
    let spec = || tree(content);
    let mut with = |what: &str, act: &dyn Fn(&Journal) -> Result<(), Error>| {
        if let Some(journal) = failed.note("open", world.options().work()) {
            failed.note(what, act(&journal));
            failed.note(what, journal.close());
        }
    };
    with("put", &|journal| {
        let steps = Steps::new("put").put("build/a", content);
        steps.try_commit(journal).map(drop)
    });
    with("install", &|journal| {
        let steps = Steps::new("tree").tree("build/t", spec());
        steps.try_commit(journal).map(drop)
    });
    with("recover", &|journal| journal.recover().map(drop));
    with("repair", &|journal| repair(world, journal));
    for number in UNDONE {
        with(
            "undo",
            &|journal| match journal.history().transaction(&number.to_string())? {
                Some(txn) => journal.undo(&txn, &undoing()).map(drop),
                None => Ok(()),
            },
        );
    }
    with("gc", &|journal| journal.gc(&nothing()).map(drop));
    failed
}

fn try_one(mutation: &str) -> Result<(), String> {
    let world = world();
    if !matches!(sql(&world, mutation), Ok(1)) {
        return Ok(());
    }
    let seen = look(world.options()).0;
    // A manifest is damaged until its tree is installed again.
    if !seen.is_empty() && !mutation.contains("UPDATE manifest") {
        return Err(format!("looking: {seen:?}"));
    }
    let first = work(&world, "three").0;
    let second = work(&world, "four").0;
    if !second.is_empty() {
        return Err(format!("first {first:?}, then {second:?}"));
    }
    let seen = look(world.options()).0;
    match seen.is_empty() {
        true => Ok(()),
        false => Err(format!("afterwards: {seen:?}")),
    }
}

/// `UPDATE txn SET ended_at = 'x'` made `gc` fail for ever, a negative pid `log`, a negative number of a change
/// `blame`: what another command had worked meanwhile made no difference, and no mark was left.
#[test]
fn g12_no_value_of_a_row_makes_a_command_fail_for_ever() {
    let all = mutations();
    assert!(all.len() > 200, "{}", all.len());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let try_next = || {
        while let Some(mutation) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let tried = catch_unwind(AssertUnwindSafe(|| try_one(mutation)));
            let why = match tried {
                Ok(Ok(())) => continue,
                Ok(Err(why)) => why,
                Err(_) => "it panicked".to_owned(),
            };
            failed.lock().unwrap().push(format!("{mutation}: {why}"));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(try_next);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What `fsck` names a row that cannot be read is mended in place: the other rows, and what is kept, stay.
#[test]
fn g9_a_repair_removes_the_rows_that_cannot_be_read() {
    let world = world();
    put(&world, "build/dir/b", "c");
    sql(&world, "UPDATE event SET at = 'x' WHERE path = 'x'").unwrap();
    let journal = world.open();
    repair(&world, &journal).unwrap();
    journal.close().unwrap();
    assert_eq!(crate::foreign_database::errors(&world), 0);
    let journal = world.open();
    assert_eq!(journal.recovery().database_set_aside, None);
    let kept = TxnFilter {
        kept: true,
        ..TxnFilter::default()
    };
    assert!(journal.history().transactions(&kept).unwrap().len() > 2);
}
