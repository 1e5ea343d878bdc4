//! A project with entries of every kind, and its check.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tljournal::{
    Code, Finding, FsckDepth, FsckOptions, FsckReport, Journal, RelPath, Repair, RepairOptions,
    Severity,
};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{tools, tools_like};

/// A tree, files and links, in the home and outside; the content of some is retained, because they replaced it.
pub(crate) fn scene() -> World {
    let world = World::new();
    let journal = world.open();
    let kept = |text: &str| {
        Steps::new("kept")
            .put("build/kept.txt", text)
            .put("Project.lock", text)
    };
    let all = [
        Steps::new("one")
            .put("build/only.txt", "only here")
            .link("build/link", "only.txt"),
        kept("same").tree("build/tools", tools()),
        kept("other").tree("build/tools", tools_like("two", 0o755)),
        kept("same").tree("build/tools", tools()),
        Steps::new("alone").tree("build/alone", tools_like("alone", 0o755)),
    ];
    for steps in all {
        steps.try_commit(&journal).unwrap();
    }
    journal.close().unwrap();
    world
}

/// The findings of a check.
pub(crate) fn look(world: &World, depth: FsckDepth) -> (Vec<Finding>, FsckReport) {
    let options = FsckOptions {
        depth,
        ..FsckOptions::default()
    };
    look_with(world, &options)
}

pub(crate) fn look_with(world: &World, options: &FsckOptions) -> (Vec<Finding>, FsckReport) {
    let mut found = Vec::new();
    let mut told = |finding| {
        found.push(finding);
        ControlFlow::Continue(())
    };
    let report = world.options().fsck(options, &mut told).unwrap();
    (found, report)
}

/// The findings other than notices, with their paths.
pub(crate) fn wrong(found: &[Finding]) -> Vec<(Code, &str)> {
    let worse = found
        .iter()
        .filter(|finding| finding.severity() > Severity::Notice);
    worse
        .map(|finding| (finding.code, finding.path.as_str()))
        .collect()
}

/// Repairs the findings, naming these paths.
pub(crate) fn repair(world: &World, found: &[Finding], named: &[&str]) -> Vec<Repair> {
    let options = RepairOptions {
        paths: named
            .iter()
            .map(|path| RelPath::new(path).unwrap())
            .collect(),
        ..RepairOptions::default()
    };
    repair_with(world, found, &options)
}

pub(crate) fn repair_with(
    world: &World,
    found: &[Finding],
    options: &RepairOptions,
) -> Vec<Repair> {
    repair_by(world.open(), found, options)
}

pub(crate) fn repair_by(
    journal: Journal,
    found: &[Finding],
    options: &RepairOptions,
) -> Vec<Repair> {
    let mut repairs = Vec::new();
    let mut told = |repair| {
        repairs.push(repair);
        ControlFlow::Continue(())
    };
    assert!(journal.repair(found, options, &mut told).unwrap());
    journal.close().unwrap();
    repairs
}

/// Changes rows directly, ignoring references.
pub(crate) fn sql(world: &World, sql: &str) {
    let catalog = Connection::open(world.path("build/.state.db")).unwrap();
    catalog
        .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        .unwrap();
    catalog.execute_batch(sql).unwrap();
    drop(catalog);
    // Closing the last connection removes the log, which the journal never does.
    for name in ["build/.state.db-wal", "build/.state.db-shm"] {
        if !world.exists(name) {
            world.write(name, "");
        }
    }
}

/// Converts the database to the schema before retained content was recorded.
pub(crate) fn downgrade(world: &World) {
    let (path, old) = (
        world.path("build/.state.db"),
        world.outside().join("newer.db"),
    );
    fs::rename(&path, &old).unwrap();
    let catalog = Connection::open(&path).unwrap();
    for migration in [
        include_str!("../../../../migrations/0001_catalog.sql"),
        include_str!("../../../../migrations/0002_runs_and_vouchers.sql"),
    ] {
        catalog.execute_batch(migration).unwrap();
    }
    catalog
        .execute("ATTACH ?1 AS newer", [old.as_str()])
        .unwrap();
    let number = |pragma: &str| -> i64 {
        let told = catalog.query_row(pragma, [], |row| row.get(0));
        told.unwrap()
    };
    let application = number("PRAGMA newer.application_id");
    for table in [
        "home", "root", "run", "txn", "change", "manifest", "source", "entry", "event",
    ] {
        let names = format!("SELECT group_concat(name) FROM pragma_table_info('{table}', 'main')");
        let names: String = catalog.query_row(&names, [], |row| row.get(0)).unwrap();
        let copy = format!("INSERT INTO main.{table} ({names}) SELECT {names} FROM newer.{table}");
        catalog.execute_batch(&copy).unwrap();
    }
    let end = format!(
        "DETACH newer; PRAGMA application_id = {application}; PRAGMA user_version = 2;
         PRAGMA journal_mode = WAL"
    );
    catalog.execute_batch(&end).unwrap();
    drop(catalog);
    for name in ["build/.state.db-wal", "build/.state.db-shm"] {
        world.write(name, "");
    }
}

/// Overwrites the content of a file with the same length, and restores its mtime.
pub(crate) fn flip(world: &World, path: &str) {
    let path = world.path(path);
    let mtime = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    let writable = writable(&path);
    fs::write(&path, bytes).unwrap();
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(mtime)
        .unwrap();
    fs::set_permissions(&path, writable).unwrap();
}

/// The same without a visible write, as a failing disk does.
pub(crate) fn rot(world: &World, path: &str) {
    use std::os::unix::fs::MetadataExt;
    flip(world, path);
    let meta = fs::metadata(world.path(path)).unwrap();
    let inside = path.strip_prefix("build/").unwrap();
    let (secs, nanos) = (meta.ctime(), meta.ctime_nsec());
    sql(
        world,
        &format!("UPDATE entry SET ctime = '{secs}.{nanos:09}' WHERE path = '{inside}'"),
    );
}

/// Makes a file writable; returns its previous permissions.
fn writable(path: &camino::Utf8Path) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    let had = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    had
}

/// Changes an mtime.
pub(crate) fn date(world: &World, path: &str) {
    let file = File::open(world.path(path)).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    file.set_modified(then).unwrap();
}

pub(crate) fn chmod(world: &World, path: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(world.path(path), fs::Permissions::from_mode(mode)).unwrap();
}

/// The directory of the transaction with this number.
pub(crate) fn staged(world: &World, txn: i64) -> String {
    let catalog = Connection::open(world.path("build/.state.db")).unwrap();
    let id: String = catalog
        .query_row("SELECT uuid FROM txn WHERE id = ?1", [txn], |row| {
            row.get(0)
        })
        .unwrap();
    format!("build/.state/txn/{id}")
}
