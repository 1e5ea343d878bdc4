use tljournal::NamedPath;

use super::undo::How;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::session::Session;

const AFTER: &str = "\
Examples:
  tljournal blame build/tools                       which transactions wrote it
  tljournal restore build/tools --at 12 --dry-run   whether what 12 left there still can be had
  tljournal restore build/tools --at 12
";

/// Make a path what it was right after a transaction
///
/// A file, a link or a whole tree, from what is kept, with its modes and times; or nothing, if nothing was there.
/// What is there now is kept in its turn. A file in a tree is restored with the tree, or not.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(AFTER, exit::OF_UNDO))]
pub(crate) struct Args {
    /// What to restore, relative to the root
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
