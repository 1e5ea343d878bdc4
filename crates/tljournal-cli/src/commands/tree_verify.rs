use serde_json::{Value, json};
use tljournal::{Difference, DifferenceKind, NamedPath};

use super::views::mode;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BAD, GOOD};
use crate::progress::Progress;
use crate::session::Session;
use crate::text::{clean, count};
use crate::time;

const EXAMPLE: &str = "\
Example:
  tljournal tree verify build/tools --full
";

/// Compare a tree with its manifest
///
/// Compares the metadata of each entry, or all content with --full. Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_VERIFY))]
pub(crate) struct Args {
    /// The path of the tree, relative to the root
    path: NamedPath,
    /// Read all content, whatever its metadata says
    #[arg(long)]
    full: bool,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let path = session.below_root(&args.path)?;
    let path = path.as_str();
    let progress = Progress::start(&format!("verify {path}"), session.output.shows_progress());
    let inspection = session.inspect()?;
    let differences = inspection.verify(path, args.full)?;
    drop(progress);
    let json = || {
        let listed: Vec<_> = differences.iter().map(difference_json).collect();
        json!({
            "command": "tree verify",
            "path": path,
            "full": args.full,
            "whole": differences.is_empty(),
            "differences": listed,
        })
    };
    session.output.result(json, |out| {
        let path = clean(path);
        for found in &differences {
            writeln!(
                out,
                "{path}: `{}` {}",
                clean(&found.path),
                clean(&said(&found.what))
            )?;
        }
        match differences.len() {
            0 => writeln!(out, "{GOOD}whole{GOOD:#} {path}"),
            number => writeln!(
                out,
                "{BAD}damaged{BAD:#} {path}: {}",
                count(number, "difference")
            ),
        }
    })?;
    Ok(match differences.is_empty() {
        true => Exit::Done,
        false => Exit::Damaged,
    })
}

/// The difference, for display.
fn said(what: &DifferenceKind) -> String {
    match what {
        DifferenceKind::Mtime { expected, found } => format!(
            "has mtime {} instead of {}",
            time::exact(*found),
            time::exact(*expected)
        ),
        other => other.to_string(),
    }
}

fn difference_json(difference: &Difference) -> Value {
    let (kind, expected, found): (_, Value, Value) = match &difference.what {
        DifferenceKind::Missing => ("missing", Value::Null, Value::Null),
        DifferenceKind::Extra => ("extra", Value::Null, Value::Null),
        DifferenceKind::Kind { expected, found } => {
            ("kind", expected.as_str().into(), found.as_str().into())
        }
        DifferenceKind::Content => ("content", Value::Null, Value::Null),
        DifferenceKind::Size { expected, found } => ("size", (*expected).into(), (*found).into()),
        DifferenceKind::Mode { expected, found } => {
            ("mode", mode(*expected).into(), mode(*found).into())
        }
        DifferenceKind::Mtime { expected, found } => (
            "mtime",
            time::exact(*expected).into(),
            time::exact(*found).into(),
        ),
        DifferenceKind::Target { expected, found } => {
            ("target", expected.as_str().into(), found.as_str().into())
        }
        DifferenceKind::HardLinks => ("hard links", Value::Null, Value::Null),
        _ => ("other", Value::Null, Value::Null),
    };
    json!({
        "path": difference.path,
        "kind": kind,
        "expected": expected,
        "found": found,
        "message": said(&difference.what),
    })
}
