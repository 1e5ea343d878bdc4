use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Write};

use anstyle::Style;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;
use tljournal::{History, NamedPath, RunRecord, Timestamp, TxnFilter, TxnRecord, TxnState};

use super::views::{self, mark, run_name, state_style, the_run, txn_json};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::graph::{self, Cell, Row, Span};
use crate::output::{BOLD, DIM};
use crate::session::Session;
use crate::terminal::{Terminal, width};
use crate::text::{bytes, clean};
use crate::time;

/// The terminal width from which a row shows its run.
const WIDE: usize = 100;
/// More lanes than this are not distinguished.
const LANES_MAX: usize = 12;

const AFTER: &str = "\
Examples:
  tljournal log                                  the latest transactions
  tljournal log --path build/tools --since 2h    what changed there in the last two hours
  tljournal log --state aborted --state stuck    what failed
  tljournal log --run 17 --json                  what a run did, for programs

TIME is RFC 3339, @secs, or an age such as 90s, 2h or 3d.
";

/// List transactions, latest first
///
/// On a terminal with a lane for each run. Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_LOOKS))]
pub(crate) struct Args {
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Only those that changed something at, above or below this path
    #[arg(long, value_name = "PATH")]
    path: Option<NamedPath>,
    /// Only those of this run: its number, its id, or the beginning of its id
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only those in this state; may be repeated
    #[arg(long, value_name = "STATE", value_parser = states())]
    state: Vec<TxnState>,
    /// Only those that ended at this time or later
    #[arg(long, value_name = "TIME", value_parser = time_before_now)]
    since: Option<Timestamp>,
    /// Only those that began before this time
    #[arg(long, value_name = "TIME", value_parser = time_before_now)]
    until: Option<Timestamp>,
    /// Only those whose label contains this text
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Only those with retained content, so that they can be undone
    #[arg(long)]
    kept: bool,
    /// Draw the lanes of the runs, even without a terminal
    #[arg(long, overrides_with = "no_graph")]
    graph: bool,
    /// Draw no lanes
    #[arg(long)]
    no_graph: bool,
}

pub(super) fn time_before_now(text: &str) -> Result<Timestamp, String> {
    time::moment(text, time::now())
}

/// The names of the states, for completion and errors.
fn states() -> impl TypedValueParser<Value = TxnState> {
    PossibleValuesParser::new(TxnState::ALL.map(TxnState::as_str))
        .try_map(|word| TxnState::from_word(&word).ok_or("no state"))
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = session.inspect()?;
    let history = inspection.history();
    let found = history.transactions(&filter(session, &history, args)?)?;
    let json = || {
        let listed: Vec<_> = found.iter().map(txn_json).collect();
        json!({"command": "log", "transactions": listed})
    };
    let terminal = Terminal::of_stdout();
    let draws = !session.output.json && (args.graph || (terminal.is_watched() && !args.no_graph));
    let lanes = match draws {
        true => Lanes::of(&found, &history, terminal)?,
        false => Lanes::default(),
    };
    session
        .output
        .result(json, |out| match draws || terminal.is_watched() {
            true => drawn(out, &found, &lanes, terminal),
            false => plain(out, &found),
        })?;
    Ok(Exit::Done)
}

fn filter(session: &Session, history: &History<'_>, args: &Args) -> Result<TxnFilter, Failure> {
    let run = match &args.run {
        Some(name) => Some(the_run(history, name)?.number),
        None => None,
    };
    let mut filter = TxnFilter::latest(args.limit);
    let path = args.path.as_ref().map(|path| session.below_root(path));
    filter.path = path.transpose()?;
    filter.run = run;
    filter.states = args.state.clone();
    (filter.since, filter.until) = (args.since, args.until);
    filter.label = args.label.clone();
    filter.kept = args.kept;
    Ok(filter)
}

fn plain(out: &mut dyn Write, found: &[TxnRecord]) -> io::Result<()> {
    let numbers = found.first().map_or(1, |txn| txn.number.to_string().len());
    for txn in found {
        let style = state_style(txn.state);
        let when = time::short(txn.ended_at.unwrap_or(txn.began_at));
        writeln!(
            out,
            "{BOLD}{:>numbers$}{BOLD:#}  {DIM}{when}{DIM:#}  {style}{:<9}{style:#}  {}",
            txn.number,
            txn.state.as_str(),
            clean(&txn.label)
        )?;
    }
    Ok(())
}

/// For people: lanes, number, age, label, and on a wide terminal the outermost run.
fn drawn(
    out: &mut dyn Write,
    found: &[TxnRecord],
    lanes: &Lanes,
    terminal: Terminal,
) -> io::Result<()> {
    let now = time::now();
    let numbers = found.first().map_or(1, |txn| txn.number.to_string().len());
    let age = |txn: &TxnRecord| time::ago(txn.ended_at.unwrap_or(txn.began_at), now);
    let ages = found.iter().map(|txn| age(txn).len()).max().unwrap_or(0);
    let taken = lanes.columns + numbers + 2 + ages + 2;
    let runs = lanes.names(terminal, taken);
    for (at, txn) in found.iter().enumerate() {
        lanes.draw(out, at, txn, terminal)?;
        write!(
            out,
            "{BOLD}{:>numbers$}{BOLD:#}  {DIM}{:<ages$}{DIM:#}  ",
            txn.number,
            age(txn)
        )?;
        let (note, style) = (note(txn), state_style(txn.state));
        let beside = [width(&note), runs].map(|text| if text == 0 { 0 } else { text + 2 });
        let label = terminal.fit(&clean(&txn.label), taken + beside[0] + beside[1]);
        write!(out, "{label}")?;
        if !note.is_empty() {
            write!(out, "  {style}{note}{style:#}")?;
        }
        if runs > 0 {
            let used = taken + width(&label) + beside[0] + runs;
            let pad = terminal
                .columns
                .map_or(2, |columns| columns.saturating_sub(used));
            let (name, style) = lanes.name(txn);
            write!(
                out,
                "{:pad$}{style}{}{style:#}",
                "",
                terminal.cut(&name, runs)
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Unusual facts about a transaction.
fn note(txn: &TxnRecord) -> String {
    let state = (txn.state != TxnState::Applied).then(|| txn.state.as_str().to_owned());
    let undoes = txn.undoes.map(|undone| format!("undoes {undone}"));
    let kept = txn.kept.map(|kept| format!("{} kept", bytes(kept)));
    let notes = [state, undoes, kept].into_iter().flatten();
    notes.collect::<Vec<_>>().join(", ")
}

/// The graph, and its width.
#[derive(Default)]
struct Lanes {
    /// The outermost run around each listed run: it has the lane.
    outermost: HashMap<i64, RunRecord>,
    cells: Vec<Vec<Cell>>,
    colours: HashMap<i64, Style>,
    columns: usize,
}

impl Lanes {
    fn of(found: &[TxnRecord], history: &History<'_>, terminal: Terminal) -> Result<Self, Failure> {
        let mut outermost = HashMap::new();
        let (mut rows, mut spans) = (Vec::new(), HashMap::new());
        for txn in found {
            let own = txn.run.number;
            if let Entry::Vacant(unknown) = outermost.entry(own) {
                unknown.insert(views::outermost(history, &txn.run)?);
            }
            let (run, at) = (&outermost[&own], txn.began_at.as_nanos());
            let number = run.number;
            rows.push(Row { run: number, at });
            if let Entry::Vacant(unknown) = spans.entry(number) {
                let to = match run.ended_at {
                    Some(ended) => ended.as_nanos(),
                    // A killed run without a recorded end was open until its last known activity.
                    None if history.is_alive(run.id)? => i128::MAX,
                    None => at,
                };
                let from = run.started_at.as_nanos();
                unknown.insert(Span { from, to });
            }
        }
        let lanes_max = terminal.columns.map_or(LANES_MAX, |columns| columns / 8);
        let cells = graph::lanes(&rows, &spans, lanes_max.min(LANES_MAX));
        let lanes = cells.iter().map(Vec::len).max().unwrap_or(0);
        Ok(Self {
            columns: lanes * 2,
            colours: graph::colours(&rows),
            outermost,
            cells,
        })
    }

    /// The name and style of a transaction's run.
    fn name(&self, txn: &TxnRecord) -> (String, Style) {
        let run = self.outermost.get(&txn.run.number).unwrap_or(&txn.run);
        let style = self.colours.get(&run.number).copied().unwrap_or(DIM);
        let name = format!("run {} {}", run.number, clean(&run_name(run)));
        (name, style)
    }

    /// The columns for the names of runs: none on a narrow terminal, and never the larger part.
    fn names(&self, terminal: Terminal, taken: usize) -> usize {
        let longest = self
            .outermost
            .values()
            .map(|run| width(&format!("run {} {}", run.number, clean(&run_name(run)))));
        let longest = longest.max().unwrap_or(0);
        match terminal.columns {
            None => longest,
            Some(columns) if columns < WIDE => 0,
            Some(columns) => longest.min(columns.saturating_sub(taken) * 2 / 5),
        }
    }

    fn draw(
        &self,
        out: &mut dyn Write,
        at: usize,
        txn: &TxnRecord,
        terminal: Terminal,
    ) -> io::Result<()> {
        let cells = self.cells.get(at).map_or(&[][..], Vec::as_slice);
        for cell in cells {
            let (run, glyph) = match (cell, terminal.utf8) {
                (Cell::Empty, _) => {
                    write!(out, "  ")?;
                    continue;
                }
                (Cell::Open(run), true) => (run, "│"),
                (Cell::Open(run), false) => (run, "|"),
                (Cell::Here(run), utf8) => (run, mark(txn.state, utf8)),
            };
            let style = self.colours.get(run).copied().unwrap_or(DIM);
            write!(out, "{style}{glyph}{style:#} ")?;
        }
        write!(out, "{:1$}", "", self.columns - 2 * cells.len())
    }
}
