//! Makes recorded changes real, or takes them back: look, decide, act.
//!
//! One idempotent step serves commit, recovery and the way back. It holds nothing in its head: it looks
//! at what is at the target and at the spot where the new content waited, decides from a table, makes at
//! most one rename, and looks again. A crash between any two calls leaves a state that the same table
//! knows, so that whoever comes next goes on from there.
//!
//! | a change | waits at its spot | after it is done |
//! |---|---|---|
//! | creates | the new content | nothing |
//! | replaces | the new content | what it replaced |
//! | removes | nothing | what it removed |
//!
//! Where a filesystem cannot exchange, three renames do, by way of a third name. The path is missing
//! between the first two of them, for whoever does not share the commit lock.
//!
//! What came out of an exchange is compared with what the expectation saw: an editor that saved in
//! between loses nothing, because the change is then taken back.

mod act;
mod decide;
mod discard;
mod finish;
mod in_place;
mod look;

pub(crate) use act::{Outcome, is_midway, run, settle};
pub(crate) use decide::Direction;
pub(crate) use discard::{Keep, Remains, clear, discard, give_up};
pub(crate) use finish::{Committed, Ending, Known, RACY_NANOS, is_settled, open_tree, stat_at};
