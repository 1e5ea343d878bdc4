//! A demonstration of the journal in a temporary directory.
//!
//! The command starts itself again, as workers that install trees and write tag files and are killed at random, and
//! as readers that check continuously. `material` creates the trees, `worker` and `reader` are the children, `finale`
//! checks everything at the end, `account` prints the summary.

#![allow(
    clippy::disallowed_methods,
    reason = "the demo acts as other programs, which access plain files"
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

/// Demonstrate the journal in under a minute
///
/// Installs a real tree and writes files from many processes concurrently, kills them at random, checks continuously,
/// and prints a summary. Works in a temporary directory (TMPDIR), which is removed at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_DEMO))]
pub(crate) struct Args {
    /// Repeat the kills of an earlier run with this seed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How long the processes work
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) seconds: u64,
    /// The number of concurrent processes
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) processes: u32,
    #[command(flatten)]
    child: Option<Child>,
}

/// The arguments of one of the demo's own processes.
#[derive(Debug, clap::Args)]
struct Child {
    /// Its role.
    #[arg(long, hide = true, required = false)]
    role: String,
    /// The demo's directory.
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
