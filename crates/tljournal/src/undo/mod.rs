//! Taking back what a transaction did, and putting back what a path was: transactions like any other, whose
//! content comes from what is kept.
//!
//! *Look* collects what was there before, what the transaction left, what is there now, and where the old
//! content is. *Plan* is a pure table over that, tested over every combination. *Act* makes a transaction of
//! it, that says which one it undoes.
//!
//! - Nothing is lost: what is there now must be what the transaction left (by content, mode and mtime, whoever
//!   wrote it last), or the caller says that it may go; then it is kept in its turn.
//! - Nothing is half: if one path cannot be taken back, none is.
//! - Old content is read under the shared lock that keeps it from being deleted, and what was made of it has to
//!   have the digest that was recorded, before anything is committed.
//! - What the plan rests on is looked at again under the commit lock.
//! - Directories that were made on the way to a path stay: others may have come to rely on them.

mod act;
mod look;
mod plan;
mod report;
mod source;

pub(crate) use act::{plan_restore, plan_undo, restore, undo};
pub use report::{Because, NotKept, Undo, UndoAction, UndoOptions, UndoStep};
