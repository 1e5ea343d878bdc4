use super::{artifacts_clean, artifacts_publish};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// Subcommands for artifacts.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Publish(artifacts_publish::Args),
    Clean(artifacts_clean::Args),
}

pub(super) fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Publish(args) => artifacts_publish::run(session, args),
        Command::Clean(args) => artifacts_clean::run(session, &args),
    }
}
