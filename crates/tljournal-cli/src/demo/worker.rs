//! A process that installs trees and writes tag files until it is killed.

use std::fs;
use std::time::Instant;

use tljournal::{Durability, Error, Expect, Journal, Receipt, TreeOptions, TreeSource};
use tljournal_testkit::{Tell, tell};

use super::child::{End, Life};
use super::plan::{Plan, TREE};
use super::tags::{PAIR, counter, sealed, unsealed};

/// The number of transactions after which the journal is opened again.
const TRANSACTIONS: u64 = 12;

pub(super) fn live(life: &mut Life) -> Result<(), End> {
    loop {
        let journal = life.open()?;
        check_promise(life)?;
        for _ in 0..life.random.below(TRANSACTIONS) + 1 {
            match life.random.below(8) {
                0 => install(life, &journal)?,
                1 => repeat(life, &journal)?,
                _ => write_tags(life, &journal)?,
            }
        }
        journal.close()?;
    }
}

/// What was reported as durable must exist: this number, or the next one, whose commit was not reported before a
/// kill.
fn check_promise(life: &mut Life) -> Result<(), End> {
    let path = life.root().join(counter(&life.role));
    let content = fs::read_to_string(path).unwrap_or_default();
    let found = unsealed(&content)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    if found != life.last && found != life.last + 1 {
        let last = life.last;
        life.violation(format!("commit {last} was durable, but {found} was found"))?;
    }
    life.last = found;
    // The next process counts from here, even if this one is killed before it reports a commit.
    Ok(tell(&Tell::Found { number: found })?)
}

/// Installs one of the two trees, sometimes the current one.
fn install(life: &mut Life, journal: &Journal) -> Result<(), End> {
    let variant = life.random.below(2) as usize;
    let source = TreeSource::dir(Plan::source(&life.place, variant));
    let durability = match life.random.chance(1, 2) {
        true => Durability::Durable,
        false => Durability::Rebuildable,
    };
    let options = TreeOptions {
        durability,
        ..TreeOptions::default()
    };
    let begun = Instant::now();
    let installed = journal.install(TREE, source, options)?;
    let took = begun.elapsed();
    let (number, bytes) = (life.last, life.plan.variants[variant].bytes());
    Ok(tell(&match installed.changed {
        true => Tell::Committed {
            number,
            took,
            bytes,
        },
        false => Tell::Unchanged { took },
    })?)
}

/// Writes the two tag files and the own counter in one transaction.
fn write_tags(life: &mut Life, journal: &Journal) -> Result<(), End> {
    let number = life.last + 1;
    let text = sealed(&format!("{} {number}", life.role));
    let count = sealed(&number.to_string());
    let begun = Instant::now();
    commit(
        journal,
        &[
            (PAIR[0], &text),
            (PAIR[1], &text),
            (&counter(&life.role), &count),
        ],
    )?;
    let took = begun.elapsed();
    life.last = number;
    let bytes = (2 * text.len() + count.len()) as u64;
    Ok(tell(&Tell::Committed {
        number,
        took,
        bytes,
    })?)
}

/// Writes the own counter again: nothing has to be changed.
fn repeat(life: &mut Life, journal: &Journal) -> Result<(), End> {
    if life.last == 0 {
        return Ok(());
    }
    let count = sealed(&life.last.to_string());
    let begun = Instant::now();
    let receipt = commit(journal, &[(&counter(&life.role), &count)])?;
    let took = begun.elapsed();
    if receipt.changed_anything() {
        life.violation("an unchanged file was written")?;
    }
    Ok(tell(&Tell::Unchanged { took })?)
}

fn commit(journal: &Journal, files: &[(&str, &str)]) -> Result<Receipt, Error> {
    let mut txn = journal.begin("tags");
    for (path, content) in files {
        txn.put(*path, *content, Expect::Any)?;
    }
    txn.prepare()?.commit()
}
