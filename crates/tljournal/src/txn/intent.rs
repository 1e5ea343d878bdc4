use camino::Utf8PathBuf;

use super::payload::Payload;
use super::stage_tree::{OnPinned, WantedTree};
use crate::catalog::EntryRow;
use crate::disk::NewFile;
use crate::model::{Digest, Expect, Image, Manifest, Op, Place, RelPath, Signature, Spot, Stat};
use crate::pin::Pin;

/// One intended change, and how far it has come.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) n: u32,
    pub(super) path: RelPath,
    pub(super) place: Place,
    pub(super) expect: Expect,
    pub(super) wanted: Wanted,
    /// What was found there already, if it is what is wanted.
    pub(super) found: Option<Found>,
    /// The new content where it waits.
    pub(super) staged: Option<Staged>,
    /// What the source of a tree looked like when the tree was made from it, if it can be recognised by that.
    pub(super) look: Option<Digest>,
}

/// What is to be there.
#[derive(Debug)]
pub(super) enum Wanted {
    File(Payload),
    Link(String),
    Tree(WantedTree),
    /// What is done about pinned trees there.
    Nothing(OnPinned),
}

impl Wanted {
    /// What to do about pins on what is replaced.
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

/// Something that is there already and is what is wanted.
#[derive(Debug)]
pub(super) struct Found {
    /// What it was when it was compared; `None` if nothing is wanted and nothing is there.
    pub(super) stat: Option<Stat>,
    pub(super) digest: Option<Digest>,
    pub(super) standing: Standing,
    /// Keeps a tree in place until the receipt has it.
    pub(super) pin: Option<Pin>,
}

/// What the catalog says of something that was found.
#[derive(Debug)]
pub(super) enum Standing {
    /// It put it there.
    Recorded,
    /// It put it there, and the content had to be hashed to see it: this entry would spare that.
    Refreshable(Box<EntryRow>, Trust),
    /// It does not know it: it has to be synced and recorded.
    Unknown(Option<(Manifest, Signature)>),
}

/// Whether equal content is also what the journal has synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nobody touched it; the signature was only too young to say so.
    Untouched,
    /// Somebody wrote the same again, perhaps not to the medium.
    Rewritten,
}

/// New content that waits for its commit.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) spot: Spot,
    pub(super) image: Image,
    pub(super) digest: Option<Digest>,
    pub(super) tree: Option<StagedTree>,
    /// Open, to be synced, if it is one of the first few.
    pub(super) file: Option<NewFile>,
    /// A name of the same file elsewhere that is to go once it is in place.
    pub(super) moved_from: Option<Utf8PathBuf>,
    /// What it was when it was hashed, if it still has that name: a program may have it open there.
    pub(super) linked: Option<Stat>,
    pub(super) synced: bool,
}

#[derive(Debug)]
pub(super) struct StagedTree {
    pub(super) manifest: Manifest,
    pub(super) signature: Signature,
    /// Taken while nobody else could reach the tree; the receipt hands it on.
    pub(super) pin: Pin,
}
