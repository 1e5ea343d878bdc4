//! A show of what the journal is for, in a temporary directory.

use crate::exit::Exit;
use crate::failure::Failure;

/// Show in under a minute what all this is for
///
/// Works in a temporary directory, which is removed at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::exit::OF_DEMO)]
pub(crate) struct Args {
    /// Makes the kills come as they came with this seed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How long the processes work
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) seconds: u64,
    /// How many processes work at once
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) processes: u32,
}

/// Runs the demo.
pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    tracing::debug!(seed = args.seed, args.seconds, args.processes, "demo");
    Err(Failure::Usage(
        "the demo is not part of this version".to_owned(),
    ))
}
