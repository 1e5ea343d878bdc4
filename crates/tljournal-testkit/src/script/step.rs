use tljournal::{Durability, Expect, Timestamp};

use crate::tree::TreeSpec;

/// A sequence of actions on a project.
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
    /// Its label.
    pub label: String,
    /// Its changes, in order.
    pub steps: Vec<Step>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A file.
    Put {
        /// The path.
        path: String,
        /// Content.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// The mtime.
        mtime: Timestamp,
        /// The precondition.
        expect: Expect,
    },
    /// A symbolic link.
    Link {
        /// The path.
        path: String,
        /// The target.
        target: String,
        /// The precondition.
        expect: Expect,
    },
    /// A removal.
    Remove {
        /// The path.
        path: String,
        /// The precondition.
        expect: Expect,
    },
    /// A tree.
    Tree {
        /// The path.
        path: String,
        /// Its entries.
        tree: TreeSpec,
        /// Its durability.
        durability: Durability,
        /// The precondition.
        expect: Expect,
    },
}

/// The default mtime; every digit is significant, so that rounding is detected.
const MTIME: (i64, u32) = (1_234_567_890, 123_456_789);

impl Steps {
    /// A transaction without changes.
    #[must_use]
    pub fn new(label: &str) -> Self {
        let (label, steps) = (label.to_owned(), Vec::new());
        Self { label, steps }
    }

    /// Adds a change.
    #[must_use]
    pub fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds a file with mode 0644 and a fixed mtime.
    #[must_use]
    pub fn put(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        let mtime = Timestamp::new(MTIME.0, MTIME.1);
        self.put_as(path, content, 0o644, mtime)
    }

    /// Adds a file.
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

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(Step::Link {
            path: path.to_owned(),
            target: target.to_owned(),
            expect: Expect::Any,
        })
    }

    /// Adds a removal.
    #[must_use]
    pub fn remove(self, path: &str) -> Self {
        self.with(Step::Remove {
            path: path.to_owned(),
            expect: Expect::Any,
        })
    }

    /// Adds a tree.
    #[must_use]
    pub fn tree(self, path: &str, tree: TreeSpec) -> Self {
        self.tree_as(path, tree, Durability::Durable)
    }

    /// Adds a tree that may be lost in a power cut.
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

    /// Sets the precondition of the last change.
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
    /// The path of the change.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Put { path, .. }
            | Self::Link { path, .. }
            | Self::Remove { path, .. }
            | Self::Tree { path, .. } => path,
        }
    }

    /// The precondition of the change.
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
