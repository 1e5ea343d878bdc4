use super::{Digest, Image, Place, RelPath};

/// How much a power cut may take back of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// Content, record and directory entries are synced when `commit` returns.
    #[default]
    Durable,
    /// The record is synced, the tree's data is not: for trees whose source is at hand. After a power
    /// cut a torn tree is replaced by what was there before, or removed; it is never left half.
    Rebuildable,
}

/// What a change does to its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Publishes a file.
    Put,
    /// Publishes a symbolic link.
    Link,
    /// Publishes a directory tree.
    Tree,
    /// Takes away whatever is there.
    Remove,
    /// Makes a missing parent directory of another change's path.
    Parent,
    /// Records what is there already; touches nothing.
    Adopt,
    /// Changes a tree in place, or empties and removes it, where its filesystem cannot move it: its
    /// root. The rest of it are changes of their own.
    Fill,
    /// A directory within such a tree.
    Dir,
    /// An entry within such a tree: published, replaced or taken away.
    Part,
}

impl Op {
    const ALL: [Self; 9] = [
        Self::Put,
        Self::Link,
        Self::Tree,
        Self::Remove,
        Self::Parent,
        Self::Adopt,
        Self::Fill,
        Self::Dir,
        Self::Part,
    ];

    /// The word for people and for the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Link => "link",
            Self::Tree => "tree",
            Self::Remove => "remove",
            Self::Parent => "parent",
            Self::Adopt => "adopt",
            Self::Fill => "fill",
            Self::Dir => "dir",
            Self::Part => "part",
        }
    }

    /// The operation with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == word)
    }
}

/// Where a change's new content waits, and where what it replaced goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// `.state/txn/<id>/<n>`.
    Home,
    /// Beside the target, under a reserved name, because the target lies on another filesystem: in this
    /// directory below the anchor, or in the anchor itself.
    Beside(Option<RelPath>),
}

/// One change of a transaction, as the catalog records it at the commit point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number within the transaction; names the staged entry.
    pub n: u32,
    /// What it changes.
    pub place: Place,
    /// What it does.
    pub op: Op,
    /// What was there when the expectation was checked.
    pub pre: Option<Image>,
    /// What is to be there.
    pub new: Option<Image>,
    /// Digest of a file's content, or of a tree's manifest.
    pub digest: Option<Digest>,
    /// Where a symbolic link points.
    pub target: Option<String>,
    /// Where the new content waits.
    pub spot: Spot,
    /// The class of a tree.
    pub durability: Durability,
    /// Whether `pre` is something the catalog cannot account for: a person's or another program's work.
    pub drift: bool,
}

/// Where a transaction stands. `txn/mod.rs` has the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TxnState {
    /// Content is being staged; nothing is visible.
    Staging,
    /// Past the commit point; the renames are on their way.
    Committed,
    /// Everything is in place and settled.
    Applied,
    /// Past the commit point, but being taken back because it met somebody else's work.
    Aborting,
    /// Nothing of it remains.
    Aborted,
    /// Could be neither finished nor taken back; everything is kept.
    Stuck,
}

impl TxnState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Staging,
        Self::Committed,
        Self::Applied,
        Self::Aborting,
        Self::Aborted,
        Self::Stuck,
    ];

    /// The word for people and for the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Committed => "committed",
            Self::Applied => "applied",
            Self::Aborting => "aborting",
            Self::Aborted => "aborted",
            Self::Stuck => "stuck",
        }
    }

    /// Whether it is past its commit point, and neither in place nor taken back.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Committed | Self::Aborting)
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}
