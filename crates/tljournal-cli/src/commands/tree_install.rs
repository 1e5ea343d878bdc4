use clap::ValueEnum;
use tljournal::{Durability, Expect, NamedPath, OnPinned, TreeOptions};

use super::transact::{Plan, transact};
use crate::args::ChangeArgs;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::files::Input;
use crate::progress::Progress;
use crate::session::Session;

const EXAMPLE: &str = "\
Examples:
  tljournal tree install build/tools --from tools.tar.zst
  tljournal tree install build/tools --from out/tools --rebuildable
";

/// Install a directory or archive at a path
///
/// Afterwards PATH has exactly the entries of SRC, or nothing is changed. A tree that is installed already is not
/// touched; a changed one is repaired.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_CHANGES))]
pub(crate) struct Args {
    /// The path, relative to the root
    path: NamedPath,
    /// A directory, or a tar archive, plain or compressed with gzip, zlib, zstd or xz; `-` is an
    /// archive on standard input
    #[arg(long, value_name = "SRC")]
    from: Input,
    /// Skip fsync: after a power loss the tree may be missing, but never partial
    #[arg(long)]
    rebuildable: bool,
    /// What to do if a replaced tree is pinned
    #[arg(long, value_name = "WHAT", default_value = "exchange")]
    on_pinned: WhenPinned,
    /// The precondition: any, absent, present, or the sha256:... of the manifest
    #[arg(
        long,
        value_name = "EXPECT",
        default_value = "any",
        hide_default_value = true
    )]
    expect: Expect,
    /// Keep setuid, setgid and sticky bits, which are dropped by default
    #[arg(long)]
    keep_special_bits: bool,
    /// Ignore extended attributes, ACLs and capabilities of a directory, which are copied by default
    #[arg(long)]
    no_xattrs: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// See [`OnPinned`].
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum WhenPinned {
    /// Replace it; the holder of the pin keeps the old one
    Exchange,
    /// Wait until it is unpinned
    Wait,
    /// Refuse, naming the holder
    Fail,
}

impl From<WhenPinned> for OnPinned {
    fn from(when: WhenPinned) -> Self {
        match when {
            WhenPinned::Exchange => Self::Exchange,
            WhenPinned::Wait => Self::Wait,
            WhenPinned::Fail => Self::Fail,
        }
    }
}

pub(super) fn run(session: &Session, args: Args) -> Result<Exit, Failure> {
    let path = session.below_root(&args.path)?;
    let label = || format!("install {path}");
    let changes = vec![("install", path.clone())];
    let plan = Plan::new("tree install", args.change, label, changes);
    let mut source = args.from.tree()?;
    if args.keep_special_bits {
        source = source.keep_special_bits();
    }
    if args.no_xattrs {
        source = source.without_attributes();
    }
    let progress = Progress::start(&plan.label, session.output.shows_progress());
    let durability = match args.rebuildable {
        true => Durability::Rebuildable,
        false => Durability::Durable,
    };
    let options = TreeOptions {
        durability,
        on_pinned: args.on_pinned.into(),
        expect: args.expect,
        progress: progress.teller(),
    };
    transact(session, &plan, |txn| {
        txn.tree(&path, source, options)?;
        Ok(())
    })
}
