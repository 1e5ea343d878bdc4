use std::collections::HashMap;

use tljournal::{ChangeRecord, EventRecord, Image, Kind, RunRecord, TxnRecord, TxnState, Voucher};

use super::past::Past;
use super::words::{TEXT_MAX, clock, day, nanos, span, text};
use crate::commands::views::word;
use crate::ending::End;
use crate::text::{bytes, count};

/// The number of changes listed for a transaction.
pub(super) const CHANGES_MAX: usize = 20;

/// The note for a change that replaced content which was not the journal's own.
pub(super) const DRIFT: &str = "the previous content was not the journal’s own";

/// The CSS class for an end.
pub(super) fn class(end: End) -> &'static str {
    match end {
        End::Well => "well",
        End::Failed | End::Killed => "failed",
        End::FoundDead | End::SeenDead => "dead",
        End::Alive => "alive",
        End::Unknown => "unknown",
    }
}

/// How a run ended, for people.
pub(super) fn told(end: End, run: &RunRecord) -> String {
    text(&end.told(run), 60)
}

/// A row of the table of runs.
#[derive(Debug)]
pub(super) struct RunRow {
    pub(super) number: i64,
    pub(super) end: &'static str,
    pub(super) ended: String,
    pub(super) name: String,
    pub(super) day: String,
    pub(super) clock: String,
    pub(super) lasted: String,
    /// The sort key of the column of durations.
    pub(super) nanos: i64,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) error: Option<String>,
    pub(super) txns: usize,
    pub(super) is_subject: bool,
}

/// The transactions of one run.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) run: i64,
    pub(super) name: String,
    pub(super) day: String,
    pub(super) txns: Vec<TxnRow>,
}

#[derive(Debug)]
pub(super) struct TxnRow {
    pub(super) number: i64,
    pub(super) state: &'static str,
    /// The style of an unusual state.
    pub(super) look: Option<&'static str>,
    pub(super) clock: String,
    pub(super) label: String,
    pub(super) reason: Option<String>,
    pub(super) lengths: [String; 3],
    /// A summary of the changes.
    pub(super) outline: String,
    pub(super) changes: Vec<ChangeRow>,
    pub(super) more: usize,
    pub(super) kept: Option<String>,
    pub(super) undoes: Option<i64>,
}

#[derive(Debug)]
pub(super) struct ChangeRow {
    pub(super) word: &'static str,
    pub(super) path: String,
    pub(super) detail: String,
    pub(super) drift: bool,
}

#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) number: i64,
    pub(super) day: String,
    pub(super) clock: String,
    pub(super) kind: String,
    pub(super) path: String,
    pub(super) detail: String,
    pub(super) run: Option<i64>,
    pub(super) txn: Option<i64>,
}

#[derive(Debug)]
pub(super) struct TagRow {
    pub(super) path: String,
    pub(super) run: String,
    pub(super) valid: bool,
    pub(super) worth: String,
    pub(super) since: String,
}

/// The name of a run: its label, or else its command.
pub(super) fn name_of(run: &RunRecord) -> String {
    match run.label.as_deref().filter(|label| !label.is_empty()) {
        Some(label) => text(label, 120),
        None => text(&called(&run.argv), 120),
    }
}

/// A command line without the directory of its program.
fn called(argv: &str) -> String {
    let end = argv.find(' ').unwrap_or(argv.len());
    let (program, arguments) = argv.split_at(end);
    let name = program.rsplit('/').next().unwrap_or(program);
    format!("{name}{arguments}")
}

/// The durations of a transaction's phases, as text.
pub(super) fn lengths(txn: &TxnRecord) -> String {
    let words = ["staging", "waiting", "committing"];
    let told = phase_lengths(txn).into_iter().zip(words);
    let told = told.filter_map(|(length, word)| Some(format!("{word} {}", span(length?))));
    told.collect::<Vec<_>>().join(", ")
}

/// Staging, waiting for the commit lock, and committing with applying.
fn phase_lengths(txn: &TxnRecord) -> [Option<i64>; 3] {
    let at = |time: Option<tljournal::Timestamp>| time.map(nanos);
    let began = nanos(txn.began_at);
    let (staged, locked, ended) = (at(txn.staged_at), at(txn.locked_at), at(txn.ended_at));
    let between = |from: Option<i64>, to: Option<i64>| Some((to? - from?).max(0));
    // Older rows only have the start and the end.
    let first = staged.or(ended.filter(|_| locked.is_none()));
    [
        between(Some(began), first),
        between(staged, locked),
        between(locked, ended),
    ]
}

pub(super) fn runs(past: &Past, subject: Option<i64>) -> Vec<RunRow> {
    let mut txns: HashMap<i64, usize> = HashMap::new();
    for txn in &past.txns {
        *txns.entry(txn.run.number).or_default() += 1;
    }
    let rows = past.runs.iter().rev().map(|run| {
        let end = past.end_of(run);
        let until = match end {
            End::Alive => Some(past.now),
            _ => run.ended_at,
        };
        let length = until.map(|at| nanos(at) - nanos(run.started_at));
        RunRow {
            number: run.number,
            end: class(end),
            ended: told(end, run),
            name: name_of(run),
            day: day(run.started_at),
            clock: clock(run.started_at),
            lasted: length.map(span).unwrap_or_default(),
            nanos: length.unwrap_or(-1),
            facts: run_facts(run),
            error: run.error.as_deref().map(|error| text(error, 1000)),
            txns: txns.get(&run.number).copied().unwrap_or_default(),
            is_subject: subject == Some(run.number),
        }
    });
    rows.collect()
}

fn user(run: &RunRecord) -> String {
    match &run.account {
        Some(account) => text(account, 60),
        None => format!("uid {}", run.uid),
    }
}

/// Further facts about a run.
pub(super) fn run_facts(run: &RunRecord) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("command", text(&run.argv, 1000)),
        ("directory", text(&run.cwd, TEXT_MAX)),
        (
            "process",
            format!("{} of {} on {}", run.pid, user(run), text(&run.host, 80)),
        ),
    ];
    let mut add = |word, value: Option<String>| facts.extend(value.map(|value| (word, value)));
    add(
        "container",
        run.container.as_deref().map(|name| text(name, TEXT_MAX)),
    );
    add(
        "started by",
        run.parent.map(|parent| format!("run {parent}")),
    );
    add("output", run.log.as_deref().map(|log| text(log, TEXT_MAX)));
    add("version", Some(text(&run.version, 40)));
    add("id", Some(run.id.to_string()));
    facts
}

/// The transactions by run, latest first.
pub(super) fn groups(past: &Past, shown: &dyn Fn(&str, bool) -> String) -> Vec<Group> {
    let mut by_run: HashMap<i64, Vec<TxnRow>> = HashMap::new();
    for txn in &past.txns {
        let changes = past.changes.get(&txn.number);
        let changes = changes.map_or((&[][..], 0), |(first, count)| (first, *count));
        let row = txn_row(txn, changes, shown);
        by_run.entry(txn.run.number).or_default().push(row);
    }
    let groups = past.runs.iter().rev().filter_map(|run| {
        Some(Group {
            run: run.number,
            name: name_of(run),
            day: day(run.started_at),
            txns: by_run.remove(&run.number)?,
        })
    });
    groups.collect()
}

fn txn_row(
    txn: &TxnRecord,
    (changes, count_of_all): (&[ChangeRecord], usize),
    shown: &dyn Fn(&str, bool) -> String,
) -> TxnRow {
    let rows = changes.iter().map(|change| ChangeRow {
        word: word(change.op),
        path: text(&shown(&change.path, change.in_home), TEXT_MAX),
        detail: detail(change),
        drift: change.drift,
    });
    let rows: Vec<_> = rows.collect();
    let outline = match &rows[..] {
        [] => "no change".to_owned(),
        [only] => format!("{} {}", only.word, only.path),
        _ => count(count_of_all, "change"),
    };
    let lengths = phase_lengths(txn);
    TxnRow {
        number: txn.number,
        state: txn.state.as_str(),
        look: look(txn.state),
        clock: clock(txn.began_at),
        label: text(&txn.label, TEXT_MAX),
        reason: txn.reason.as_deref().map(|reason| text(reason, 1000)),
        lengths: lengths.map(|length| length.map(span).unwrap_or_default()),
        outline,
        more: count_of_all.saturating_sub(rows.len()),
        changes: rows,
        kept: txn.kept.map(bytes),
        undoes: txn.undoes,
    }
}

/// The style of an unusual state.
fn look(state: TxnState) -> Option<&'static str> {
    (state != TxnState::Applied).then(|| state.as_str())
}

fn detail(change: &ChangeRecord) -> String {
    let mut told = match (&change.before, &change.after) {
        (None, Some(after)) => format!("new, {}", image(after)),
        (Some(before), Some(after)) if image(before) == image(after) => image(after),
        (Some(before), Some(after)) => format!("{}, was {}", image(after), image(before)),
        (Some(before), None) => format!("was {}", image(before)),
        (None, None) => "nothing was there".to_owned(),
    };
    if let Some(target) = &change.target {
        told.push_str(" → ");
        told.push_str(&text(target, TEXT_MAX));
    }
    if let Some(digest) = change.digest {
        let digest = digest.to_string();
        let hex = digest.rsplit(':').next().unwrap_or_default();
        told.push_str(", ");
        told.extend(hex.chars().take(12));
    }
    told
}

fn image(image: &Image) -> String {
    match image.kind {
        Kind::File => format!("{} {:04o}", bytes(image.size), image.mode),
        Kind::Dir => format!("directory {:04o}", image.mode),
        other => other.as_str().to_owned(),
    }
}

pub(super) fn events(past: &Past) -> Vec<EventRow> {
    let rows = past
        .events
        .iter()
        .rev()
        .map(|event: &EventRecord| EventRow {
            number: event.number,
            day: day(event.at),
            clock: clock(event.at),
            kind: text(event.kind.as_str(), 40),
            path: event
                .path
                .as_deref()
                .map(|path| text(path, TEXT_MAX))
                .unwrap_or_default(),
            detail: text(&event.detail, 400),
            run: event.run,
            txn: event.txn,
        });
    rows.collect()
}

pub(super) fn tags(past: &Past) -> Vec<TagRow> {
    let rows = past.vouchers.iter().map(|voucher: &Voucher| TagRow {
        path: text(&voucher.path, TEXT_MAX),
        run: match &voucher.process {
            Some(run) => format!("run {}, {}", run.number, name_of(run)),
            None => format!("run {}", voucher.run),
        },
        valid: voucher.is_valid(),
        worth: match (&voucher.revoked, voucher.alive) {
            (Some(why), _) => format!("revoked: {}", text(why, TEXT_MAX)),
            (None, true) => "valid".to_owned(),
            (None, false) => "its run has ended: not valid".to_owned(),
        },
        since: format!("{} {}", day(voucher.since), clock(voucher.since)),
    });
    rows.collect()
}
