use std::io::{self, Write};

use serde_json::json;
use tljournal::{RebuildOptions, Rebuilt};

use super::{Args, Found, print, status};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{BAD, GOOD, Output, WARN};
use crate::progress::Progress;
use crate::session::Session;
use crate::text::{clean, count};

/// Creates a new database, and checks with it.
pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let how = RebuildOptions {
        adopt: session.all_below_root(&args.tree)?,
        force: args.force,
    };
    let progress = Progress::start("rebuild", session.output.shows_progress());
    let rebuilt = session.journal_options()?.rebuild(&how)?;
    drop(progress);
    let silent = Output {
        quiet: true,
        ..session.output
    };
    let options = args.options(session)?;
    let found = Found::look(session, &options, silent)?;
    session.output.result(
        || {
            let mut value = found.json(&options);
            value["rebuilt"] = json!({
                "rows": rebuilt.rows.iter().map(|(table, rows, lost)| {
                    json!({"table": table, "saved": rows, "lost": lost})
                }).collect::<Vec<_>>(),
                "cut": rebuilt.cut,
                "entries": rebuilt.entries,
                "dropped": rebuilt.dropped,
                "adopted": rebuilt.adopted,
                "kept": rebuilt.kept,
            });
            value
        },
        |out| {
            told(out, &rebuilt)?;
            writeln!(out)?;
            print::summary(out, &found.report, &found.findings)
        },
    )?;
    Ok(match found.report.is_clean() {
        true => Exit::Passed(status::CORRECTED),
        false => Exit::Passed(status::ERRORS_LEFT),
    })
}

fn told(out: &mut dyn Write, rebuilt: &Rebuilt) -> io::Result<()> {
    for (table, rows, lost) in &rebuilt.rows {
        let lost = match lost {
            0 => String::new(),
            lost => format!(", {WARN}{lost} invalid{WARN:#}"),
        };
        writeln!(
            out,
            "saved    {table:<10} {}{lost}",
            count(*rows as usize, "row")
        )?;
    }
    for table in &rebuilt.cut {
        writeln!(
            out,
            "{BAD}cut{BAD:#}      {table:<10} a page is damaged: there may have been more"
        )?;
    }
    writeln!(
        out,
        "{GOOD}agrees{GOOD:#}   {} with what is on disk",
        count(rebuilt.entries as usize, "path")
    )?;
    for path in &rebuilt.dropped {
        writeln!(
            out,
            "{WARN}dropped{WARN:#}  {}: it differs from its record",
            clean(path)
        )?;
    }
    for path in &rebuilt.adopted {
        writeln!(out, "{GOOD}adopted{GOOD:#}  {}", clean(path))?;
    }
    match &rebuilt.kept {
        Some(kept) => writeln!(out, "the old database is kept at {}", clean(kept)),
        None => Ok(()),
    }
}
