use std::ops::ControlFlow;

use camino::Utf8Path;
use rusqlite::{Connection, OpenFlags};
use tljournal::{
    Code, Finding, FsckDepth, FsckOptions, FsckReport, Image, Journal, Kind, Severity, Timestamp,
};

use crate::script::Steps;
use crate::snapshot::{Snapshot, What};
use crate::world::{World, explain};

/// Whether what the catalog says of the paths of a transaction is what is on disk: kind, size, mode,
/// mtime, inode and content. One line for each thing that is not.
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

/// Whether a journal that nobody uses has come to rest: nothing in staging, nothing unfinished, and
/// nothing for a recovery to do, which changes nothing either, and no finding of a check about anything of its
/// own. One line for each thing that is wrong.
#[must_use]
pub fn check_at_rest(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let before = world.snapshot();
    match world.try_open() {
        Err(error) => wrong.push(format!("it cannot be opened again: {}", explain(&error))),
        Ok(journal) => {
            if !journal.recovery().is_empty() {
                let did = journal.recovery();
                wrong.push(format!("a second recovery still had to do: {did:?}"));
            }
            match journal.history().status() {
                Ok(status) if status.unfinished.is_empty() && status.stuck.is_empty() => {}
                told => wrong.push(format!("it is not at rest: {told:?}")),
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

/// Whether a check of a journal that nobody uses finds everything as it should be, also what it put in place:
/// one line for each thing that is not. Nobody else had their hands in it.
#[must_use]
pub fn check_clean(world: &World) -> Vec<String> {
    // What a case has planted among the journal's own files is there until it is repaired.
    let (mut found, report) =
        found_by_fsck(world, FsckDepth::Default, |code| code != Code::StateStray);
    let unchecked = report.iter().flat_map(|report| &report.unchecked);
    found.extend(unchecked.map(|what| format!("fsck left out {what}")));
    found
}

/// What a check finds that is not as it should be.
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
            found.push(format!("it cannot be checked: {}", explain(&error)));
            (found, None)
        }
    }
}

/// Whether a code is about the journal's own, and not about what others may have changed.
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
            // What a case has planted is there until it is repaired.
            | Code::StateStray
    )
}

/// Whether SQLite finds the database of a journal that nobody uses whole. One line for each thing that is
/// wrong.
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
        (Some(_), None) => return Err("it has an entry and nothing is there".to_owned()),
        // What was there before the journal came has no entry, and needs none.
        (None, Some(_)) => return Ok(()),
    };
    let mut stat = journal_stat(world, path)?;
    if entry.image.identity.born == Timestamp::default() {
        // It was recorded where there are no birth times.
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
                Some(difference) => Err(format!("its tree is not whole: {difference}")),
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
