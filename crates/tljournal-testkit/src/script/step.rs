use tljournal::{Durability, Expect, Timestamp};

use crate::tree::TreeSpec;

/// What a project goes through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script(pub Vec<Act>);

/// One part of a [`Script`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A transaction is committed.
    Commit(Steps),
    /// A transaction is prepared, and rolled back.
    RollBack(Steps),
    /// The journal is closed and opened again.
    Reopen,
}

/// The changes of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// What it is called.
    pub label: String,
    /// Its changes, in order.
    pub steps: Vec<Step>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A file.
    Put {
        /// Where.
        path: String,
        /// Content.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// When it changed last.
        mtime: Timestamp,
        /// What must be there.
        expect: Expect,
    },
    /// A symbolic link.
    Link {
        /// Where.
        path: String,
        /// Where to.
        target: String,
        /// What must be there.
        expect: Expect,
    },
    /// Nothing.
    Remove {
        /// Where.
        path: String,
        /// What must be there.
        expect: Expect,
    },
    /// A tree.
    Tree {
        /// Where.
        path: String,
        /// Its entries.
        tree: TreeSpec,
        /// How much of it a power cut may take back.
        durability: Durability,
        /// What must be there.
        expect: Expect,
    },
}

/// The mtime of whatever does not say its own; odd in all its digits, so that rounding shows.
const MTIME: (i64, u32) = (1_234_567_890, 123_456_789);

impl Steps {
    /// A transaction without changes.
    #[must_use]
    pub fn new(label: &str) -> Self {
        let (label, steps) = (label.to_owned(), Vec::new());
        Self { label, steps }
    }

    /// With one more change.
    #[must_use]
    pub fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// With a file of mode 0644 and a fixed mtime.
    #[must_use]
    pub fn put(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        let mtime = Timestamp::new(MTIME.0, MTIME.1);
        self.put_as(path, content, 0o644, mtime)
    }

    /// With a file.
    #[must_use]
    pub fn put_as(
        self,
        path: &str,
        content: impl Into<Vec<u8>>,
        mode: u32,
        mtime: Timestamp,
    ) -> Self {
        self.with(Step::Put {
            path: path.to_owned(),
            content: content.into(),
            mode,
            mtime,
            expect: Expect::Any,
        })
    }

    /// With a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(Step::Link {
            path: path.to_owned(),
            target: target.to_owned(),
            expect: Expect::Any,
        })
    }

    /// With a removal.
    #[must_use]
    pub fn remove(self, path: &str) -> Self {
        self.with(Step::Remove {
            path: path.to_owned(),
            expect: Expect::Any,
        })
    }

    /// With a tree.
    #[must_use]
    pub fn tree(self, path: &str, tree: TreeSpec) -> Self {
        self.tree_as(path, tree, Durability::Durable)
    }

    /// With a tree that may be lost in a power cut.
    #[must_use]
    pub fn rebuildable(self, path: &str, tree: TreeSpec) -> Self {
        self.tree_as(path, tree, Durability::Rebuildable)
    }

    fn tree_as(self, path: &str, tree: TreeSpec, durability: Durability) -> Self {
        self.with(Step::Tree {
            path: path.to_owned(),
            tree,
            durability,
            expect: Expect::Any,
        })
    }

    /// The same, with what the last change expects to find.
    #[must_use]
    pub fn expecting(mut self, wanted: Expect) -> Self {
        match self.steps.last_mut() {
            Some(
                Step::Put { expect, .. }
                | Step::Link { expect, .. }
                | Step::Remove { expect, .. }
                | Step::Tree { expect, .. },
            ) => *expect = wanted,
            None => {}
        }
        self
    }

    /// The paths that are changed.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(Step::path)
    }
}

impl Step {
    /// Where the change is.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Put { path, .. }
            | Self::Link { path, .. }
            | Self::Remove { path, .. }
            | Self::Tree { path, .. } => path,
        }
    }

    /// What must be there before it.
    #[must_use]
    pub fn expect(&self) -> Expect {
        match self {
            Self::Put { expect, .. }
            | Self::Link { expect, .. }
            | Self::Remove { expect, .. }
            | Self::Tree { expect, .. } => *expect,
        }
    }
}
