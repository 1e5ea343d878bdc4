//! What transactions replaced, and what dead runs had staged: kept for a while, so that it can be undone,
//! restored from, and looked into.
//!
//! Kept content stays where it is anyway, in `txn/<id>/`; the row of the transaction says that it is kept,
//! and how many bytes that is. A directory whose row does not say so is cleared by whoever comes first.
//!
//! | when | what |
//! |---|---|
//! | a transaction is in place | what it replaced is kept, if it may be |
//! | recovery rolls a dead run's transaction back | what it had staged is kept, if it may be |
//! | at the end of runs that changed something, and by `gc` | the oldest goes, so far that the limits of [`Retention`] hold |
//!
//! What may not be kept: key material, by its path; what is beside its target, on another filesystem; what
//! was changed in place in the lower layer of an overlay. What is not the journal's own work goes aside
//! instead, which is a place of its own.
//!
//! Whoever reads kept content shares the lock of its directory; whoever deletes it holds that alone, and
//! without waiting. Nothing that is pinned is deleted.
//!
//! [`Retention`]: crate::model::Retention

mod find;
mod gc;
mod history;
mod staged;

pub(crate) use find::{Index, Kept, before};
pub use gc::{Gc, GcTxn};
pub(crate) use gc::{collect, note, plan, thin, thin_logs};
pub(crate) use staged::{KEY_MARK, StagedPaths, Weight, remove_keys, remove_staged_keys, weigh};
