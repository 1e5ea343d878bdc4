use super::kit_unpack;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// Subcommands for kits.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Unpack(kit_unpack::Args),
}

pub(super) fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Unpack(args) => kit_unpack::run(session, args),
    }
}
