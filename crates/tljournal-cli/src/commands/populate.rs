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

/// Run a command that fills a tree, once for all processes that want it
///
/// CMD receives an empty directory in $TLJOURNAL_STAGE and leaves there what is to be at PATH. If PATH was populated
/// with KEY already, and is unchanged, CMD is not run. Of several processes that populate PATH with KEY at the same
/// time one runs its CMD, and the others wait; if it fails or is killed the next one starts. If CMD fails nothing is
/// changed.
#[derive(Debug, clap::Args)]
#[command(after_help = child::after(EXAMPLE))]
pub(crate) struct Args {
    /// The path of the tree, relative to the root
    path: NamedPath,
    /// The key of the tree: another key is another tree
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
