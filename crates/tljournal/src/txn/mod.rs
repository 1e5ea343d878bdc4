//! The protocol: how a change of the directory becomes a transaction.
//!
//! ```text
//!            put, link, remove, tree            prepare             commit
//! Transaction ----------------------> Transaction -----> Prepared ---------> Receipt
//!                                          | rollback       | rollback
//!                                          v                v
//!                                       nothing          nothing
//!
//! row:    (none) --> staging --> committed --> applied
//!                       |            |
//!                       v            v
//!                    aborted <-- aborting --> stuck
//! ```
//!
//! **A transaction is committed when the SQLite transaction that sets its row to `committed` has been
//! synced.**
//!
//! | state | what is true |
//! |---|---|
//! | staging | nothing is visible; new content is in `txn/<id>/`, which its owner has locked |
//! | committed | new content is durable, at its spot or in place; whoever takes the commit lock next puts it in place |
//! | applied | everything is in place and durable; `txn/<id>/` holds what was replaced as long as it is kept (`kept`) |
//! | aborting | somebody else's work was in the way; whoever takes the commit lock next puts the rest back |
//! | aborted | everything is as it was |
//! | stuck | neither worked; everything is kept, paths that overlap are refused |
//!
//! | transition | made by |
//! |---|---|
//! | to staging | `Transaction::live` |
//! | staging to committed | `Prepared::carry_out` |
//! | committed to applied | `apply::Committed::finish` |
//! | committed to aborting | `apply::Committed::finish` |
//! | aborting to aborted or stuck | `apply::Committed::take_back` |
//! | staging to aborted | `Transaction::rollback`, or `recovery` for a dead owner |
//!
//! # Invariants
//!
//! - **T1** Nothing is written before the first real change: a transaction that changes nothing leaves
//!   no trace, takes no lock that others wait for, and syncs nothing.
//! - **T2** What is staged is synced before its row is committed; a [`Prepared`] is the proof.
//! - **T3** Expectations are checked, and changes applied, under the commit lock; a transaction that an
//!   earlier holder left past its commit point is finished first.
//! - **T4** Old content leaves its place only after new content is complete and durable; it is kept
//!   for a while, and deleted only after the new is in place and settled, and only if nobody holds it.
//! - **T5** Rolling back a staging transaction needs no write: its owner's locks are gone, so it did not
//!   happen.

mod accounted;
mod begin;
mod commit;
mod fill;
mod found;
mod guard;
mod inherit;
mod intent;
mod payload;
mod plan;
mod populate;
mod possible;
mod prepare;
mod receipt;
mod source;
mod stage;
mod stage_tree;
mod tidy;

pub use begin::Transaction;
pub use payload::Payload;
pub use populate::{Accept, PopulateOptions};
pub use prepare::Prepared;
pub use receipt::Receipt;
pub use stage_tree::{OnPinned, TreeOptions};

pub(crate) use stage_tree::WantedTree;
