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
//! | committed | new content is durable, in its staging slot or in place; the next holder of the commit lock finishes it |
//! | applied | everything is in place and durable; `txn/<id>/` holds what was replaced while it is retained (`kept`) |
//! | aborting | a change of another program prevented it; the next holder of the commit lock finishes the rollback |
//! | aborted | everything is as before |
//! | stuck | neither worked; all files are kept, overlapping paths are refused |
//!
//! | transition | made by |
//! |---|---|
//! | to staging | `Transaction::live` |
//! | staging to committed | `Prepared::carry_out` |
//! | committed to applied | `apply::Committed::finish` |
//! | committed to aborting | `apply::Committed::finish` |
//! | aborting to aborted or stuck | `apply::Committed::take_back` |
//! | staging to aborted | `Transaction::rollback`, or `recovery` after its owner ended |
//!
//! # Invariants
//!
//! - **T1** Nothing is written before the first real change: a transaction that changes nothing leaves no trace,
//!   takes no lock that others wait for, and syncs nothing.
//! - **T2** What is staged is synced before its row is committed; a [`Prepared`] is the proof.
//! - **T3** Expectations are checked, and changes applied, under the commit lock; a transaction that an
//!   earlier holder left past its commit point is finished first.
//! - **T4** Old content leaves its place only after new content is complete and durable; it is retained for a while,
//!   and deleted only after the new content is in place and synced, and only if it is not pinned.
//! - **T5** Rolling back a staging transaction needs no write: once its owner's locks are released, it did not
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
