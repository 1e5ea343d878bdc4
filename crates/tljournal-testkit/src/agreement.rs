use std::ops::ControlFlow;

use camino::Utf8Path;
use rusqlite::{Connection, OpenFlags};
use tljournal::{
    Code, Finding, FsckDepth, FsckOptions, FsckReport, Image, Journal, Kind, Severity, Timestamp,
};

use crate::script::Steps;
use crate::snapshot::{Snapshot, What};
use crate::world::{World, explain};

/// Compares the catalog's entries for the paths of a transaction with the disk: kind, size, mode, mtime, inode and
/// content. Returns one line for each difference.
#[must_use]
pub fn check_agreement(world: &World, journal: &Journal, steps: &Steps) -> Vec<String> {
    let mut wrong = Vec::new();
    let disk = world.snapshot();
    for path in steps.paths() {
        if let Err(why) = check_path(world, journal, &disk, path) {
            wrong.push(format!("the catalog does not agree about {path:?}: {why}"));
        }
    }
    wrong
}

/// Checks that an unused journal is at rest: nothing is staged or unfinished, a recovery has nothing to do and
/// changes nothing, and a check reports nothing about the journal's own files. Returns one line for each problem.
#[must_use]
pub fn check_at_rest(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let before = world.snapshot();
    match world.try_open() {
        Err(error) => wrong.push(format!(
            "the journal cannot be opened again: {}",
            explain(&error)
        )),
        Ok(journal) => {
            if !journal.recovery().is_empty() {
                let did = journal.recovery();
                wrong.push(format!("a second recovery still had work: {did:?}"));
            }
            match journal.history().status() {
                Ok(status) if status.unfinished.is_empty() && status.stuck.is_empty() => {}
                told => wrong.push(format!("the journal is not at rest: {told:?}")),
            }
        }
    }
    wrong.extend(world.snapshot().differences(&before));
    let left = world.left_in_staging();
    if !left.is_empty() {
        wrong.push(format!("left over in staging: {left:?}"));
    }
    wrong.extend(found_by_fsck(world, FsckDepth::Quick, is_own).0);
    wrong
}

/// Checks an unused journal completely, including the content that it installed and that no other program changed.
/// Returns one line for each problem.
#[must_use]
pub fn check_clean(world: &World) -> Vec<String> {
    // Entries that a case planted among the journal's own files stay until they are repaired.
    let (mut found, report) =
        found_by_fsck(world, FsckDepth::Default, |code| code != Code::StateStray);
    let unchecked = report.iter().flat_map(|report| &report.unchecked);
    found.extend(unchecked.map(|what| format!("fsck did not check {what}")));
    found
}

/// The findings of a check that are not notices.
fn found_by_fsck(
    world: &World,
    depth: FsckDepth,
    counts: impl Fn(Code) -> bool,
) -> (Vec<String>, Option<FsckReport>) {
    let mut found = Vec::new();
    let mut told = |finding: Finding| {
        if finding.severity() > Severity::Notice && counts(finding.code) {
            let (path, wanted, is) = (&finding.path, &finding.expected, &finding.actual);
            found.push(format!(
                "fsck: {} `{path}`: {wanted:?}, {is:?}",
                finding.code
            ));
        }
        ControlFlow::Continue(())
    };
    let options = FsckOptions {
        depth,
        ..FsckOptions::default()
    };
    match world.options().fsck(&options, &mut told) {
        Ok(report) => (found, Some(report)),
        Err(error) => {
            found.push(format!(
                "the journal cannot be checked: {}",
                explain(&error)
            ));
            (found, None)
        }
    }
}

/// Whether a code is about the journal's own files, not about content that other programs may have changed.
fn is_own(code: Code) -> bool {
    !matches!(
        code,
        Code::Changed
            | Code::Missing
            | Code::Extra
            | Code::WrongKind
            | Code::WrongSize
            | Code::WrongMode
            | Code::WrongMtime
            | Code::WrongTarget
            | Code::WrongLinks
            | Code::WrongContent
            // Entries that a case planted stay until they are repaired.
            | Code::StateStray
    )
}

/// Checks with SQLite that the database of an unused journal is intact. Returns one line for each problem.
#[must_use]
pub fn check_database(world: &World) -> Vec<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let told = Connection::open_with_flags(world.path("build/.state.db"), flags).and_then(|conn| {
        let mut lines = conn.prepare("PRAGMA integrity_check")?;
        let lines = lines.query_map([], |row| row.get::<_, String>(0))?;
        lines.collect::<Result<Vec<_>, _>>()
    });
    match told {
        Ok(lines) if lines == ["ok"] => Vec::new(),
        Ok(lines) => lines,
        Err(error) => vec![format!("the database cannot be checked: {error}")],
    }
}

fn check_path(world: &World, journal: &Journal, disk: &Snapshot, path: &str) -> Result<(), String> {
    let entry = journal
        .history()
        .entry(path)
        .map_err(|error| explain(&error))?;
    let (entry, seen) = match (entry, disk.get(path)) {
        (None, None) => return Ok(()),
        (Some(entry), Some(seen)) => (entry, seen),
        (Some(_), None) => return Err("it has an entry, but is missing".to_owned()),
        // Content older than the journal has no entry.
        (None, Some(_)) => return Ok(()),
    };
    let mut stat = journal_stat(world, path)?;
    if entry.image.identity.born == Timestamp::default() {
        // It was recorded on a filesystem without birth times.
        stat.identity.born = Timestamp::default();
    }
    if Image::of(&stat) != entry.image {
        return Err(format!(
            "{:?} is there, not {:?}",
            Image::of(&stat),
            entry.image
        ));
    }
    match (&seen.what, entry.kind) {
        (What::File(digest), Kind::File) if entry.digest == Some(*digest) => Ok(()),
        (What::Link(target), Kind::Link) if entry.target.as_deref() == Some(target) => Ok(()),
        (What::Dir, Kind::Dir) => {
            let found = journal
                .verify(path, true)
                .map_err(|error| explain(&error))?;
            let manifest = journal.history().manifest(path);
            let listed = manifest.map_err(|error| explain(&error))?;
            match found.first() {
                None if listed.is_some() => Ok(()),
                None => Err("its tree has no manifest".to_owned()),
                Some(difference) => Err(format!("its tree is not complete: {difference}")),
            }
        }
        (what, kind) => Err(format!("the entry is a {kind:?}, and {what:?} is there")),
    }
}

fn journal_stat(world: &World, path: &str) -> Result<tljournal::Stat, String> {
    use tljournal::disk::Dir;
    let full = world.path(path);
    let parent = full.parent().unwrap_or(Utf8Path::new("/"));
    let dir = Dir::open(parent, world.disk().clone()).map_err(|error| explain(&error))?;
    let stat = dir.stat(full.file_name().unwrap_or_default());
    stat.map_err(|error| explain(&error))?
        .ok_or_else(|| "it is gone".to_owned())
}
