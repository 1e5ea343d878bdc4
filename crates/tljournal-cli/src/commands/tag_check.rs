use serde_json::json;
use tljournal::NamedPath;
use twoliter_state::{State, TagCheck};

use super::tag::Level;
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
  tljournal tag check --mine --level sdk build/external-kits || exit 1
";

/// Check whether verification tags are valid
///
/// They are if the files exist and a running run claims them. With --mine the claim must be of the run that this
/// command belongs to.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_TAG_CHECK))]
pub(crate) struct Args {
    /// The directory of the tags, relative to the root
    dir: NamedPath,
    /// Count only claims of the run that this command belongs to
    #[arg(long)]
    mine: bool,
    /// What must be verified
    #[arg(long, value_name = "LEVEL", default_value = "kits")]
    level: Level,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let dir = session.below_root(&args.dir)?;
    let state = State::with(session.work()?);
    let checks = state.check_tags(dir.as_str(), args.level.into(), args.mine)?;
    session.close_state(state);
    let all = checks.iter().all(|check| check.vouched.is_some());
    let each = |check: &TagCheck| {
        json!({
            "tag": check.tag,
            "vouched": check.vouched.as_ref().map(voucher_json),
            "why_not": check.why_not,
        })
    };
    let json = || {
        json!({
            "command": "tag check",
            "dir": dir.as_str(),
            "mine": args.mine,
            "vouched": all,
            "tags": checks.iter().map(each).collect::<Vec<_>>(),
        })
    };
    session.output.result(json, |out| {
        for check in &checks {
            let tag = check.tag;
            match (&check.vouched, &check.why_not) {
                (Some(by), _) => {
                    let since = time::short(by.since);
                    writeln!(out, "{GOOD}claimed{GOOD:#} {tag} {DIM}since {since}{DIM:#}")?;
                }
                (None, why) => {
                    let why = clean(why.as_deref().unwrap_or_default());
                    writeln!(out, "{BAD}not claimed{BAD:#} {tag}: {why}")?;
                }
            }
        }
        Ok(())
    })?;
    Ok(match all {
        true => Exit::Done,
        false => Exit::Nothing,
    })
}
