//! Everything about a run in one file for a bug report.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};

use camino::Utf8Path;
use tar::{Builder, Header};
use tljournal::{Inspection, Redactor, RunRecord};

use super::html::Page;
use super::report::Report;
use super::{as_json, print};
use crate::failure::Failure;
use crate::outfile;
use crate::output::SCHEMA;
use crate::safe::escaped_json;
use crate::session::Session;
use crate::terminal::Terminal;
use crate::text::bytes;
use crate::time;

/// How much of one log is packed, in bytes.
const LOG_BYTES_MAX: u64 = 4 << 20;
/// How much of all logs together.
const LOGS_BYTES_MAX: u64 = 32 << 20;
/// Good compression at the speed of a disk.
const LEVEL: i32 = 6;
/// The home in the bundle, where commands find it.
const HOME: &str = "build";

/// The result of packing.
pub(crate) struct Packed {
    pub(crate) bytes: u64,
    /// What is not included.
    pub(crate) left_out: Vec<String>,
}

/// The end of a log, redacted.
struct PackedLog {
    /// The path below the home.
    path: String,
    text: Vec<u8>,
    written_at: u64,
}

/// Packs the database, the report and the logs of a run and of related runs.
pub(crate) fn pack(
    session: &Session,
    inspection: &Inspection,
    report: &Report,
    to: &Utf8Path,
) -> Result<Packed, Failure> {
    let failed = |source| Failure::io("pack the database", source);
    let mut database = tempfile::Builder::new();
    let database = database.prefix(".unfinished-");
    let database = match outfile::scratch_beside(to)? {
        // Not in the system's temporary directory, because it can be large and that may be in memory.
        Some(dir) => database.tempfile_in(dir),
        None => database.tempfile(),
    };
    let database = database.map_err(failed)?;
    let path = Utf8Path::from_path(database.path());
    let path = path.ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    inspection.pack_database(path)?;
    let (logs, mut left_out) = logs(inspection, report)?;
    left_out.extend(NEVER_PACKED.map(str::to_owned));
    let page = Page::read(session, inspection, report)?;
    let name = format!("postmortem-{}", report.run.run.number);
    let bytes = outfile::write(session, to, |out| {
        let mut archive = Archive::begin(out, &name, report)?;
        archive.add("README.txt", read_me(report, &left_out).as_bytes())?;
        archive.add("report.txt", &as_text(report)?)?;
        let mut json = as_json(report);
        json["schema"] = SCHEMA.into();
        archive.add(
            "report.json",
            escaped_json(&format!("{json:#}\n")).as_bytes(),
        )?;
        let mut html = Vec::new();
        page.write(&mut html)?;
        archive.add("report.html", &html)?;
        archive.add_file(&format!("{HOME}/.state.db"), database.as_file())?;
        for log in &logs {
            archive.add_at(&format!("{HOME}/{}", log.path), &log.text, log.written_at)?;
        }
        archive.finish()
    })?;
    Ok(Packed { bytes, left_out })
}

/// What a bug report never includes.
const NEVER_PACKED: [&str; 3] = [
    "the project's files, and staged or kept content (so no keys either)",
    "the environment of the runs, which is not recorded",
    "recognized secrets in arguments, errors and output, which are replaced by [redacted]",
];

fn logs(
    inspection: &Inspection,
    report: &Report,
) -> Result<(Vec<PackedLog>, Vec<String>), Failure> {
    let around = report.parents.iter().rev().chain(&report.neighbours);
    let runs = std::iter::once(&report.run)
        .chain(around)
        .map(|story| &story.run);
    let (mut logs, mut left_out, mut room) = (Vec::new(), Vec::new(), LOGS_BYTES_MAX);
    for run in runs {
        for end in inspection.log_ends(run.id, LOG_BYTES_MAX)? {
            let size = end.bytes.len() as u64;
            if size > room {
                left_out.push(format!(
                    "the log of run {}: there were too many",
                    run.number
                ));
                continue;
            }
            room -= size;
            if end.cut {
                let most = bytes(LOG_BYTES_MAX);
                left_out.push(format!("all but the last {most} of {}", end.path));
            }
            // Older versions stored it unredacted.
            let (mut text, mut redactor) = (Vec::new(), Redactor::default());
            redactor.push(&end.bytes, &mut text);
            redactor.finish(&mut text);
            logs.push(PackedLog {
                path: end.path,
                text,
                written_at: u64::try_from(end.written_at.secs()).unwrap_or(0),
            });
        }
    }
    Ok((logs, left_out))
}

/// The report as plain text.
fn as_text(report: &Report) -> io::Result<Vec<u8>> {
    let terminal = Terminal {
        columns: Some(100),
        utf8: true,
    };
    let mut text = anstream::StripStream::new(Vec::new());
    print(&mut text, report, terminal)?;
    Ok(text.into_inner())
}

fn read_me(report: &Report, left_out: &[String]) -> String {
    let RunRecord {
        number,
        id,
        version,
        ..
    } = &report.run.run;
    let mut text = format!(
        "Report of tljournal {} about run {number} ({id}), which ran with tljournal {version}.\n\
         Packed {} from {}.\n\n\
         README.txt       this\n\
         report.txt       what happened, on one screen\n\
         report.json      the same with all details\n\
         report.html      the same for a browser, with a timeline; it needs no network\n\
         {HOME}/.state.db  the database of the journal, with all runs, as one file\n\
         {HOME}/.state/log the output of this run and of related runs\n\n\
         More commands: tljournal --root . log\n\
         (and with show, diff, blame, runs, postmortem)\n\n\
         Left out:\n",
        env!("CARGO_PKG_VERSION"),
        time::short(report.made_at),
        report.home,
    );
    for what in left_out {
        // Writing to a string does not fail.
        let _ = writeln!(text, "- {what}");
    }
    text
}

/// The archive, with one top-level directory.
struct Archive<'a, W: Write> {
    tar: Builder<zstd::Encoder<'static, W>>,
    name: &'a str,
    made_at: u64,
}

impl<'a, W: Write> Archive<'a, W> {
    fn begin(out: W, name: &'a str, report: &Report) -> io::Result<Self> {
        let tar = Builder::new(zstd::Encoder::new(out, LEVEL)?);
        let made_at = u64::try_from(report.made_at.secs()).unwrap_or(0);
        Ok(Self { tar, name, made_at })
    }

    fn add(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.add_at(path, content, self.made_at)
    }

    fn add_at(&mut self, path: &str, content: &[u8], mtime: u64) -> io::Result<()> {
        self.append(path, content, content.len() as u64, mtime)
    }

    fn add_file(&mut self, path: &str, file: &File) -> io::Result<()> {
        self.append(path, file, file.metadata()?.len(), self.made_at)
    }

    fn append(&mut self, path: &str, content: impl Read, size: u64, mtime: u64) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(size);
        header.set_mtime(mtime);
        let path = format!("{}/{path}", self.name);
        self.tar.append_data(&mut header, path, content)
    }

    fn finish(self) -> io::Result<()> {
        self.tar.into_inner()?.finish()?;
        Ok(())
    }
}
