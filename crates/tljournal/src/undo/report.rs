use std::fmt;

use crate::model::{Kind, TxnId, Version};
use crate::txn::OnPinned;

/// How something is taken back.
#[derive(Debug, Clone, Default)]
pub struct UndoOptions {
    /// Do it even if what others did since is lost; that is kept in its turn.
    pub force: bool,
    /// What to do about trees that somebody has pinned.
    pub on_pinned: OnPinned,
}

/// What was done, or is to be done, to take something back.
#[derive(Debug, Clone)]
#[must_use = "it says whether anything was refused, and nothing done therefore"]
#[non_exhaustive]
pub struct Undo {
    /// What it is called in the log.
    pub label: String,
    /// What happens at each path.
    pub steps: Vec<UndoStep>,
    /// The transaction that did it; `None` if nothing had to be done, or was.
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

/// What happens at one path.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UndoStep {
    /// The path, as the opener knows it.
    pub path: String,
    /// What is done there.
    pub action: UndoAction,
    /// Why it is kept or refused; of something that is done all the same, what is lost by it.
    pub because: Option<Because>,
    /// What will be there.
    pub wanted: Option<Version>,
    /// The number of the transaction that kept the content.
    pub kept_by: Option<i64>,
}

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoAction {
    /// It is put back from what is kept.
    Restore,
    /// It is taken away.
    Remove,
    /// It stays as it is.
    Keep,
    /// It cannot be taken back; so nothing is.
    Refuse,
}

impl UndoAction {
    /// The word for people and programs.
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

/// Why something stays, is refused, or would be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// It is so already.
    AlreadySo,
    /// The transaction found it there, and only recorded it.
    Adopted,
    /// A later transaction changed it.
    Later {
        /// The number of that transaction.
        txn: i64,
        /// What its caller named it.
        label: String,
    },
    /// Somebody changed it, who did not use the journal.
    Edited,
    /// Something of another kind is there, which one transaction cannot replace.
    OtherKind {
        /// What is there.
        found: Kind,
        /// What is to be there.
        wanted: Kind,
    },
    /// Somebody has pinned what is there, and it is not to be replaced then.
    Pinned {
        /// Who that is.
        holder: String,
    },
    /// The content is not there any more.
    NotKept(NotKept),
}

/// Why content is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotKept {
    /// There was more than may be kept, or it was not to be kept at all.
    Thinned,
    /// It holds private keys, by its path.
    KeyMaterial,
    /// It was not the journal's own work, which goes to `.state/aside`.
    Aside,
    /// It lies on another filesystem than the home.
    OtherFilesystem,
    /// It was changed in place, because it could not be moved.
    InPlace,
    /// Nothing has replaced it since, and it is not there any more.
    NeverReplaced,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadySo => f.write_str("it is as wanted already"),
            Self::Adopted => f.write_str("the transaction found it there and only recorded it"),
            Self::Later { txn, label } => {
                let label = label.escape_debug();
                write!(f, "transaction {txn} ({label}) changed it later")
            }
            Self::Edited => f.write_str("somebody changed it since, without the journal"),
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
            Self::Thinned => "it was deleted to keep within the limits, or never kept",
            Self::KeyMaterial => "private keys never are",
            Self::Aside => "it was not the journal's own work; what it was lies in `.state/aside`, if it is there still",
            Self::OtherFilesystem => "it lies on another filesystem than the journal",
            Self::InPlace => "the tree was changed in place, because its filesystem cannot move it",
            Self::NeverReplaced => "no transaction replaced it, so that nothing was kept of it",
        })
    }
}
