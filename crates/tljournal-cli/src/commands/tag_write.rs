use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::json;
use tljournal::{Digest, NamedPath};
use twoliter_state::{State, Verified, digest_of_verified};

use super::tag::Level;
use crate::exit;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output::{BOLD, WARN};
use crate::session::Session;
use crate::text::clean;

const EXAMPLE: &str = "\
Example:
  tljournal exec -- sh -c '
    tljournal tag write build/external-kits --over Twoliter.lock \\
      --sdk \"bottlerocket-sdk-0.50.1@bottlerocket (registry/sdk:v0.50.1)\" &&
    make all'
";

/// Record what was verified, and claim it while this run is running
///
/// Writes .sdk-verified and .kits-verified in DIR, and removes tags that neither this run nor another running one
/// claims. The run is the innermost `tljournal exec` around this command; without one the claim ends with this
/// command. While other runs claim something else this waits until they end or clear.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_TAGS))]
pub(crate) struct Args {
    /// The directory of the tags, relative to the root
    dir: NamedPath,
    /// A digest over everything that was verified: runs with the same digest share tags
    #[arg(long, value_name = "sha256:...", required_unless_present = "over")]
    digest: Option<Digest>,
    /// Compute the digest over this file and its name as given; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "digest")]
    over: Vec<Utf8PathBuf>,
    /// The SDK that was verified, as NAME-VERSION@VENDOR (SOURCE)
    #[arg(long, value_name = "TEXT")]
    sdk: String,
    /// A kit that was verified; may be repeated
    #[arg(long = "kit", value_name = "TEXT")]
    kits: Vec<String>,
    /// What was verified [default: kits if any is named]
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let verified = verified(session, args)?;
    let dir = session.below_root(&args.dir)?;
    let state = State::with(session.work()?).for_run_around();
    let own = state.journal().run_id()?;
    let run = state.journal().tags([])?.for_run_around().claimant()?;
    let changed = state.write_tags(dir.as_str(), &verified)?;
    session.close_state(state);
    if run == own {
        let text = "the claim ends with this command; \
                    run it below `tljournal exec`";
        session.output.note(WARN, "warning", text);
    }
    let tags = verified.level().map_or(&[][..], |level| level.tags());
    let json = || {
        json!({
            "command": "tag write",
            "dir": dir.as_str(),
            "changed": changed,
            "tags": tags,
            "run": run.to_string(),
            "ends_with_this_command": run == own,
        })
    };
    session.output.result(json, |out| {
        let (dir, tags) = (clean(dir.as_str()), tags.join(" "));
        match changed {
            true => writeln!(out, "{BOLD}claimed{BOLD:#} {dir}: {tags}"),
            false => writeln!(out, "unchanged {dir}: {tags}"),
        }
    })?;
    Ok(Exit::Done)
}

fn verified(session: &Session, args: &Args) -> Result<Verified, Failure> {
    let digest = match args.digest {
        Some(digest) => digest,
        None => digest_over(&args.over, session.lock_wait())?,
    };
    let sdk = Verified::sdk(digest, &args.sdk);
    match (args.level, args.kits.is_empty()) {
        (Some(Level::Sdk), false) => {
            let text = "--level sdk excludes kits, but --kit names some";
            Err(Failure::Usage(text.to_owned()))
        }
        (Some(Level::Sdk), true) | (None, true) => Ok(sdk),
        (Some(Level::Kits), _) | (None, false) => Ok(sdk.kits(&args.kits)),
    }
}

fn digest_over(paths: &[Utf8PathBuf], wait: Option<Duration>) -> Result<Digest, Failure> {
    let mut contents = Vec::new();
    for path in paths {
        contents.push((path.as_str(), files::content(path, wait)?));
    }
    let contents = contents.iter();
    let contents = contents.map(|(name, content)| (*name, content.as_slice()));
    Ok(digest_of_verified(contents))
}
