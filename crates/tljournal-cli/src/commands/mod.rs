//! One file for each command.

mod apply;
mod init;
mod link;
mod log;
mod put;
mod recover;
mod rm;
mod show;
mod status;
mod transact;
mod tree;
mod tree_install;
mod tree_show;
mod tree_verify;
mod views;

use clap::Subcommand;

use crate::demo;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a journal in the current directory, or in --root
    Init(init::Args),
    /// Put a file at a path
    Put(put::Args),
    /// Remove files, links and whole directories, all at once
    Rm(rm::Args),
    /// Make a symbolic link, or flip the one that is there
    Link(link::Args),
    /// Make many changes as one transaction, from a JSON description
    Apply(apply::Args),
    /// Install, verify and show trees
    #[command(subcommand)]
    Tree(tree::Command),
    /// Make right what interrupted processes have left
    Recover(recover::Args),
    /// Show how the journal is doing
    Status(status::Args),
    /// List the latest transactions
    Log(log::Args),
    /// Show a transaction with its changes and events
    Show(show::Args),
    /// Show in under a minute what all this is for
    Demo(demo::Args),
}

/// Runs a command.
pub(crate) fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(session, &args),
        Command::Put(args) => put::run(session, args),
        Command::Rm(args) => rm::run(session, args),
        Command::Link(args) => link::run(session, args),
        Command::Apply(args) => apply::run(session, args),
        Command::Tree(command) => tree::run(session, command),
        Command::Recover(args) => recover::run(session, &args),
        Command::Status(_) => status::run(session),
        Command::Log(args) => log::run(session, &args),
        Command::Show(args) => show::run(session, &args),
        Command::Demo(args) => demo::run(&args),
    }
}
