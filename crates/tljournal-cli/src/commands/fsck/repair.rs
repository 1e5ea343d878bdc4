use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::{Value, json};
use tljournal::{Code, Finding, FsckOptions, Mend, Repair, RepairOptions, Severity};

use super::{Args, Found, interrupt, print, status};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, BOLD, GOOD, Output, WARN};
use crate::session::Session;
use crate::text::clean;

/// Checks, repairs, and checks again.
pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    if let Some(source) = &args.source {
        // Checked even if it is not needed, because the user named it.
        std::fs::metadata(source)
            .map_err(|error| Failure::io(format!("open the source `{source}`"), error))?;
    }
    let options = args.options(session)?;
    interrupt::stops(&options.watch);
    let before = Found::look(session, &options, session.output)?;
    before.refuse_partial()?;
    before.refuse_unknown()?;
    let mut repairs = Vec::new();
    let mut ended = !before.report.cancelled;
    if ended && is_beyond(&before) {
        session.output.note(
            WARN,
            "not repaired",
            "the database is damaged: run `tljournal fsck --rebuild` first",
        );
    } else if ended && has_repairs(&before) {
        ended = repair(session, args, &options, &before, &mut repairs)?;
    }
    // A used watch would end the check at once.
    let again = FsckOptions {
        watch: FsckOptions::default().watch,
        ..options.clone()
    };
    interrupt::stops(&again.watch);
    let silent = Output {
        quiet: true,
        ..session.output
    };
    let after = match ended && !repairs.is_empty() {
        true => Some(Found::look(session, &again, silent)?),
        false => None,
    };
    let left = after.as_ref().unwrap_or(&before);
    session.output.result(
        || as_json(&before, left, &repairs, &options),
        |out| print_end(out, left, &repairs),
    )?;
    left.refuse_partial()?;
    let cancelled = !ended || left.report.cancelled;
    Ok(match (cancelled, left.report.is_clean()) {
        (true, _) => Exit::Passed(status::CANCELLED),
        (false, false) => Exit::Passed(status::ERRORS_LEFT),
        (false, true) if before.report.is_clean() => Exit::Done,
        (false, true) => Exit::Passed(status::CORRECTED),
    })
}

/// Whether the database is unusable: opening the journal for work would create a new one.
fn is_beyond(found: &Found) -> bool {
    let is_beyond = |finding: &Finding| match finding.code {
        Code::DatabaseDamaged
        | Code::DatabaseForeign
        | Code::DatabaseMissing
        | Code::DatabaseNewer => true,
        // Something planted elsewhere does not prevent other repairs.
        Code::Planted => finding.path.rsplit('/').next().is_some_and(is_of_database),
        _ => false,
    };
    found.findings.iter().any(is_beyond)
}

/// Whether a file with this name belongs to the database, or is the directory that it needs.
fn is_of_database(name: &str) -> bool {
    name.starts_with(".state")
}

/// Whether a finding can be repaired.
fn has_repairs(found: &Found) -> bool {
    let mends = |mend| matches!(mend, Mend::Repair | Mend::WithContent | Mend::WhenPossible);
    let mut codes = found.findings.iter().map(|finding| finding.code);
    codes.any(|code| mends(code.mend()))
}

/// Repairs, and prints each result. Returns whether it was completed.
fn repair(
    session: &Session,
    args: &Args,
    options: &FsckOptions,
    found: &Found,
    repairs: &mut Vec<Repair>,
) -> Result<bool, Failure> {
    let how = RepairOptions {
        source: args.source.clone(),
        paths: options.paths.clone(),
        watch: options.watch.clone(),
    };
    let watch = options.watch.clone();
    let journal = match session.work_until(move || watch.is_stopped()) {
        Err(_) if options.watch.is_stopped() => return Ok(false),
        opened => opened?,
    };
    let mut told = |repair: Repair| {
        print(session.output, &repair);
        repairs.push(repair);
        ControlFlow::Continue(())
    };
    let ended = journal.repair(&found.findings, &how, &mut told);
    session.close(journal);
    match ended {
        Err(_) if options.watch.is_stopped() => Ok(false),
        ended => Ok(ended?),
    }
}

fn print(output: Output, repair: &Repair) {
    if output.json || output.quiet {
        return;
    }
    // Without a reader the repairs continue.
    let _ = output::to_stdout(&said(repair));
}

fn said(repair: &Repair) -> String {
    let (style, word) = match repair.mended {
        true => (GOOD, "repaired"),
        false => (WARN, "left"),
    };
    let (code, path) = (repair.code.as_str(), clean(&repair.path));
    let text = clean(&repair.text);
    match path.is_empty() {
        true => format!("{style}{word:<8}{style:#}{code:<18}{text}\n"),
        false => format!(
            "{style}{word:<8}{style:#}{code:<18}{BOLD}{path}{BOLD:#}\n{:26}{text}\n",
            ""
        ),
    }
}

fn print_end(out: &mut dyn Write, left: &Found, repairs: &[Repair]) -> io::Result<()> {
    let mended = repairs.iter().filter(|repair| repair.mended).count();
    if !repairs.is_empty() {
        writeln!(
            out,
            "\n{mended} repaired, {} left; now:",
            repairs.len() - mended
        )?;
    }
    let of_note = |severity| severity > Severity::Notice;
    let findings = left
        .findings
        .iter()
        .filter(|finding| of_note(finding.severity()));
    let findings: Vec<_> = findings.cloned().collect();
    print::summary(out, &left.report, &findings)
}

fn as_json(before: &Found, left: &Found, repairs: &[Repair], options: &FsckOptions) -> Value {
    let mut value = left.json(options);
    let repair = |repair: &Repair| {
        json!({
            "code": repair.code.as_str(),
            "path": repair.path,
            "mended": repair.mended,
            "text": repair.text,
        })
    };
    if let Value::Object(fields) = &mut value {
        let found: Vec<_> = before.findings.iter().map(super::finding_json).collect();
        fields.insert("found".to_owned(), found.into());
        let repairs: Vec<_> = repairs.iter().map(repair).collect();
        fields.insert("repairs".to_owned(), repairs.into());
    }
    value
}
