use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

use serde_json::{Value, json};
use tljournal::{Inspection, RunFilter, RunId, RunRecord, Timestamp};

use super::log::time_before_now;
use super::views::{run_json, run_name};
use crate::ending::End;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BOLD, DIM};
use crate::session::Session;
use crate::terminal::{Terminal, width};
use crate::text::{clean, count};
use crate::time;

const AFTER: &str = "\
Examples:
  tljournal runs                    the latest runs, each below the one that started it
  tljournal runs --failed           those that failed, were killed, or were found dead
  tljournal runs --since 1d --json  all of a day, for programs

TIME is RFC 3339, @secs, or an age such as 90s, 2h or 3d.
";

/// List runs, latest first
///
/// Each use of the journal that changed something or ran a command: how it ended, how long it took, and how many
/// transactions it made. Runs are below the one that started them. Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_LOOKS))]
pub(crate) struct Args {
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Only those that failed, were killed, or were found dead
    #[arg(long)]
    failed: bool,
    /// Only those that ended at this time or later
    #[arg(long, value_name = "TIME", value_parser = time_before_now)]
    since: Option<Timestamp>,
    /// Only those that began before this time
    #[arg(long, value_name = "TIME", value_parser = time_before_now)]
    until: Option<Timestamp>,
}

struct Seen {
    run: RunRecord,
    transactions: u64,
    end: End,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = session.inspect()?;
    let history = inspection.history();
    let filter = RunFilter {
        limit: Some(args.limit),
        failed: args.failed,
        since: args.since,
        until: args.until,
        ..RunFilter::default()
    };
    let seen = history.runs(&filter)?.into_iter();
    let seen = seen.map(|run| look(&inspection, run));
    let seen = seen.collect::<Result<Vec<_>, Failure>>()?;
    session.output.result(
        || json!({"command": "runs", "runs": seen.iter().map(as_json).collect::<Vec<_>>()}),
        |out| print(out, &seen, Terminal::of_stdout()),
    )?;
    Ok(Exit::Done)
}

fn look(inspection: &Inspection, run: RunRecord) -> Result<Seen, Failure> {
    Ok(Seen {
        transactions: inspection.history().count_transactions(run.number)?,
        end: End::seen_from(inspection, &run)?,
        run,
    })
}

fn as_json(seen: &Seen) -> Value {
    let mut value = run_json(&seen.run);
    value["transactions"] = seen.transactions.into();
    value["alive"] = (seen.end == End::Alive).into();
    value
}

fn print(out: &mut dyn Write, seen: &[Seen], terminal: Terminal) -> io::Result<()> {
    let now = time::now();
    let numbers = seen.iter().map(|seen| seen.run.number.to_string().len());
    let numbers = numbers.max().unwrap_or(1);
    let began = |seen: &Seen| match terminal.is_watched() {
        true => time::ago(seen.run.started_at, now),
        false => time::short(seen.run.started_at),
    };
    let lasted = |seen: &Seen| match seen.run.ended_at {
        Some(ended) => time::took(seen.run.started_at, ended),
        None if seen.end == End::Alive => time::took(seen.run.started_at, now),
        None => String::new(),
    };
    let widest = |text: &dyn Fn(&Seen) -> String| seen.iter().map(|seen| width(&text(seen))).max();
    let (ages, lengths) = (widest(&began).unwrap_or(0), widest(&lasted).unwrap_or(0));
    let ends = widest(&|seen| seen.end.told(&seen.run)).unwrap_or(0);
    for (branch, seen) in as_tree(seen, terminal.utf8) {
        let (ended, style) = (seen.end.told(&seen.run), seen.end.style());
        let made = match seen.transactions {
            0 => String::new(),
            made => format!("  {}", count(made as usize, "txn")),
        };
        let taken = numbers + ages + lengths + ends + 8 + width(&branch) + width(&made);
        let name = terminal.fit(&clean(&run_name(&seen.run)), taken);
        writeln!(
            out,
            "{BOLD}{:>numbers$}{BOLD:#}  {DIM}{:<ages$}{DIM:#}  {:>lengths$}  {style}{ended:<ends$}{style:#}  \
             {DIM}{branch}{DIM:#}{name}{DIM}{made}{DIM:#}",
            seen.run.number,
            began(seen),
            lasted(seen),
        )?;
    }
    Ok(())
}

/// The runs in display order: each below the one that started it, if that is listed.
fn as_tree(seen: &[Seen], utf8: bool) -> Vec<(String, &Seen)> {
    let known: HashMap<RunId, usize> = seen.iter().map(|seen| seen.run.id).zip(0..).collect();
    let mut below: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for (at, one) in seen.iter().enumerate() {
        let parent = one
            .run
            .parent
            .and_then(|parent| known.get(&parent).copied());
        below
            .entry(parent.filter(|parent| *parent != at))
            .or_default()
            .push(at);
    }
    let mut shown = Vec::new();
    let mut told = HashSet::new();
    let mut waiting: Vec<(usize, Vec<bool>)> = Vec::new();
    let roots = below.get(&None).cloned().unwrap_or_default();
    waiting.extend(roots.into_iter().rev().map(|at| (at, Vec::new())));
    while let Some((at, depth)) = waiting.pop() {
        if !told.insert(at) {
            continue;
        }
        shown.push((branch(&depth, utf8), &seen[at]));
        let children = below.get(&Some(at)).cloned().unwrap_or_default();
        let last = children.len();
        for (place, child) in children.into_iter().enumerate().rev() {
            let mut depth = depth.clone();
            depth.push(place + 1 == last);
            waiting.push((child, depth));
        }
    }
    // Hostile rows could name each other as parents.
    let rest = (0..seen.len()).filter(|at| !told.contains(at));
    shown.extend(rest.map(|at| (String::new(), &seen[at])));
    shown
}

/// The lines that lead to a run: for each level whether it is the last run there.
fn branch(depth: &[bool], utf8: bool) -> String {
    let Some((own, above)) = depth.split_last() else {
        return String::new();
    };
    let through = |last: &bool| match (last, utf8) {
        (true, _) => "   ",
        (false, true) => "│  ",
        (false, false) => "|  ",
    };
    let mut text: String = above.iter().map(through).collect();
    text.push_str(match (own, utf8) {
        (true, true) => "└─ ",
        (true, false) => "`- ",
        (false, true) => "├─ ",
        (false, false) => "|- ",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_lead_to_runs_in_both_alphabets() {
        assert_eq!(branch(&[], true), "");
        assert_eq!(branch(&[false], true), "├─ ");
        assert_eq!(branch(&[false, true], true), "│  └─ ");
        assert_eq!(branch(&[true, false], false), "   |- ");
    }
}
