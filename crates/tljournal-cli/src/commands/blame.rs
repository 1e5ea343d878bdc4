use std::io::{self, Write};

use serde_json::{Value, json};
use tljournal::{Difference, NamedPath, RelPath, Wrote};

use super::views::{run_name, txn_json, version, version_json};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BOLD, DIM, GOOD, WARN};
use crate::session::Session;
use crate::terminal::{Terminal, width};
use crate::text::{clean, count};
use crate::time;

const AFTER: &str = "\
Examples:
  tljournal blame build/external-kits/external-kit-metadata.json
  tljournal blame build/tools/pipesys     a file in a tree: only what changed it there
  tljournal blame -n 1 --json build/tools
";

/// The largest number of differences that are listed.
const NAMED_MAX: usize = 5;

/// Show which transaction and run wrote a path, and what it was before
///
/// Latest first, back to the beginning; and whether the disk still matches the record. Changes nothing; works on a
/// read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_BLAME))]
pub(crate) struct Args {
    /// A file, a link or a tree, or what is in a tree; relative to the root
    #[arg(value_name = "PATH")]
    path: NamedPath,
    /// At most this many, at least one
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let path = session.below_root(&args.path)?;
    let inspection = session.inspect()?;
    // One more, to see whether there are further ones.
    let asked = args.limit.saturating_add(1);
    let mut wrote = inspection.history().blame(&path, asked)?;
    let more = wrote.len() > args.limit as usize;
    wrote.truncate(args.limit as usize);
    let Some(last) = wrote.first() else {
        let path = path.as_str().escape_debug();
        return Err(Failure::Nothing(format!(
            "no transaction wrote `{path}`; `tljournal log --path {path}` lists what changed below it"
        )));
    };
    let drift = inspection.drift(&path, last.left.as_ref())?;
    session.output.result(
        || as_json(&path, (&wrote, more), &drift),
        |out| print(out, &path, (&wrote, more), &drift, Terminal::of_stdout()),
    )?;
    Ok(Exit::Done)
}

fn as_json(path: &RelPath, (wrote, more): (&[Wrote], bool), drift: &[Difference]) -> Value {
    let one = |wrote: &Wrote| {
        json!({
            "txn": txn_json(&wrote.txn),
            "changed": wrote.changed,
            "op": wrote.op.as_str(),
            "left": wrote.left.as_ref().map(version_json),
        })
    };
    let drift = drift.iter().map(ToString::to_string);
    json!({
        "command": "blame",
        "path": path.as_str(),
        "wrote": wrote.iter().map(one).collect::<Vec<_>>(),
        "more": more,
        "drift": drift.collect::<Vec<_>>(),
    })
}

fn print(
    out: &mut dyn Write,
    path: &RelPath,
    (wrote, more): (&[Wrote], bool),
    drift: &[Difference],
    terminal: Terminal,
) -> io::Result<()> {
    let now = time::now();
    let path = path.as_str();
    let number = |wrote: &Wrote| wrote.txn.number.to_string().len();
    let numbers = wrote.iter().map(number).max().unwrap_or(1);
    let when = |wrote: &Wrote| {
        let ended = wrote.txn.ended_at.unwrap_or(wrote.txn.began_at);
        match terminal.is_watched() {
            true => time::ago(ended, now),
            false => time::short(ended),
        }
    };
    let ages = wrote.iter().map(|wrote| when(wrote).len()).max();
    let ages = ages.unwrap_or(0);
    for one in wrote {
        let by = match one.changed == path {
            true => String::new(),
            false => format!(" ({} of {})", one.op.as_str(), clean(&one.changed)),
        };
        let left = match &one.left {
            Some(left) => version(left),
            None => "nothing".to_owned(),
        };
        let label = terminal.fit(&clean(&one.txn.label), numbers + ages + 4 + width(&by));
        writeln!(
            out,
            "{BOLD}{:>numbers$}{BOLD:#}  {DIM}{:<ages$}{DIM:#}  {label}{DIM}{by}{DIM:#}",
            one.txn.number,
            when(one),
        )?;
        let run = format!(
            "run {} {}",
            one.txn.run.number,
            clean(&run_name(&one.txn.run))
        );
        let pad = numbers + 2;
        writeln!(out, "{:pad$}{left}", "")?;
        writeln!(out, "{:pad$}{DIM}{}{DIM:#}", "", terminal.fit(&run, pad))?;
    }
    if more {
        writeln!(out, "{DIM}and earlier ones; -n shows more{DIM:#}")?;
    }
    if drift.is_empty() {
        return writeln!(out, "{GOOD}the disk matches the record{GOOD:#}");
    }
    writeln!(
        out,
        "{WARN}the disk differs from the record{WARN:#}: {}",
        count(drift.len(), "difference")
    )?;
    for difference in drift.iter().take(NAMED_MAX) {
        let inside = match difference.path.as_str() {
            "." => path.to_owned(),
            below => format!("{path}/{below}"),
        };
        writeln!(
            out,
            "  `{}` {}",
            clean(&inside),
            clean(&difference.what.to_string())
        )?;
    }
    match drift.len().saturating_sub(NAMED_MAX) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more"),
    }
}
