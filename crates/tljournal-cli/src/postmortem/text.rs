//! The report for people: one screen.

use std::io::{self, Write};

use anstyle::Style;
use tljournal::TxnState;

use super::draw::Sheet;
use super::report::{Difference, HoldStory, Kept, Report, TxnStory, WaitStory};
use crate::commands::views::{run_name, state_style};
use crate::ending::End;
use crate::output::{BAD, BOLD, DIM, WARN};
use crate::terminal::Terminal;
use crate::text::{bytes, clean, count};
use crate::time::{clock, short, took};

/// How many of each kind are shown; the rest is counted.
const TXNS_MAX: usize = 5;
const LOCKS_MAX: usize = 5;
const EVENTS_MAX: usize = 3;
const NEIGHBOURS_MAX: usize = 5;
const DIFFERENCES_MAX: usize = 4;
const TAGS_MAX: usize = 2;
const KEPT_MAX: usize = 2;

/// Writes the report.
pub(crate) fn print(out: &mut dyn Write, report: &Report, terminal: Terminal) -> io::Result<()> {
    let mut sheet = Sheet::new(out, terminal);
    head(&mut sheet, report)?;
    output(&mut sheet, report)?;
    transactions(&mut sheet, report)?;
    locks(&mut sheet, report)?;
    events(&mut sheet, report)?;
    meanwhile(&mut sheet, report)?;
    now(&mut sheet, report)?;
    if !report.untold.is_empty() {
        sheet.section("not told", "")?;
        for why in &report.untold {
            sheet.wrapped("", DIM, why)?;
        }
    }
    if !report.next.is_empty() {
        sheet.section("next", "")?;
        for step in &report.next {
            sheet.step(&step.command, &step.why)?;
        }
    }
    Ok(())
}

fn head(sheet: &mut Sheet<'_>, report: &Report) -> io::Result<()> {
    let (story, run) = (&report.run, &report.run.run);
    let (ended, style) = (story.end.told(run), story.end.style());
    let name = clean(&run_name(run));
    sheet.title(&format!(
        "{BOLD}run {}{BOLD:#}  {style}{ended}{style:#}  {name}",
        run.number
    ))?;
    sheet.wrapped("ran", Style::new(), &run.argv)?;
    let container = run
        .container
        .as_ref()
        .map(|container| format!(" ({container})"));
    let account = run
        .account
        .as_ref()
        .map_or(String::new(), |name| format!("{name}, "));
    let host = format!("{}{}", run.host, container.unwrap_or_default());
    sheet.wrapped("in", Style::new(), &format!("{} on {host}", run.cwd))?;
    sheet.wrapped(
        "as",
        Style::new(),
        &format!(
            "{account}uid {}; process {}; tljournal {}",
            run.uid, run.pid, run.version
        ),
    )?;
    if let Some(parent) = report.parents.last() {
        let more = match report.parents.len() - 1 {
            0 => String::new(),
            more => format!(", and {} around that", count(more, "run")),
        };
        let name = run_name(&parent.run);
        sheet.wrapped(
            "started by",
            Style::new(),
            &format!("run {} ({name}){more}", parent.run.number),
        )?;
    }
    sheet.wrapped("began", Style::new(), &lived(report))?;
    if let Some(error) = &run.error {
        sheet.wrapped("error", BAD, error)?;
    }
    Ok(())
}

/// When the run began and ended.
fn lived(report: &Report) -> String {
    let (story, run) = (&report.run, &report.run.run);
    let began = short(run.started_at);
    let seen = took(run.started_at, story.last_seen);
    match (story.end, run.ended_at) {
        (End::Well | End::Failed | End::Killed, Some(ended)) => {
            format!(
                "{began}, ended {} after {}",
                clock(ended),
                took(run.started_at, ended)
            )
        }
        (End::FoundDead, Some(found)) => {
            format!(
                "{began}, last seen {} after {seen}, found dead {}",
                clock(story.last_seen),
                short(found)
            )
        }
        (End::Alive, _) => format!("{began}, {} ago", took(run.started_at, report.made_at)),
        _ => format!("{began}, last seen {} after {seen}", clock(story.last_seen)),
    }
}

fn output(sheet: &mut Sheet<'_>, report: &Report) -> io::Result<()> {
    let own = report.run.run.number;
    for tail in report.output.iter().filter(|tail| !tail.lines.is_empty()) {
        let of = match tail.run == own {
            true => String::new(),
            false => format!("of run {}, ", tail.run),
        };
        let which = if tail.cut { "its end, in" } else { "all of" };
        sheet.section("output", &format!("{of}{which} {}", tail.path))?;
        for line in &tail.lines {
            sheet.quoted(line)?;
        }
    }
    Ok(())
}

fn transactions(sheet: &mut Sheet<'_>, report: &Report) -> io::Result<()> {
    let story = &report.run;
    if story.txns.is_empty() {
        return Ok(());
    }
    let from = story.txns.len().saturating_sub(TXNS_MAX);
    let before = match (from, story.more_txns) {
        (0, false) => String::new(),
        (_, true) => "the last of many".to_owned(),
        (earlier, false) => format!("the last of {}", earlier + TXNS_MAX),
    };
    sheet.section("transactions", &before)?;
    let ended = story.ended_at().unwrap_or(report.made_at);
    for txn in &story.txns[from..] {
        let style = state_style(txn.txn.state);
        let (state, label) = (txn.txn.state.as_str(), clean(&txn.txn.label));
        let detail = clean(&detail(txn, ended));
        let number = txn.txn.number;
        sheet.line(&format!(
            "{BOLD}txn {number}{BOLD:#}  {style}{state:<8}{style:#}  {label}  {DIM}{detail}{DIM:#}"
        ))?;
    }
    Ok(())
}

/// Further facts about a transaction.
fn detail(story: &TxnStory, ended: tljournal::Timestamp) -> String {
    let txn = &story.txn;
    let mut said = match (txn.commit_no, txn.state) {
        (None, TxnState::Staging) => format!("in flight, since {}", clock(txn.began_at)),
        (None, _) => format!(
            "began {}, {} before the end",
            clock(txn.began_at),
            took(txn.began_at, ended)
        ),
        (Some(_), TxnState::Committed | TxnState::Aborting) => {
            "committed, but not in place yet".to_owned()
        }
        (Some(_), _) => {
            let until = txn.committed_at.or(txn.ended_at).unwrap_or(txn.began_at);
            format!("{} in {}", clock(txn.began_at), took(txn.began_at, until))
        }
    };
    if story.changes_count > 1 {
        said.push_str(&format!(", {}", count(story.changes_count, "change")));
    }
    if let Some(reason) = &txn.reason {
        said.push_str(&format!("; {reason}"));
    }
    said
}

fn locks(sheet: &mut Sheet<'_>, report: &Report) -> io::Result<()> {
    let story = &report.run;
    let ended = story.ended_at().unwrap_or(report.made_at);
    let mut lines: Vec<(bool, &'static str, String)> = Vec::new();
    for wait in &story.waits {
        lines.push((wait.until.is_none(), "waited", waited(wait, report, ended)));
    }
    for hold in &story.holds {
        lines.push((hold.until.is_none(), "held", held(hold, report.run.end)));
    }
    if lines.is_empty() {
        return Ok(());
    }
    // What it held and waited for at its end comes first.
    lines.sort_by_key(|(at_end, ..)| !at_end);
    sheet.section("locks", "")?;
    for (at_end, word, text) in lines.iter().take(LOCKS_MAX) {
        let style = if *at_end { WARN } else { DIM };
        sheet.wrapped(word, style, text)?;
    }
    sheet.more(lines.len(), LOCKS_MAX)
}

fn waited(wait: &WaitStory, report: &Report, ended: tljournal::Timestamp) -> String {
    let until = match (wait.until, wait.gave_up) {
        (Some(until), false) => format!("{} for {}", clock(wait.from), took(wait.from, until)),
        (Some(until), true) => format!(
            "{} for {}, gave up",
            clock(wait.from),
            took(wait.from, until)
        ),
        (None, _) => match report.run.end {
            End::Alive => format!("since {}, and still", clock(wait.from)),
            End::Well | End::Failed | End::Killed => {
                let length = took(wait.from, ended);
                format!("from {} until its end, {length}", clock(wait.from))
            }
            _ => format!("since {}, until it was killed", clock(wait.from)),
        },
    };
    let mut said = format!("for `{}`, {until}", wait.what);
    for number in &wait.holders {
        let holder = report
            .neighbours
            .iter()
            .find(|other| other.run.number == *number);
        let name = holder.map(|other| run_name(&other.run)).unwrap_or_default();
        said.push_str(&format!("; run {number} ({name}) had it"));
    }
    if let Some(holder) = &wait.holder {
        said.push_str(&format!("; {holder}"));
    }
    said
}

fn held(hold: &HoldStory, end: End) -> String {
    let until = match hold.until {
        Some(until) => format!("{} for {}", clock(hold.from), took(hold.from, until)),
        None if end == End::Alive => format!("since {}", clock(hold.from)),
        None => format!("from {} until its end", clock(hold.from)),
    };
    let waiters: Vec<_> = hold
        .waiters
        .iter()
        .map(|run| format!("run {run}"))
        .collect();
    let waiters = match waiters.is_empty() {
        true => String::new(),
        false => format!("; {} waited for it", waiters.join(", ")),
    };
    format!("`{}`, {}, {until}{waiters}", hold.what, hold.detail)
}

fn events(sheet: &mut Sheet<'_>, report: &Report) -> io::Result<()> {
    let events = &report.run.events;
    if events.is_empty() {
        return Ok(());
    }
    sheet.section("events", "")?;
    let from = events.len().saturating_sub(EVENTS_MAX);
    for event in &events[from..] {
        let path = event.path.as_ref().map(|path| format!("`{path}`: "));
        let text = format!(
            "{} {}{}",
            clock(event.at),
            path.unwrap_or_default(),
            event.detail
        );
        sheet.wrapped(event.kind.as_str(), WARN, &text)?;
    }
    sheet.more(events.len(), EVENTS_MAX)
}

fn meanwhile(sheet: &mut Sheet<'_>, report: &Report) -> io::Result<()> {
    let others = &report.neighbours;
    if others.is_empty() {
        return Ok(());
    }
    sheet.section("meanwhile", "")?;
    let from = others.len().saturating_sub(NEIGHBOURS_MAX);
    for other in &others[from..] {
        let (ended, style) = (other.end.told(&other.run), other.end.style());
        let began = clock(other.run.started_at);
        let started = match other.run.parent == Some(report.run.run.id) {
            true => "  started by it",
            false => "",
        };
        let name = clean(&run_name(&other.run));
        let txns = other.txns.iter().rev().take(2);
        let txns = txns.map(|story| {
            format!(
                "txn {} {} {}",
                story.txn.number,
                story.txn.state.as_str(),
                clean(&story.txn.label)
            )
        });
        let mut did: Vec<_> = txns.collect();
        did.reverse();
        if other.txns.len() > did.len() {
            did.insert(0, format!("{} before", other.txns.len() - did.len()));
        }
        let did = match did.is_empty() {
            true => String::new(),
            false => format!("  {}", did.join("; ")),
        };
        let number = other.run.number;
        sheet.line(&format!(
            "{BOLD}run {number}{BOLD:#}  {DIM}{began}{DIM:#}  {style}{ended}{style:#}  {name}{DIM}{started}{did}{DIM:#}"
        ))?;
    }
    match report.more_neighbours {
        true => sheet.line(&format!("{DIM}and more{DIM:#}")),
        false => sheet.more(others.len(), NEIGHBOURS_MAX),
    }
}

/// What became of the run's changes.
fn now(sheet: &mut Sheet<'_>, report: &Report) -> io::Result<()> {
    if report.differences.is_empty() && report.tags.is_empty() && report.kept.is_empty() {
        return Ok(());
    }
    sheet.section("now", "")?;
    for difference in report.differences.iter().take(DIFFERENCES_MAX) {
        sheet.wrapped("changed", WARN, &changed(difference))?;
    }
    sheet.more(report.differences.len(), DIFFERENCES_MAX)?;
    for tag in report.tags.iter().take(TAGS_MAX) {
        let worth = match (&tag.revoked, tag.alive) {
            (Some(why), _) => format!("revoked: {why}"),
            (None, true) => "valid".to_owned(),
            (None, false) => "not valid, because its run has ended".to_owned(),
        };
        sheet.wrapped("tag", WARN, &format!("`{}`, {worth}", tag.path))?;
    }
    sheet.more(report.tags.len(), TAGS_MAX)?;
    for kept in report.kept.iter().take(KEPT_MAX) {
        sheet.wrapped("kept", DIM, &lies(kept))?;
    }
    sheet.more(report.kept.len(), KEPT_MAX)
}

fn changed(difference: &Difference) -> String {
    let by = difference.by.as_ref().map(|txn| {
        let (number, run) = (txn.number, txn.run.number);
        format!(" by txn {number} ({}) of run {run}", txn.label)
    });
    let by = by.unwrap_or_default();
    format!("`{}`: {}{by}", difference.path, difference.what)
}

fn lies(kept: &Kept) -> String {
    let what = match kept.staged {
        true => "what it had staged",
        false => "what it replaced",
    };
    let size = kept.bytes.map(|size| format!(", {}", bytes(size)));
    format!(
        "{what} in txn {}{}: {}",
        kept.txn,
        size.unwrap_or_default(),
        kept.path
    )
}
