//! One file for each command.

mod apply;
mod artifacts;
mod artifacts_clean;
mod artifacts_publish;
mod blame;
mod completions;
mod diff;
mod exec;
mod export;
pub(crate) mod fsck;
mod gc;
mod init;
mod keep;
mod kit;
mod kit_unpack;
mod link;
mod log;
mod man;
mod pin;
mod populate;
mod postmortem;
mod put;
mod recover;
mod report;
mod restore;
mod rm;
mod runs;
mod show;
mod status;
mod tag;
mod tag_check;
mod tag_clear;
mod tag_list;
mod tag_write;
mod transact;
mod tree;
mod tree_install;
mod tree_show;
mod tree_verify;
mod undo;
pub(crate) mod views;

use clap::Subcommand;

use crate::demo;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Put(put::Args),
    Rm(rm::Args),
    Link(link::Args),
    Apply(apply::Args),
    /// Install, verify and show trees
    #[command(subcommand)]
    Tree(tree::Command),
    /// Record what was verified, and check tags
    #[command(subcommand)]
    Tag(tag::Command),
    /// Publish and clean build artifacts
    #[command(subcommand)]
    Artifacts(artifacts::Command),
    /// Unpack kits
    #[command(subcommand)]
    Kit(kit::Command),
    Exec(exec::Args),
    Populate(populate::Args),
    Pin(pin::Args),
    Recover(recover::Args),
    Fsck(fsck::Args),
    Status(status::Args),
    Log(log::Args),
    Show(show::Args),
    Postmortem(postmortem::Args),
    Diff(diff::Args),
    Blame(blame::Args),
    Runs(runs::Args),
    Report(report::Args),
    Export(export::Args),
    Undo(undo::Args),
    Restore(restore::Args),
    Gc(gc::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    Man(man::Args),
    Keep(keep::Args),
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
        Command::Tag(command) => tag::run(session, command),
        Command::Artifacts(command) => artifacts::run(session, command),
        Command::Kit(command) => kit::run(session, command),
        Command::Populate(args) => populate::run(session, &args),
        Command::Exec(args) => Ok(exec::run(session, &args)),
        Command::Pin(args) => Ok(pin::run(session, &args)),
        Command::Recover(args) => recover::run(session, &args),
        Command::Fsck(args) => Ok(fsck::run(session, &args)),
        Command::Status(args) => status::run(session, &args),
        Command::Log(args) => log::run(session, &args),
        Command::Postmortem(args) => postmortem::run(session, &args),
        Command::Show(args) => show::run(session, &args),
        Command::Diff(args) => diff::run(session, &args),
        Command::Blame(args) => blame::run(session, &args),
        Command::Runs(args) => runs::run(session, &args),
        Command::Report(args) => report::run(session, &args),
        Command::Export(args) => export::run(session, &args),
        Command::Undo(args) => undo::run(session, &args),
        Command::Restore(args) => restore::run(session, &args),
        Command::Gc(args) => gc::run(session, &args),
        Command::Demo(args) => demo::run(session, args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Keep(args) => keep::run(&args),
    }
}
