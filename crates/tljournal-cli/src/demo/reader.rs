//! A process that checks continuously what others do.

use std::fs;
use std::io::{self, Read};

use camino::Utf8Path;
use tljournal::Journal;
use tljournal_testkit::{Tell, tell};

use super::child::{End, Life};
use super::plan::{TREE, sizes};
use super::tags::{PAIR, unsealed};

pub(super) fn live(life: &mut Life) -> Result<(), End> {
    let journal = life.open()?;
    // A path that existed once must never be missing again.
    let (mut tags, mut tree) = (false, false);
    loop {
        check_pair(life, &journal)?;
        tags = check_alone(life, tags)?;
        tree = check_tree(life, &journal, tree)?;
    }
}

/// With the shared lock both tag files are consistent.
fn check_pair(life: &Life, journal: &Journal) -> Result<(), End> {
    let reading = journal.read()?;
    let read = |path| -> Result<Option<String>, End> {
        let Some(mut file) = reading.open(path)? else {
            return Ok(None);
        };
        let mut text = String::new();
        match file.read_to_string(&mut text) {
            Ok(_) => Ok(Some(text)),
            Err(error) => Ok(Some(error.to_string())),
        }
    };
    let (left, right) = (read(PAIR[0])?, read(PAIR[1])?);
    if left != right {
        life.violation(format!("the tag files disagree: {left:?} and {right:?}"))?;
    }
    Ok(tell(&Tell::Read)?)
}

/// Without a lock each tag file is complete at any time. Returns whether they exist.
fn check_alone(life: &Life, were_there: bool) -> Result<bool, End> {
    let mut are_there = were_there;
    for path in PAIR {
        match fs::read_to_string(life.root().join(path)) {
            Ok(content) if unsealed(&content).is_some() => are_there = true,
            Ok(content) => life.violation(format!("`{path}` is torn: {content:?}"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !were_there => {}
            Err(error) => life.violation(format!("`{path}` cannot be read: {error}"))?,
        }
    }
    tell(&Tell::Read)?;
    Ok(are_there)
}

/// A pinned tree is exactly one of the two variants. Returns whether it exists.
fn check_tree(life: &mut Life, journal: &Journal, was_there: bool) -> Result<bool, End> {
    if was_there && fs::symlink_metadata(life.root().join(TREE)).is_err() {
        life.violation("the tree is missing")?;
    }
    let Some(pin) = journal.pin(TREE)? else {
        return Ok(was_there);
    };
    let held = pin.path();
    let root = Utf8Path::new(&held);
    let found = sizes(root).map_err(|error| error.to_string());
    let variants = &life.plan.variants;
    let whole = match &found {
        Ok(found) => variants.iter().find(|variant| variant.has_sizes(found)),
        Err(_) => None,
    };
    match whole {
        None => life.violation(format!("a pinned tree is neither of the two: {found:?}"))?,
        // Hashing the whole tree takes a while, so it is done rarely.
        Some(variant) if life.random.chance(1, 50) => {
            if let Some(wrong) = variant.check_content(root) {
                life.violation(format!("in a pinned tree {wrong}"))?;
            }
        }
        Some(_) => {}
    }
    tell(&Tell::Read)?;
    Ok(true)
}
