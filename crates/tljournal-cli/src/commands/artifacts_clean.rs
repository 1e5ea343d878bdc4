use camino::Utf8Path;
use serde_json::json;
use tljournal::{NamedPath, RelPath};
use twoliter_state::State;

use super::tree_install::WhenPinned;
use crate::exit;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::BOLD;
use crate::session::Session;
use crate::text::clean;

const EXAMPLE: &str = "\
Example:
  tljournal artifacts clean build/rpms build/kits build/images build/state
";

/// Remove build artifacts in one transaction
///
/// They are moved away first and then deleted, including read-only directories. A tree in use is kept for its users,
/// or see --on-pinned.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_TAGS))]
pub(crate) struct Args {
    /// What to remove, relative to the root
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<NamedPath>,
    /// What to do if a tree that is in use would be removed
    #[arg(long, value_name = "WHAT", default_value = "exchange")]
    on_pinned: WhenPinned,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let paths = session.all_below_root(&args.paths)?;
    let state = State::with(session.work()?);
    let removed = state.clean(paths.iter().map(RelPath::as_str), args.on_pinned.into())?;
    session.close_state(state);
    let is_gone = |path: &RelPath| {
        removed
            .iter()
            .any(|gone| Utf8Path::new(path.as_str()).starts_with(gone))
    };
    let json = || {
        let paths: Vec<_> = paths.iter().map(RelPath::as_str).collect();
        let removed: Vec<_> = removed.iter().map(|path| path.as_str()).collect();
        let changed = !removed.is_empty();
        json!({ "command": "artifacts clean", "changed": changed, "paths": paths, "removed": removed })
    };
    session.output.result(json, |out| {
        for path in &paths {
            let shown = clean(path.as_str());
            match is_gone(path) {
                true => writeln!(out, "{BOLD}cleaned{BOLD:#} {shown}")?,
                false => writeln!(out, "unchanged {shown}")?,
            }
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}
