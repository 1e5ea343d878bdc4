use tljournal::NamedPath;

use super::undo::How;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::session::Session;

const AFTER: &str = "\
Examples:
  tljournal blame build/tools                       which transactions wrote it
  tljournal restore build/tools --at 12 --dry-run   whether its content is still available
  tljournal restore build/tools --at 12
";

/// Restore a path to its state right after a transaction
///
/// A file, a link or a whole tree is restored from retained content, with its modes and times, or removed if it was
/// absent. The current content is retained in turn. A file in a tree is only restored with the tree.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_UNDO))]
pub(crate) struct Args {
    /// The path to restore, relative to the root
    #[arg(value_name = "PATH")]
    path: NamedPath,
    /// The transaction: its number, its id, or the beginning of its id, at least four digits
    #[arg(long, value_name = "TXN")]
    at: String,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let path = session.below_root(&args.path)?;
    args.how.run(
        session,
        "restore",
        &args.at,
        |history, txn, options| history.plan_restore(&path, txn, options),
        |journal, txn, options| journal.restore(&path, txn, options),
    )
}
