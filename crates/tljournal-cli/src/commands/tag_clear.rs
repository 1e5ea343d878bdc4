use serde_json::json;
use tljournal::{Digest, NamedPath};
use twoliter_state::State;

use crate::exit;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::BOLD;
use crate::session::Session;
use crate::text::clean;

const EXAMPLE: &str = "\
Example:
  tljournal tag clear build/external-kits
";

/// Withdraw the claims of this run
///
/// Removes the tags in DIR that no other running run claims, whichever program wrote them. With --revoke all claims
/// under a digest are revoked, because it was found wrong; their runs see the reason.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_TAGS))]
pub(crate) struct Args {
    /// The directory of the tags, relative to the root
    dir: NamedPath,
    /// Revoke all claims under this digest, of any run
    #[arg(long, value_name = "sha256:...", requires = "because")]
    revoke: Option<Digest>,
    /// The reason, for the runs with these claims
    #[arg(long, value_name = "TEXT", requires = "revoke")]
    because: Option<String>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let state = State::with(session.work()?).for_run_around();
    let dir = session.below_root(&args.dir)?;
    let dir = dir.as_str();
    let changed = match (args.revoke, &args.because) {
        (Some(digest), Some(why)) => state.revoke_tags(dir, digest, why)?,
        _ => state.cleanup_existing_tags(dir)?,
    };
    session.close_state(state);
    let json = || json!({ "command": "tag clear", "dir": dir, "changed": changed });
    session.output.result(json, |out| match changed {
        true => writeln!(out, "{BOLD}cleared{BOLD:#} {}", clean(dir)),
        false => writeln!(out, "unchanged {}", clean(dir)),
    })?;
    Ok(Exit::Done)
}
