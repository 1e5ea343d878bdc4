use std::fmt;

use crate::model::{Kind, TxnId, Version};
use crate::txn::OnPinned;

/// Options of an undo or restore.
#[derive(Debug, Clone, Default)]
pub struct UndoOptions {
    /// Do it even if later changes are lost; they are retained in turn.
    pub force: bool,
    /// What to do if a tree is pinned.
    pub on_pinned: OnPinned,
}

/// The plan or the result of an undo or restore.
#[derive(Debug, Clone)]
#[must_use = "if a step was refused, nothing was done"]
#[non_exhaustive]
pub struct Undo {
    /// The label of the transaction.
    pub label: String,
    /// The step for each path.
    pub steps: Vec<UndoStep>,
    /// The transaction; `None` if nothing was done.
    pub txn: Option<TxnId>,
}

impl Undo {
    /// Whether it was refused, so that nothing was done at any path.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.action == UndoAction::Refuse)
    }

    /// Whether there is anything to do.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        let changes =
            |step: &UndoStep| matches!(step.action, UndoAction::Restore | UndoAction::Remove);
        self.steps.iter().any(changes)
    }
}

/// The step for one path.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UndoStep {
    /// The path, as the opener knows it.
    pub path: String,
    /// The action.
    pub action: UndoAction,
    /// Why the path is kept or refused; for a forced action, what is lost.
    pub because: Option<Because>,
    /// The version that the path gets.
    pub wanted: Option<Version>,
    /// The number of the transaction that retains the content.
    pub kept_by: Option<i64>,
}

/// The action for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoAction {
    /// Restore it from retained content.
    Restore,
    /// Remove it.
    Remove,
    /// Keep it as it is.
    Keep,
    /// It cannot be restored, so no path is.
    Refuse,
}

impl UndoAction {
    /// The word for display and for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Remove => "remove",
            Self::Keep => "keep",
            Self::Refuse => "refuse",
        }
    }
}

/// Why a path is kept or refused, or what is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// The path has the wanted state already.
    AlreadySo,
    /// The transaction only recorded existing content.
    Adopted,
    /// A later transaction changed it.
    Later {
        /// The number of that transaction.
        txn: i64,
        /// The label of that transaction.
        label: String,
    },
    /// It was changed without the journal.
    Edited,
    /// It holds something of another kind, which one transaction cannot replace.
    OtherKind {
        /// The kind that is there.
        found: Kind,
        /// The wanted kind.
        wanted: Kind,
    },
    /// The tree is pinned and must not be replaced then.
    Pinned {
        /// The holder of the pin.
        holder: String,
    },
    /// The content is not available.
    NotKept(NotKept),
}

/// Why content is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotKept {
    /// The retention limits did not allow it.
    Thinned,
    /// It holds private keys.
    KeyMaterial,
    /// It was not the journal's own work, and was moved to `.state/aside`.
    Aside,
    /// It is on another filesystem than the home.
    OtherFilesystem,
    /// It was changed in place, because it could not be moved.
    InPlace,
    /// No transaction replaced it, and it no longer exists.
    NeverReplaced,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadySo => f.write_str("it is as wanted already"),
            Self::Adopted => f.write_str("the transaction only recorded existing content"),
            Self::Later { txn, label } => {
                let label = label.escape_debug();
                write!(f, "transaction {txn} ({label}) changed it later")
            }
            Self::Edited => f.write_str("it was changed since, without the journal"),
            Self::OtherKind { found, wanted } => {
                let (found, wanted) = (found.as_str(), wanted.as_str());
                write!(
                    f,
                    "a {found} is there, which a {wanted} cannot replace; remove it first"
                )
            }
            Self::Pinned { holder } => write!(f, "it is pinned by {holder}"),
            Self::NotKept(why) => write!(f, "its content is not kept: {why}"),
        }
    }
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thinned => "it exceeded the retention limits",
            Self::KeyMaterial => "it holds private keys, which are never kept",
            Self::Aside => "it was not the journal's own work; it was moved to `.state/aside`, and may have been deleted since",
            Self::OtherFilesystem => "it is on another filesystem than the journal",
            Self::InPlace => "the tree was changed in place, because its filesystem cannot move it",
            Self::NeverReplaced => "no transaction replaced it",
        })
    }
}
