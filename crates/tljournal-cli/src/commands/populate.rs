use serde_json::json;
use tljournal::NamedPath;

use crate::child::{self, CommandArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::BOLD;
use crate::session::Session;
use crate::text::clean;

const EXAMPLE: &str = r#"Example:
  tljournal populate build/cache --key v1 -- sh -c 'fetch > "$TLJOURNAL_STAGE/all"'
"#;

/// Run a command that fills a tree, once for all that want it
///
/// CMD gets an empty directory by $TLJOURNAL_STAGE and leaves there what is to be at PATH. If PATH was
/// populated with KEY already, and nobody changed anything there, CMD is not run. Of all that populate PATH
/// with KEY at the same time one runs its CMD, and the others wait for that; if it fails or is killed the next
/// one begins anew. When CMD fails nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = child::after(EXAMPLE))]
pub(crate) struct Args {
    /// Where the tree is to be, relative to the root
    path: NamedPath,
    /// What the tree is known by: another key is another tree
    #[arg(long)]
    key: String,
    #[command(flatten)]
    command: CommandArgs,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let path = session.below_root(&args.path)?;
    let path = path.as_str();
    let populated = child::populate(session, &args.command, (path, &args.key));
    let changed = match populated {
        Ok(populated) => populated.changed,
        Err(exit) => return Ok(exit),
    };
    session.output.result(
        || json!({"command": "populate", "path": path, "changed": changed}),
        |out| match changed {
            true => writeln!(out, "{BOLD}populate{BOLD:#} {}", clean(path)),
            false => writeln!(out, "unchanged {}", clean(path)),
        },
    )?;
    Ok(Exit::Done)
}
