//! Undoes a transaction, or restores a path: both are ordinary transactions whose content comes from retained
//! content.
//!
//! *Look* collects the state before, the state that the transaction left, the current state, and the location of the
//! old content. *Plan* is a pure table, tested over every combination. *Act* makes a transaction of the plan that
//! names the transaction it undoes.
//!
//! - Nothing is lost: the current state must be what the transaction left (by content, mode and mtime, whichever
//!   program wrote it), or the caller permits its loss; then it is retained in turn.
//! - All or nothing: if one path cannot be restored, none is.
//! - Old content is read under the shared lock that prevents its deletion, and what is staged from it must have the
//!   recorded digest before anything is committed.
//! - The observations of the plan are repeated under the commit lock.
//! - Directories that were created on the way to a path stay, because others may use them.

mod act;
mod look;
mod plan;
mod report;
mod source;

pub(crate) use act::{plan_restore, plan_undo, restore, undo};
pub use report::{Because, NotKept, Undo, UndoAction, UndoOptions, UndoStep};
