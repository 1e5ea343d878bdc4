use tljournal::{Expect, NamedPath, Timestamp};

use super::transact::{Plan, transact};
use crate::args::ChangeArgs;
use crate::describe::parse_mode;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::files::Input;
use crate::progress::Progress;
use crate::session::Session;
use crate::time;

const EXAMPLE: &str = "\
Examples:
  tljournal put build/version < version.txt
  tljournal put build/run.sh --from out/run.sh --mode 0755 --expect absent
";

/// Put a file at a path
///
/// Atomic and durable. If the same content, mode and mtime are in place already, nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_CHANGES))]
pub(crate) struct Args {
    /// The path, relative to the root
    path: NamedPath,
    /// The file to take content, mode and mtime from; `-` is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    from: Input,
    /// Permission bits in octal [default: those of FILE, of the replaced file, or 0644]
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    mode: Option<u32>,
    /// RFC 3339 with up to nine fractional digits, or @secs.nanos
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    mtime: Option<Timestamp>,
    /// The precondition: any, absent, present, or the sha256:... of the replaced file
    #[arg(
        long,
        value_name = "EXPECT",
        default_value = "any",
        hide_default_value = true
    )]
    expect: Expect,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) fn run(session: &Session, args: Args) -> Result<Exit, Failure> {
    let path = session.below_root(&args.path)?;
    let label = || format!("put {path}");
    let plan = Plan::new("put", args.change, label, vec![("put", path.clone())]);
    let progress = Progress::start(&plan.label, session.output.shows_progress());
    let mut payload = args.from.payload(&progress)?;
    if let Some(mode) = args.mode {
        payload = payload.mode(mode);
    }
    if let Some(mtime) = args.mtime {
        payload = payload.mtime(mtime);
    }
    transact(session, &plan, |txn| {
        txn.put(&path, payload, args.expect)?;
        Ok(())
    })
}
