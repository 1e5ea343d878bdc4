use serde_json::json;
use tljournal::RelPath;

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BAD, GOOD};
use crate::progress::Progress;
use crate::session::Session;
use crate::text::{clean, count};

/// Compares a tree with what was installed: by what the filesystem says of each entry, or by all the
/// content with --full. Changes nothing; works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::OF_VERIFY)]
pub(crate) struct Args {
    /// Where the tree is, relative to the root
    path: RelPath,
    /// Read all the content, whatever the filesystem says
    #[arg(long)]
    full: bool,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let path = args.path.as_str();
    let progress = Progress::start(&format!("verify {path}"), session.output.shows_progress());
    let inspection = session.inspect()?;
    let differences = inspection.verify(path, args.full)?;
    drop(progress);
    let json = || {
        let listed: Vec<_> = differences
            .iter()
            .map(|found| json!({"path": found.path, "what": found.what.to_string()}))
            .collect();
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
            writeln!(out, "{path}: {}", clean(&found.to_string()))?;
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
