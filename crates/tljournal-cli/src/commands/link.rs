use tljournal::{Expect, NamedPath};

use super::transact::{Plan, transact};
use crate::args::ChangeArgs;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::session::Session;

const EXAMPLE: &str = "\
Example:
  tljournal link 1.2.3 build/latest
";

/// Create or replace a symbolic link
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_CHANGES))]
pub(crate) struct Args {
    /// The target of the link: text, which is not followed
    target: String,
    /// The path of the link, relative to the root
    path: NamedPath,
    /// The precondition: any, absent or present
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
    if args.target.is_empty() {
        return Err(Failure::Usage("a link cannot point to nothing".to_owned()));
    }
    let path = session.below_root(&args.path)?;
    let label = || format!("link {path}");
    let plan = Plan::new("link", args.change, label, vec![("link", path.clone())]);
    transact(session, &plan, |txn| {
        txn.link(&path, &args.target, args.expect)?;
        Ok(())
    })
}
