use crate::child;
use crate::exit::Exit;
use crate::failure::Failure;

const AFTER: &str = "\
Exit status:
  0  all writers have closed the output
  6  the system failed";

/// Keep the output of a command that another tljournal runs, which sends the descriptors over standard input
#[derive(Debug, clap::Args)]
#[command(hide = true, after_help = AFTER)]
pub(crate) struct Args {
    /// Continue after the copy's reader is gone
    #[arg(long)]
    despite_closed: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    child::keep_output(args.despite_closed)
        .map_err(|source| Failure::io("keep the output of a command", source))?;
    Ok(Exit::Done)
}
