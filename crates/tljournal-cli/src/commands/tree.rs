use super::{tree_install, tree_show, tree_verify};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// Subcommands for trees.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Install(tree_install::Args),
    Verify(tree_verify::Args),
    Show(tree_show::Args),
}

pub(super) fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Install(args) => tree_install::run(session, args),
        Command::Verify(args) => tree_verify::run(session, &args),
        Command::Show(args) => tree_show::run(session, &args),
    }
}
