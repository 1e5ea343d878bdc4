//! A show of what the journal is for, in a temporary directory.
//!
//! The command starts itself again, as workers that install trees and write tag files and are killed at
//! random, and as readers that check all the time. `material` makes the trees, `worker` and `reader`
//! are the children, `finale` checks everything at the end, `account` says how it went.

#![allow(
    clippy::disallowed_methods,
    reason = "the demo plays the programs around the journal, which look at plain files"
)]

mod account;
mod child;
mod finale;
mod hear;
mod material;
mod plan;
mod reader;
mod stage;
mod tags;
mod worker;

use camino::Utf8PathBuf;
use tljournal_testkit::Random;

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::session::Session;

const EXAMPLE: &str = "\
Example:
  tljournal demo --seconds 10 --processes 16
";

/// Show in under a minute what all this is for
///
/// Installs a real tree and writes files from many processes at once, kills them at random, checks all
/// the time, and says how it went. Works in a temporary directory (TMPDIR), which is removed at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_DEMO))]
pub(crate) struct Args {
    /// Makes the kills come as they came with this seed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How long the processes work
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) seconds: u64,
    /// How many processes work at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) processes: u32,
    #[command(flatten)]
    child: Option<Child>,
}

/// What one of the demo's own processes is told.
#[derive(Debug, clap::Args)]
struct Child {
    /// Which one it is.
    #[arg(long, hide = true, required = false)]
    role: String,
    /// Where the demo takes place.
    #[arg(long, hide = true, required = false)]
    place: Utf8PathBuf,
    /// The number that its predecessors last made durable.
    #[arg(long, hide = true, required = false)]
    last: u64,
}

/// Runs the demo, or one of its processes.
pub(crate) fn run(session: &Session, args: Args) -> Result<Exit, Failure> {
    let seed = args.seed.unwrap_or_else(Random::fresh_seed);
    match args.child {
        None => stage::run(session.output, &args, seed),
        Some(child) => child::run(&child, seed),
    }
}
