use super::{tag_check, tag_clear, tag_list, tag_write};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// Subcommands for verification tags.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Write(tag_write::Args),
    Clear(tag_clear::Args),
    Check(tag_check::Args),
    List(tag_list::Args),
}

/// What is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Level {
    /// The SDK
    Sdk,
    /// The SDK and the kits
    Kits,
}

impl From<Level> for twoliter_state::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Sdk => Self::Sdk,
            Level::Kits => Self::Kits,
        }
    }
}

pub(super) fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Write(args) => tag_write::run(session, &args),
        Command::Clear(args) => tag_clear::run(session, &args),
        Command::Check(args) => tag_check::run(session, &args),
        Command::List(args) => tag_list::run(session, &args),
    }
}
