use serde_json::json;

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::BOLD;
use crate::session::Session;
use crate::text::clean;

const EXAMPLE: &str = "\
Examples:
  tljournal init
  tljournal init --root ../project --home out
";

/// Create a journal in the current directory, or in --root
///
/// Its home is created if it is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_CHANGES))]
pub(crate) struct Args {
    /// Exit with 1 if a journal already exists
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let (journal, home, known) = session.make()?;
    session.close(journal);
    session.output.result(
        || json!({"command": "init", "changed": !known, "home": home.as_str()}),
        |out| {
            let home = clean(home.as_str());
            match known {
                true => writeln!(out, "unchanged {home}"),
                false => writeln!(out, "{BOLD}init{BOLD:#} {home}"),
            }
        },
    )?;
    Ok(match known && args.exit_code {
        true => Exit::Nothing,
        false => Exit::Done,
    })
}
