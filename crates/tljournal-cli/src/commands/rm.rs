use tljournal::{Expect, NamedPath};

use super::transact::{Plan, transact};
use crate::args::ChangeArgs;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::session::Session;
use crate::text::count;

const EXAMPLE: &str = "\
Examples:
  tljournal rm build/old
  tljournal rm build/kits --expect present --exit-code
";

/// Remove files, links and whole directories in one transaction
///
/// An absent path is not an error, unless --expect says otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_CHANGES))]
pub(crate) struct Args {
    /// What to remove, relative to the root
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<NamedPath>,
    /// The precondition for each of them: any, absent, present, or a sha256:...
    #[arg(
        long,
        value_name = "EXPECT",
        default_value = "any",
        hide_default_value = true
    )]
    expect: Expect,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) fn run(session: &Session, args: Args) -> Result<Exit, Failure> {
    let paths = session.all_below_root(&args.paths)?;
    let label = || match &paths[..] {
        [path] => format!("rm {path}"),
        paths => format!("rm {}", count(paths.len(), "path")),
    };
    let changes = paths.iter().map(|path| ("rm", path.clone())).collect();
    let plan = Plan::new("rm", args.change, label, changes);
    transact(session, &plan, |txn| {
        for path in &paths {
            txn.remove(path, args.expect)?;
        }
        Ok(())
    })
}
