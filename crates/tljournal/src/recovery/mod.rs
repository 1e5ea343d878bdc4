//! Recovery: whatever ended how, the next one who comes makes it right.
//!
//! Runs when a journal is opened for work, and whenever the commit lock is taken. Looks at evidence,
//! decides by a table, and acts through the same steps that commit takes; so a crash during recovery is
//! just another crash.
//!
//! | when | what |
//! |---|---|
//! | on opening | what dead runs left: staging is rolled back (and kept for a while), what is past its commit point is finished, runs are marked dead; leftovers that nobody holds are swept |
//! | on opening after a reboot or on another mount | trees that may not have reached the medium are hashed, and put back if they are torn |
//! | on taking the commit lock | whatever is past its commit point is finished, whether its run lives or not: it cannot be under way, because its owner would hold the lock |
//!
//! Nothing is reclaimed that cannot be locked. What is over and cannot be cleared away is recorded once and left
//! where it is (`home/leftover.rs`): it stops nothing.

mod act;
mod clear;
mod decide;
mod look;
mod report;
mod settle;

pub(crate) use act::{finish_unfinished, recover, refuse_stuck};
pub(crate) use clear::sweep;
pub use report::Recovery;
pub(crate) use settle::settle_trees;
