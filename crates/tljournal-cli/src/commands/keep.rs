use crate::child;
use crate::exit::Exit;
use crate::failure::Failure;

const AFTER: &str = "\
Exit status:
  0  nobody can write any more
  6  the system failed";

/// Keep the output of a command that another tljournal runs, and which is told at standard input
#[derive(Debug, clap::Args)]
#[command(hide = true, after_help = AFTER)]
pub(crate) struct Args {
    /// Go on when nobody reads the copy any more
    #[arg(long)]
    despite_closed: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    child::keep_output(args.despite_closed)
        .map_err(|source| Failure::io("keep the output of a command", source))?;
    Ok(Exit::Done)
}
