//! Retained content: what transactions replaced and what killed runs had staged is kept for a while, for undo,
//! restore and inspection.
//!
//! Retained content stays where it is, in `txn/<id>/`; the row of the transaction marks it as retained, with its
//! size. A directory without that mark is deleted by the next cleanup.
//!
//! | when | what |
//! |---|---|
//! | a transaction is applied | what it replaced is retained, if permitted |
//! | recovery rolls back the transaction of a killed run | what it had staged is retained, if permitted |
//! | at the end of runs that changed something, and by `gc` | the oldest is deleted until the limits of [`Retention`] hold |
//!
//! Never retained: key material; content in staging slots next to a target on another filesystem; what was changed in
//! place in the lower layer of an overlay. Content that is not the journal's own work is moved to quarantine instead.
//!
//! A reader of retained content holds the lock of its directory shared; a deletion holds it exclusively, without
//! waiting. Nothing that is pinned is deleted.
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
