use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tljournal::{Gc, GcTxn, Limits, Retention};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BOLD, GOOD, WARN};
use crate::session::Session;
use crate::text::{self, bytes, clean, count};
use crate::time;

const AFTER: &str = "\
Examples:
  tljournal gc --dry-run               show what exceeds the limits
  tljournal gc --keep-age 3d           nothing older can be undone afterwards, except the latest eight
  tljournal gc --keep-count 0          nothing can be undone afterwards
  tljournal gc --history-count 10000   forget the oldest transactions

SIZE is bytes, or has a unit: 500M, 1.5GiB. AGE is seconds, or has units: 12h, 3d, 2w.
";

/// Delete the oldest retained content, history and logs
///
/// Deletes until the limits hold; by default the limits that apply at the end of every run. Content that is pinned or
/// in use, unfinished transactions, and records of existing entries stay.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_GC))]
pub(crate) struct Args {
    /// Keep what this many transactions replaced [default: 64]
    #[arg(long, value_name = "N")]
    keep_count: Option<u32>,
    /// Keep this many bytes of it [default: 1 GiB]
    #[arg(long, value_name = "SIZE", value_parser = text::size)]
    keep_bytes: Option<u64>,
    /// Keep it for this long [default: 14 days]
    #[arg(long, value_name = "AGE", value_parser = time::age)]
    keep_age: Option<Duration>,
    /// Keep the records of this many transactions [default: 100000]
    #[arg(long, value_name = "N")]
    history_count: Option<u32>,
    /// Keep them for this long [default: 400 days]
    #[arg(long, value_name = "AGE", value_parser = time::age)]
    history_age: Option<Duration>,
    /// Keep the output of this many commands [default: 50]
    #[arg(long, value_name = "N")]
    log_count: Option<u32>,
    /// Keep this many bytes of it [default: 256 MiB]
    #[arg(long, value_name = "SIZE", value_parser = text::size)]
    log_bytes: Option<u64>,
    /// Only show what would be deleted
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Args {
    fn retention(&self) -> Retention {
        let mut retention = Retention::default();
        let set =
            |limits: &mut Limits, count: Option<u32>, bytes: Option<u64>, age: Option<Duration>| {
                limits.count = count.unwrap_or(limits.count);
                limits.bytes = bytes.unwrap_or(limits.bytes);
                limits.age = age.unwrap_or(limits.age);
            };
        set(
            &mut retention.kept,
            self.keep_count,
            self.keep_bytes,
            self.keep_age,
        );
        set(
            &mut retention.history,
            self.history_count,
            None,
            self.history_age,
        );
        set(&mut retention.logs, self.log_count, self.log_bytes, None);
        retention
    }
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let done = match args.dry_run {
        true => session.plan()?.history().plan_gc(&args.retention())?,
        false => {
            let journal = session.work()?;
            let done = journal.gc(&args.retention());
            session.close(journal);
            done?
        }
    };
    session
        .output
        .result(|| as_json(&done, args), |out| print(out, &done, args))?;
    Ok(Exit::Done)
}

fn freed(done: &Gc) -> u64 {
    let kept = done.kept.iter().map(|txn| txn.bytes);
    kept.chain(done.logs.iter().map(|log| log.bytes)).sum()
}

fn print(out: &mut dyn Write, done: &Gc, args: &Args) -> io::Result<()> {
    let verb = if args.dry_run {
        "would delete"
    } else {
        "deleted"
    };
    if !done.kept.is_empty() {
        writeln!(
            out,
            "{verb} what {} replaced",
            count(done.kept.len(), "transaction")
        )?;
    }
    let numbers = done.kept.iter().chain(&done.in_use);
    let numbers = numbers.chain(&done.left_behind);
    let numbers = numbers
        .map(|txn| txn.number.to_string().len())
        .max()
        .unwrap_or(1);
    for txn in &done.kept {
        print_txn(out, txn, numbers)?;
    }
    if !done.in_use.is_empty() {
        let why = "stays, because it is in use or pinned";
        writeln!(out, "{WARN}{why}{WARN:#}")?;
    }
    for txn in &done.in_use {
        print_txn(out, txn, numbers)?;
    }
    if !done.left_behind.is_empty() {
        let why = "cannot be deleted completely; `tljournal fsck` shows why, and the command that deletes it";
        writeln!(out, "{WARN}{why}{WARN:#}")?;
    }
    for txn in &done.left_behind {
        print_txn(out, txn, numbers)?;
    }
    let logs: u64 = done.logs.iter().map(|log| log.bytes).sum();
    if !done.logs.is_empty() {
        let runs = count(done.logs.len(), "run");
        writeln!(out, "{verb} the output of {runs}: {}", bytes(logs))?;
    }
    if done.history_txns > 0 || done.history_runs > 0 {
        let forgot = if args.dry_run {
            "would forget"
        } else {
            "forgot"
        };
        let txns = count(done.history_txns as usize, "transaction");
        let runs = count(done.history_runs as usize, "run");
        writeln!(out, "{forgot} {txns} and {runs}")?;
    }
    let (txns, kept) = (done.left_txns, done.left_bytes);
    let left = format!(
        "{} of {} kept",
        bytes(kept),
        count(txns as usize, "transaction")
    );
    match (freed(done), args.dry_run) {
        (0, _) => writeln!(out, "{GOOD}nothing to free{GOOD:#}; {left}"),
        (freed, true) => writeln!(
            out,
            "would free {BOLD}{}{BOLD:#}; {left} then",
            bytes(freed)
        ),
        (freed, false) => writeln!(out, "freed {BOLD}{}{BOLD:#}; {left}", bytes(freed)),
    }
}

fn print_txn(out: &mut dyn Write, txn: &GcTxn, numbers: usize) -> io::Result<()> {
    writeln!(
        out,
        "  {BOLD}{:>numbers$}{BOLD:#}  {:>10}  {}",
        txn.number,
        bytes(txn.bytes),
        clean(&txn.label)
    )
}

fn as_json(done: &Gc, args: &Args) -> Value {
    let txn = |txn: &GcTxn| {
        json!({
            "number": txn.number,
            "id": txn.id.to_string(),
            "label": txn.label,
            "bytes": txn.bytes,
        })
    };
    let logs = done
        .logs
        .iter()
        .map(|log| json!({"run": log.run.to_string(), "bytes": log.bytes}));
    json!({
        "command": "gc",
        "dry_run": args.dry_run,
        "kept": done.kept.iter().map(txn).collect::<Vec<_>>(),
        "left_behind": done.left_behind.iter().map(txn).collect::<Vec<_>>(),
        "in_use": done.in_use.iter().map(txn).collect::<Vec<_>>(),
        "logs": logs.collect::<Vec<_>>(),
        "forgotten": {"transactions": done.history_txns, "runs": done.history_runs},
        "freed_bytes": freed(done),
        "left": {"transactions": done.left_txns, "bytes": done.left_bytes},
    })
}
