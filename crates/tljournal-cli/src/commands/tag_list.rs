use serde_json::json;
use tljournal::{NamedPath, RelPath};

use super::views::voucher_json;
use crate::exit;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{BAD, DIM, GOOD};
use crate::session::Session;
use crate::text::clean;
use crate::time;

const EXAMPLE: &str = "\
Example:
  tljournal tag list build/external-kits
";

/// List the claims on tags
///
/// Includes revoked claims with the reason, and claims of ended runs that were not deleted yet. Changes nothing;
/// works on a read-only copy.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_LOOKS))]
pub(crate) struct Args {
    /// Only the tags in this directory, relative to the root
    dir: Option<NamedPath>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let inspection = session.inspect()?;
    let mut vouchers = inspection.history().vouchers()?;
    if let Some(dir) = &args.dir {
        let dir = session.below_root(dir)?;
        vouchers.retain(|one| RelPath::new(&one.path).is_ok_and(|path| path.is_within(&dir)));
    }
    let json = || {
        let all: Vec<_> = vouchers.iter().map(voucher_json).collect();
        json!({ "command": "tag list", "vouchers": all })
    };
    session.output.result(json, |out| {
        for one in &vouchers {
            let who = match &one.process {
                Some(run) => format!("process {} ({})", run.pid, clean(&run.argv)),
                None => format!("run {}", one.run),
            };
            let (path, since) = (clean(&one.path), time::short(one.since));
            let digest = &one.digest.hex()[..12];
            let standing = match (&one.revoked, one.alive) {
                (Some(why), _) => format!("{BAD}revoked{BAD:#}: {}", clean(why)),
                (None, true) => format!("{GOOD}valid{GOOD:#}"),
                (None, false) => format!("{DIM}its run has ended{DIM:#}"),
            };
            writeln!(out, "{path}  {digest}  {since}  {who}  {standing}")?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}
