//! Recovery: the next process that opens the journal finishes or rolls back unfinished transactions.
//!
//! Runs when a journal is opened for work, and whenever the commit lock is taken. It collects facts, decides by a
//! table, and uses the same steps as a commit, so a crash during recovery is recovered in the same way.
//!
//! | when | what |
//! |---|---|
//! | on opening | transactions of ended runs: staging ones are rolled back (their files are retained for a while), those past their commit point are finished, the runs are marked as killed; unlocked leftovers are deleted |
//! | on opening after a reboot or on another mount | trees that may not have reached the medium are hashed; a torn one is replaced by its previous version |
//! | on taking the commit lock | every transaction past its commit point is finished, whether its run is running or not: it is not being applied, because its owner would hold the lock |
//!
//! A directory that cannot be locked is not deleted. What cannot be deleted is recorded once and stays where it is
//! (`home/leftover.rs`): it stops no other work.

mod act;
mod clear;
mod decide;
mod look;
mod report;
mod settle;

pub(crate) use act::{finish_unfinished, recover, recover_from, refuse_stuck};
pub(crate) use clear::sweep;
pub use report::Recovery;
pub(crate) use settle::settle_trees;
