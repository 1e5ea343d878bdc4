use std::io::{self, Write};

use askama::Template;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use tljournal::{EventKind, Finding, RunRecord, TxnState};

use super::draw::{self, Timeline};
use super::findings::{FindingRow, finding_rows};
use super::past::Past;
use super::story::{self, Story};
use super::tables::{self, EventRow, Group, RunRow, TagRow};
use super::words::{clock, day, nanos, span, text};
use crate::ending::End;
use crate::postmortem::Report;
use crate::text::{bytes, count};

const STYLE: &str = include_str!("../../templates/page.css");
const SCRIPT: &str = include_str!("../../templates/page.js");

/// The subject of a page.
pub(crate) struct Subject<'a> {
    /// The path of the journal.
    pub(crate) home: String,
    /// Whether it is the original, not a copy.
    pub(crate) at_home: bool,
    /// The run that is investigated, if there is one.
    pub(crate) run: Option<&'a RunRecord>,
    /// Formats the recorded path of a change, given whether it is relative to the home.
    pub(crate) shown: &'a dyn Fn(&str, bool) -> String,
    /// The findings of a check; `None` if nothing was checked.
    pub(crate) findings: Option<&'a [Finding]>,
    /// The report about the run.
    pub(crate) report: Option<&'a Report>,
}

#[derive(Debug)]
struct Tile {
    name: &'static str,
    value: String,
    note: String,
    bad: bool,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    style: &'static str,
    script: &'static str,
    policy: String,
    title: String,
    verdict: String,
    tone: &'static str,
    explained: String,
    facts: Vec<(&'static str, String)>,
    about: Vec<(&'static str, String)>,
    tiles: Vec<Tile>,
    timeline: Option<&'a Timeline>,
    runs: Vec<RunRow>,
    groups: Vec<Group>,
    events: Vec<EventRow>,
    tags: Vec<TagRow>,
    findings: Option<Vec<FindingRow>>,
    story: Option<Story>,
    cut: bool,
    version: &'static str,
}

/// Writes the page.
pub(crate) fn write(past: &Past, subject: &Subject<'_>, out: &mut dyn Write) -> io::Result<()> {
    let timeline = draw::draw(past);
    let (verdict, tone, explained) = verdict(past, subject.run);
    let page = Page {
        style: STYLE,
        script: SCRIPT,
        policy: policy(),
        title: match subject.run {
            Some(run) => format!("Run {}: {verdict}", run.number),
            None => text(&subject.home, 120),
        },
        verdict,
        tone,
        explained,
        facts: facts(past, subject),
        about: subject.run.map(tables::run_facts).unwrap_or_default(),
        tiles: tiles(past, subject),
        timeline: timeline.as_ref(),
        runs: tables::runs(past, subject.run.map(|run| run.number)),
        groups: tables::groups(past, subject.shown),
        events: tables::events(past),
        tags: tables::tags(past),
        findings: subject.findings.map(finding_rows),
        story: subject.report.map(story::tell),
        cut: past.cut,
        version: env!("CARGO_PKG_VERSION"),
    };
    page.write_into(out)
}

/// Allows nothing but this page: its one style and its one script, by their digests.
fn policy() -> String {
    let digest = |text: &str| {
        let digest = Sha256::digest(text.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(digest)
    };
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

/// The headline, its severity, and a sentence.
fn verdict(past: &Past, run: Option<&RunRecord>) -> (String, &'static str, String) {
    if let Some(run) = run {
        let end = past.end_of(run);
        let headline = match end {
            End::Well => "ended well".to_owned(),
            End::Alive => "is at work".to_owned(),
            End::Unknown => "has no recorded end".to_owned(),
            End::FoundDead | End::SeenDead => "was found dead".to_owned(),
            End::Failed | End::Killed => match run.outcome.as_deref() {
                Some("failed") | None => "failed".to_owned(),
                Some(outcome) => text(outcome, 60),
            },
        };
        let explained = match &run.error {
            Some(error) => text(error, 600),
            None => tables::name_of(run),
        };
        return (headline, tone(end), explained);
    }
    let stuck = past
        .txns
        .iter()
        .filter(|txn| txn.state == TxnState::Stuck)
        .count();
    let open = past.txns.iter().filter(|txn| txn.ended_at.is_none());
    let open = open
        .filter(|txn| !past.alive.contains(&txn.run.number))
        .count();
    match (stuck, open, past.runs.is_empty()) {
        (_, _, true) => ("Nothing is recorded yet".to_owned(), "calm", String::new()),
        (0, 0, _) => (
            "No unfinished transactions".to_owned(),
            "good",
            past.latest_failed().map(latest_failure).unwrap_or_default(),
        ),
        (0, open, _) => (
            format!("{} left unfinished", count(open, "transaction")),
            "bad",
            "tljournal recover finishes committed transactions and rolls back the others"
                .to_owned(),
        ),
        (stuck, _, _) => (
            format!("{} stuck", count(stuck, "transaction")),
            "bad",
            "tljournal fsck explains what blocks them".to_owned(),
        ),
    }
}

/// The latest failure, when there are no current problems.
fn latest_failure(run: &RunRecord) -> String {
    format!(
        "The latest run that failed is {}, {}: {}. Run tljournal postmortem {} to investigate.",
        run.number,
        tables::name_of(run),
        text(run.outcome.as_deref().unwrap_or("failed"), 60),
        run.number
    )
}

fn tone(end: End) -> &'static str {
    match end {
        End::Well => "good",
        End::Alive | End::Unknown => "calm",
        _ => "bad",
    }
}

fn facts(past: &Past, subject: &Subject<'_>) -> Vec<(&'static str, String)> {
    let mut hosts: Vec<_> = past.runs.iter().map(|run| text(&run.host, 60)).collect();
    hosts.sort();
    hosts.dedup();
    let hosts = match &hosts[..] {
        [] => "none".to_owned(),
        [host] => host.clone(),
        [host, others @ ..] => format!("{host} and {} more", others.len()),
    };
    let copied = match subject.at_home {
        true => "",
        false => " (a copy: it was written elsewhere)",
    };
    let mut facts = vec![("Host", hosts)];
    if subject.run.is_some() || !subject.at_home {
        let journal = format!("{}{copied}", text(&subject.home, 200));
        facts.insert(0, ("Journal", journal));
    }
    if let Some(first) = past.runs.first() {
        let last = past.runs.last().unwrap_or(first);
        let (from, to) = (day(first.started_at), day(last.started_at));
        let days = if from == to {
            from
        } else {
            format!("{from} to {to}")
        };
        facts.push(("Shown", days));
    }
    facts.push(("Made", format!("{} {} UTC", day(past.now), clock(past.now))));
    facts.push(("Version", env!("CARGO_PKG_VERSION").to_owned()));
    facts
}

fn tiles(past: &Past, subject: &Subject<'_>) -> Vec<Tile> {
    let tile = |name, value: String, note: String, bad| Tile {
        name,
        value,
        note,
        bad,
    };
    let ends: Vec<_> = past.runs.iter().map(|run| past.end_of(run)).collect();
    let ended = |so: fn(End) -> bool| ends.iter().filter(|end| so(**end)).count();
    let in_state = |state: TxnState| past.txns.iter().filter(|txn| txn.state == state).count();
    let bad_runs = told(&[
        (ended(End::is_failure), "failed"),
        (ended(End::is_death), "found dead"),
    ]);
    let unfinished = past
        .txns
        .iter()
        .filter(|txn| txn.ended_at.is_none())
        .count();
    let bad_txns = told(&[
        (in_state(TxnState::Aborted), "taken back"),
        (unfinished, "unfinished"),
        (in_state(TxnState::Stuck), "stuck"),
    ]);
    let kept: u64 = past
        .txns
        .iter()
        .filter_map(|txn| txn.kept)
        .fold(0, u64::saturating_add);
    let has_kept = past.txns.iter().filter(|txn| txn.kept.is_some()).count();
    let waits = past
        .events
        .iter()
        .filter(|event| event.kind == EventKind::Waited)
        .count();
    let length = |run: &RunRecord| Some(nanos(run.ended_at?) - nanos(run.started_at));
    let mut tiles = Vec::new();
    if let Some(lasted) = subject.run.and_then(length) {
        tiles.push(tile(
            "This run",
            span(lasted),
            "from start to end".to_owned(),
            false,
        ));
    }
    tiles.extend([
        tile(
            "Runs",
            past.runs.len().to_string(),
            or(&bad_runs, "all ended well"),
            !bad_runs.is_empty(),
        ),
        tile(
            "Transactions",
            past.txns.len().to_string(),
            or(&bad_txns, "all applied"),
            unfinished > 0,
        ),
        tile(
            "Events",
            past.events.len().to_string(),
            or(
                &told(&[(
                    waits,
                    if waits == 1 {
                        "long wait"
                    } else {
                        "long waits"
                    },
                )]),
                "no long wait",
            ),
            false,
        ),
        tile(
            "Kept",
            bytes(kept),
            match has_kept {
                0 => "nothing".to_owned(),
                some => format!("of {}", count(some, "transaction")),
            },
            false,
        ),
    ]);
    if let Some(findings) = subject.findings {
        let note = or(
            &told(&[(findings.len(), "listed below")]),
            "nothing is wrong",
        );
        tiles.push(tile(
            "Findings",
            findings.len().to_string(),
            note,
            !findings.is_empty(),
        ));
    }
    tiles
}

/// The numbers of several kinds of things, as text.
fn told(numbers: &[(usize, &str)]) -> String {
    let some = numbers.iter().filter(|(number, _)| *number > 0);
    let words: Vec<_> = some
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    words.join(", ")
}

fn or(words: &str, none: &str) -> String {
    match words {
        "" => none.to_owned(),
        words => words.to_owned(),
    }
}
