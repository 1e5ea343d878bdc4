use std::io::{self, Write};

use serde_json::{Map, Value, json};
use tljournal::{Journal, Recovery};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BAD, GOOD};
use crate::progress::Progress;
use crate::session::Session;
use crate::text::{clean, count};

const EXAMPLE: &str = "\
Example:
  tljournal recover
";

/// Finish or roll back interrupted transactions
///
/// Finishes committed transactions, rolls back uncommitted ones, deletes unused leftovers, and syncs rebuildable
/// trees. Every command that changes something does the same for what it needs; this does all of it now.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_RECOVER))]
pub(crate) struct Args {
    /// Exit with 1 if there was nothing to recover
    #[arg(long)]
    exit_code: bool,
}

/// A kind of recovery action.
struct Kind {
    /// For programs.
    word: &'static str,
    noun: &'static str,
    did: &'static str,
    number: u32,
}

struct Recovered {
    kinds: Vec<Kind>,
    database_set_aside: Option<String>,
    stuck: Vec<String>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let progress = Progress::start("recover", session.output.shows_progress());
    let journal = session.work()?;
    let found = recover(&journal)?;
    session.close(journal);
    drop(progress);
    session
        .output
        .result(|| as_json(&found), |out| print(out, &found))?;
    Ok(match (found.stuck.is_empty(), found.is_nothing()) {
        (false, _) => Exit::Damaged,
        (true, true) if args.exit_code => Exit::Nothing,
        (true, _) => Exit::Done,
    })
}

fn recover(journal: &Journal) -> Result<Recovered, Failure> {
    let first = journal.recovery();
    let unsettled = journal.history().status()?.unsettled_trees;
    let again = journal.recover()?;
    let status = journal.history().status()?;
    let kind = |word, noun, did, number: fn(&Recovery) -> u32| Kind {
        word,
        noun,
        did,
        number: number(first) + number(&again),
    };
    let txn = "transaction";
    let settled = unsettled.saturating_sub(status.unsettled_trees);
    let kinds = vec![
        kind("finished", txn, "finished", |found| found.finished),
        kind("rolled_back", txn, "rolled back", |found| found.rolled_back),
        kind(
            "taken_back",
            txn,
            "rolled back, because another program changed the same",
            |found| found.taken_back,
        ),
        kind(
            "trees_put_back",
            "torn tree",
            "restored to their previous version",
            |found| found.trees_put_back,
        ),
        Kind {
            word: "trees_settled",
            noun: "tree",
            did: "synced",
            number: settled,
        },
        kind("dead_runs", "run", "found dead", |found| found.dead_runs),
        kind("swept", "leftover", "cleared", |found| found.swept),
        kind(
            "kept_gone",
            txn,
            "whose retained content is missing",
            |found| found.kept_gone,
        ),
    ];
    Ok(Recovered {
        kinds,
        database_set_aside: first.database_set_aside.clone(),
        stuck: status.stuck.iter().map(ToString::to_string).collect(),
    })
}

impl Recovered {
    fn is_nothing(&self) -> bool {
        self.database_set_aside.is_none() && self.kinds.iter().all(|kind| kind.number == 0)
    }
}

fn print(out: &mut dyn Write, found: &Recovered) -> io::Result<()> {
    for kind in found.kinds.iter().filter(|kind| kind.number > 0) {
        let number = count(kind.number as usize, kind.noun);
        writeln!(out, "{GOOD}{number}{GOOD:#} {}", kind.did)?;
    }
    if let Some(kept) = &found.database_set_aside {
        writeln!(out, "the damaged database is kept at {}", clean(kept))?;
    }
    for txn in &found.stuck {
        writeln!(
            out,
            "{BAD}stuck{BAD:#} {txn}; `tljournal show {txn}` explains it"
        )?;
    }
    match found.is_nothing() && found.stuck.is_empty() {
        true => writeln!(out, "nothing to recover"),
        false => Ok(()),
    }
}

fn as_json(found: &Recovered) -> Value {
    let kinds = found.kinds.iter();
    let recovered: Map<_, _> = kinds
        .map(|kind| (kind.word.to_owned(), kind.number.into()))
        .collect();
    json!({
        "command": "recover",
        "recovered": recovered,
        "database_set_aside": found.database_set_aside,
        "stuck": found.stuck,
    })
}
