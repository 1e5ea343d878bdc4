use camino::Utf8PathBuf;

use super::payload::Payload;
use super::stage_tree::{OnPinned, WantedTree};
use crate::catalog::EntryRow;
use crate::disk::NewFile;
use crate::model::{Digest, Expect, Image, Manifest, Op, Place, RelPath, Signature, Spot, Stat};
use crate::pin::Pin;

/// One intended change, and its progress.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) n: u32,
    pub(super) path: RelPath,
    pub(super) place: Place,
    pub(super) expect: Expect,
    pub(super) wanted: Wanted,
    /// The existing content, if it is the wanted one.
    pub(super) found: Option<Found>,
    /// The staged new content.
    pub(super) staged: Option<Staged>,
    /// The fingerprint of a tree's source when it was read, if it has one.
    pub(super) look: Option<Digest>,
}

/// The wanted content.
#[derive(Debug)]
pub(super) enum Wanted {
    File(Payload),
    Link(String),
    Tree(WantedTree),
    /// Absence, and what to do about pinned trees.
    Nothing(OnPinned),
}

impl Wanted {
    /// What to do about pins on replaced content.
    pub(super) fn on_pinned(&self) -> OnPinned {
        match self {
            Self::Tree(tree) => tree.options.on_pinned,
            Self::Nothing(on_pinned) => *on_pinned,
            Self::File(_) | Self::Link(_) => OnPinned::Exchange,
        }
    }

    pub(super) fn op(&self) -> Op {
        match self {
            Self::File(_) => Op::Put,
            Self::Link(_) => Op::Link,
            Self::Tree(_) => Op::Tree,
            Self::Nothing(_) => Op::Remove,
        }
    }
}

/// Existing content that is the wanted one.
#[derive(Debug)]
pub(super) struct Found {
    /// Its `stat` when it was compared; `None` if absence is wanted and found.
    pub(super) stat: Option<Stat>,
    pub(super) digest: Option<Digest>,
    pub(super) standing: Standing,
    /// Keeps a tree in place until the receipt takes the pin.
    pub(super) pin: Option<Pin>,
}

/// How the catalog knows existing content.
#[derive(Debug)]
pub(super) enum Standing {
    /// It is recorded.
    Recorded,
    /// It is recorded, but the content had to be hashed: this entry would avoid that next time.
    Refreshable(Box<EntryRow>, Trust),
    /// It is unknown: it must be synced and recorded.
    Unknown(Option<(Manifest, Signature)>),
}

/// Whether equal content is known to be synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It was not touched; the signature was only too recent to prove that.
    Untouched,
    /// The same content was written again, and may not be on the medium.
    Rewritten,
}

/// New content that is staged for the commit.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) spot: Spot,
    pub(super) image: Image,
    pub(super) digest: Option<Digest>,
    pub(super) tree: Option<StagedTree>,
    /// Open for the sync, if it is one of the first few.
    pub(super) file: Option<NewFile>,
    /// The old name of the file, which is removed once the change is applied.
    pub(super) moved_from: Option<Utf8PathBuf>,
    /// Its `stat` when it was hashed, if it still has its old name: a program may have it open there.
    pub(super) linked: Option<Stat>,
    pub(super) synced: bool,
}

#[derive(Debug)]
pub(super) struct StagedTree {
    pub(super) manifest: Manifest,
    pub(super) signature: Signature,
    /// Taken while no other process could reach the tree; passed on to the receipt.
    pub(super) pin: Pin,
}
