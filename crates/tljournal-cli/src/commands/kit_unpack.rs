use camino::Utf8PathBuf;
use serde_json::json;
use tljournal::{Digest, Durability, NamedPath, TreeOptions};
use twoliter_state::{KitOptions, State};

use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::{BOLD, DIM};
use crate::progress::Progress;
use crate::session::Session;
use crate::text::clean;

const EXAMPLE: &str = "\
Example:
  tljournal kit unpack out/core-kit build/kits/core-kit --arch x86_64
";

/// Unpack the kit in an image layout at a path
///
/// All layers of the image are applied in order, with a file `digest` that names its manifest; or nothing is changed.
/// Every blob is compared with its name. A kit that is installed already is not touched.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_KITS))]
pub(crate) struct Args {
    /// An OCI image layout
    layout: Utf8PathBuf,
    /// Where to unpack it, relative to the root
    path: NamedPath,
    /// The architecture of the image, if there are several: x86_64, aarch64, ...
    #[arg(long)]
    arch: Option<String>,
    /// The digest of its manifest, if there are several
    #[arg(long, value_name = "sha256:...")]
    digest: Option<Digest>,
    /// Skip fsync: after a power loss the kit may be missing, but never partial
    #[arg(long)]
    rebuildable: bool,
}

pub(super) fn run(session: &Session, args: Args) -> Result<Exit, Failure> {
    let path = session.below_root(&args.path)?;
    let path = path.as_str();
    let label = format!("unpack {path}");
    let progress = Progress::start(&label, session.output.shows_progress());
    let durability = match args.rebuildable {
        true => Durability::Rebuildable,
        false => Durability::Durable,
    };
    let options = KitOptions {
        arch: args.arch,
        digest: args.digest,
        tree: TreeOptions {
            durability,
            progress: progress.teller(),
            ..TreeOptions::default()
        },
        wait: session.lock_wait(),
    };
    let state = State::with(session.work()?);
    let kit = state.unpack_kit(&args.layout, path, options)?;
    drop(progress);
    session.close(state.into_journal());
    let (digest, changed) = (kit.digest.to_string(), kit.changed);
    session.output.result(
        || json!({"command": "kit unpack", "path": path, "digest": digest, "changed": changed}),
        |out| match changed {
            true => writeln!(
                out,
                "{BOLD}unpack{BOLD:#} {} {DIM}({digest}){DIM:#}",
                clean(path)
            ),
            false => writeln!(out, "unchanged {}", clean(path)),
        },
    )?;
    Ok(Exit::Done)
}
