use std::io::{self, Write};

use anstyle::Style;
use serde_json::{Value, json};
use tljournal::{EntryDiff, Inspection, Kind, Op, PathDiff, RelPath, TxnRecord, Version};

use super::views::{mode, short, state_style, the_txn, txn_json, version, version_json, word};
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BAD, BOLD, DIM, GOOD, WARN};
use crate::session::Session;
use crate::text::{bytes, clean};
use crate::unified::{self, Line};

const AFTER: &str = "\
Examples:
  tljournal diff 12           what transaction 12 changed, with the lines of small texts
  tljournal diff 12 --stat    only what was added, removed and modified
  tljournal diff 12 --json

Lines are compared where both contents are still on disk or kept. Times that alone differ are `touched`.
";

/// Show what a transaction changed
///
/// For each path what was added, removed or modified, with sizes, digests and modes; for trees entry by entry;
/// for small texts line by line. Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_SHOW))]
pub(crate) struct Args {
    /// Its number, its id, or the beginning of its id, at least four digits
    #[arg(value_name = "TXN")]
    name: String,
    /// Omit the lines of texts
    #[arg(long)]
    stat: bool,
}

/// A path with all its differences.
struct Seen {
    diff: PathDiff,
    entries: Vec<Entry>,
}

/// One file, link or directory that differs.
struct Entry {
    /// Below the path of the change; empty if it is that.
    path: String,
    before: Option<Version>,
    after: Option<Version>,
    text: Text,
}

/// The differences of a file's text.
enum Text {
    /// No text is shown.
    Nothing,
    /// The text is not available, with the reason.
    Missing(&'static str),
    /// The changed lines.
    Lines(Vec<(Line, String)>),
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = session.inspect()?;
    let history = inspection.history();
    let txn = the_txn(&history, &args.name)?;
    let mut seen = Vec::new();
    for diff in history.diff(txn.number)? {
        seen.push(look(&inspection, diff, args.stat)?);
    }
    session
        .output
        .result(|| as_json(&txn, &seen), |out| print(out, &txn, &seen, args))?;
    Ok(Exit::Done)
}

fn look(inspection: &Inspection, diff: PathDiff, stat: bool) -> Result<Seen, Failure> {
    let differing = match &diff.entries {
        Some(entries) => entries.clone(),
        None if diff.before == diff.after => Vec::new(),
        None => {
            let mut whole = EntryDiff::default();
            (whole.before, whole.after) = (diff.before.clone(), diff.after.clone());
            vec![whole]
        }
    };
    let mut entries = Vec::new();
    for EntryDiff {
        path,
        before,
        after,
        ..
    } in differing
    {
        let text = match stat {
            true => Text::Nothing,
            false => text(
                inspection,
                &within(&diff.path, &path),
                before.as_ref(),
                after.as_ref(),
            )?,
        };
        entries.push(Entry {
            path,
            before,
            after,
            text,
        });
    }
    Ok(Seen { diff, entries })
}

fn within(path: &str, entry: &str) -> String {
    match entry {
        "" => path.to_owned(),
        entry => format!("{path}/{entry}"),
    }
}

/// The changed lines between two contents of a file.
fn text(
    inspection: &Inspection,
    path: &str,
    before: Option<&Version>,
    after: Option<&Version>,
) -> Result<Text, Failure> {
    let (Some(before), Some(after)) = (before, after) else {
        return Ok(Text::Nothing);
    };
    let files = before.kind == Kind::File && after.kind == Kind::File;
    // A path below the home of a copy may not be below the root.
    let (true, Ok(path)) = (files, RelPath::new(path)) else {
        return Ok(Text::Nothing);
    };
    if before.digest == after.digest && before.digest.is_some() {
        return Ok(Text::Nothing);
    }
    if before.digest.is_none() {
        return Ok(Text::Missing(
            "the previous content was not the journal's own",
        ));
    }
    if before.size.max(after.size) > unified::TEXT_BYTES_MAX {
        return Ok(Text::Missing("too long to be compared"));
    }
    let content = |version| inspection.content(&path, version, unified::TEXT_BYTES_MAX);
    let (Some(old), Some(new)) = (content(before)?, content(after)?) else {
        return Ok(Text::Missing(
            "the content is not available, or is a private key",
        ));
    };
    Ok(match (unified::text(&old), unified::text(&new)) {
        (Some(old), Some(new)) => Text::Lines(unified::lines(old, new)),
        _ => Text::Missing("binary"),
    })
}

impl Entry {
    /// The kind of change, for programs.
    fn change(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "added",
            (Some(_), None) => "removed",
            (Some(before), Some(after)) => {
                let same = (before.kind, before.mode, before.digest, &before.target)
                    == (after.kind, after.mode, after.digest, &after.target);
                let known = before.kind != Kind::File || before.digest.is_some();
                if same && known { "touched" } else { "modified" }
            }
        }
    }

    /// Whether only the mtime of a directory changed, which every change in it causes.
    fn is_noise(&self) -> bool {
        let dir = |version: &Option<Version>| {
            version
                .as_ref()
                .is_some_and(|version| version.kind == Kind::Dir)
        };
        self.change() == "touched" && dir(&self.before)
    }
}

fn as_json(txn: &TxnRecord, seen: &[Seen]) -> Value {
    let text = |text: &Text| match text {
        Text::Nothing => json!({"text": null}),
        Text::Missing(why) => json!({"text": null, "no_text": why}),
        Text::Lines(lines) => {
            let lines: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
            json!({"text": lines.join("\n")})
        }
    };
    let entry = |entry: &Entry| {
        let mut value = text(&entry.text);
        value["path"] = entry.path.as_str().into();
        value["change"] = entry.change().into();
        value["before"] = entry.before.as_ref().map(version_json).into();
        value["after"] = entry.after.as_ref().map(version_json).into();
        value
    };
    let path = |seen: &Seen| {
        json!({
            "path": seen.diff.path,
            "op": seen.diff.op.as_str(),
            "before": seen.diff.before.as_ref().map(version_json),
            "after": seen.diff.after.as_ref().map(version_json),
            "drift": seen.diff.drift,
            "entries": seen.entries.iter().map(entry).collect::<Vec<_>>(),
        })
    };
    json!({
        "command": "diff",
        "txn": txn_json(txn),
        "paths": seen.iter().map(path).collect::<Vec<_>>(),
    })
}

fn print(out: &mut dyn Write, txn: &TxnRecord, seen: &[Seen], args: &Args) -> io::Result<()> {
    let style = state_style(txn.state);
    writeln!(
        out,
        "{BOLD}txn {}{BOLD:#}  {style}{}{style:#}  {}",
        txn.number,
        txn.state.as_str(),
        clean(&txn.label)
    )?;
    let mut total = Total::default();
    for one in seen {
        let note = match () {
            () if one.diff.drift => "  the previous content was not the journal's own",
            () if one.diff.op == Op::Adopt => "  was there already",
            () => "",
        };
        let path = clean(&one.diff.path);
        let verb = word(one.diff.op);
        writeln!(
            out,
            "{BOLD}{path}{BOLD:#}  {DIM}{verb}{DIM:#}{WARN}{note}{WARN:#}"
        )?;
        for entry in one.entries.iter().filter(|entry| !entry.is_noise()) {
            total.add(entry);
            print_entry(out, &one.diff, entry, args.stat)?;
        }
    }
    total.print(out)
}

fn print_entry(out: &mut dyn Write, diff: &PathDiff, entry: &Entry, stat: bool) -> io::Result<()> {
    let (sign, style, what) = match (&entry.before, &entry.after) {
        (None, None) => return Ok(()),
        (None, Some(after)) => ("+", GOOD, version(after)),
        (Some(before), None) => ("-", BAD, version(before)),
        (Some(before), Some(after)) => ("~", WARN, changed(before, after)),
    };
    let name = match entry.path.as_str() {
        "" if diff.entries.is_some() => ".".to_owned(),
        "" => diff.path.rsplit('/').next().unwrap_or_default().to_owned(),
        path => path.to_owned(),
    };
    writeln!(
        out,
        "  {style}{sign} {}{style:#}  {DIM}{what}{DIM:#}",
        clean(&name)
    )?;
    match &entry.text {
        _ if stat => Ok(()),
        Text::Nothing => Ok(()),
        Text::Missing(why) => writeln!(out, "    {DIM}({why}){DIM:#}"),
        Text::Lines(lines) => {
            for (line, text) in lines {
                let style = match line {
                    Line::Place => DIM,
                    Line::Same => Style::new(),
                    Line::Added => GOOD,
                    Line::Removed => BAD,
                };
                writeln!(out, "    {style}{text}{style:#}")?;
            }
            Ok(())
        }
    }
}

/// The differences between two versions, in one line.
fn changed(before: &Version, after: &Version) -> String {
    if before.kind != after.kind {
        return format!("{} -> {}", version(before), version(after));
    }
    let mut parts = Vec::new();
    let mut part = |old: String, new: String| {
        if old != new {
            parts.push(format!("{old} -> {new}"));
        }
    };
    part(bytes(before.size), bytes(after.size));
    part(mode(before.mode), mode(after.mode));
    let target = |version: &Version| version.target.as_deref().map_or("?".to_owned(), clean);
    part(target(before), target(after));
    let digest = |version: &Version| version.digest.map_or("?".to_owned(), short);
    part(digest(before), digest(after));
    match parts.is_empty() {
        true => "only its time".to_owned(),
        false => parts.join(", "),
    }
}

/// Totals.
#[derive(Default)]
struct Total {
    added: usize,
    removed: usize,
    modified: usize,
    touched: usize,
    bytes: i128,
}

impl Total {
    fn add(&mut self, entry: &Entry) {
        *match entry.change() {
            "added" => &mut self.added,
            "removed" => &mut self.removed,
            "touched" => &mut self.touched,
            _ => &mut self.modified,
        } += 1;
        let size = |version: &Option<Version>| version.as_ref().map_or(0, |it| i128::from(it.size));
        self.bytes += size(&entry.after) - size(&entry.before);
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let parts = [
            (self.added, "added"),
            (self.removed, "removed"),
            (self.modified, "modified"),
            (self.touched, "touched"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if parts.is_empty() {
            return writeln!(out, "nothing differs");
        }
        let sign = if self.bytes < 0 { '-' } else { '+' };
        let size = u64::try_from(self.bytes.unsigned_abs()).unwrap_or(u64::MAX);
        writeln!(out, "{}; {sign}{}", parts.join(", "), bytes(size))
    }
}
