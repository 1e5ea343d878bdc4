use super::{Digest, Image, Place, RelPath};

/// What of a tree is durable when `commit` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// Content, record and directory entries are synced when `commit` returns.
    #[default]
    Durable,
    /// The record is synced, the tree's data is not: for trees whose source is still available. After a power cut a
    /// torn tree is replaced by its previous version, or removed if there was none; it is never left partial.
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
    /// Removes what is at the path.
    Remove,
    /// Makes a missing parent directory of another change's path.
    Parent,
    /// Records what is already at the path; changes nothing on disk.
    Adopt,
    /// Changes a tree in place, or empties and removes it, where its filesystem cannot move it. This is the change of
    /// the root; each entry has a change of its own.
    Fill,
    /// A directory within such a tree.
    Dir,
    /// An entry within such a tree: published, replaced or removed.
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

    /// The word for display and for the catalog.
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

/// Where the new content of a change is staged, and where the replaced content goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// `.state/txn/<id>/<n>`.
    Home,
    /// Next to the target, under a reserved name, because the target is on another filesystem: in this directory
    /// below the anchor, or in the anchor itself.
    Beside(Option<RelPath>),
}

/// One change of a transaction, as the catalog records it at the commit point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number within the transaction, which is also the name of the staged entry.
    pub n: u32,
    /// The place it changes.
    pub place: Place,
    /// The operation.
    pub op: Op,
    /// What was at the place when the expectation was checked.
    pub pre: Option<Image>,
    /// What the place holds after the change.
    pub new: Option<Image>,
    /// Digest of a file's content, or of a tree's manifest.
    pub digest: Option<Digest>,
    /// The target of a symbolic link.
    pub target: Option<String>,
    /// Where the new content is staged.
    pub spot: Spot,
    /// The durability of a tree.
    pub durability: Durability,
    /// Whether `pre` is not in the catalog: the work of a person or another program.
    pub drift: bool,
}

/// The state of a transaction. `txn/mod.rs` has the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TxnState {
    /// Content is being staged; nothing is visible.
    Staging,
    /// Past the commit point; being applied.
    Committed,
    /// In place and synced.
    Applied,
    /// Past the commit point, but being rolled back because it met a change by another program.
    Aborting,
    /// Rolled back completely.
    Aborted,
    /// Neither finished nor rolled back; all its files are kept.
    Stuck,
}

impl TxnState {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Staging,
        Self::Committed,
        Self::Applied,
        Self::Aborting,
        Self::Aborted,
        Self::Stuck,
    ];

    /// The word for display and for the catalog.
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

    /// Whether it is past its commit point, but neither applied nor rolled back.
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
