//! Applies recorded changes or undoes them: observe, decide, act.
//!
//! One idempotent step serves commit, recovery and rollback. It keeps no state: it observes the target and the
//! staging slot, decides by a table, makes at most one rename, and observes again. A crash between any two calls
//! leaves a state that the table covers, so recovery continues from there.
//!
//! | a change | at its staging slot before | after it is applied |
//! |---|---|---|
//! | creates | the new content | nothing |
//! | replaces | the new content | what it replaced |
//! | removes | nothing | what it removed |
//!
//! Where a filesystem cannot exchange, three renames with a third name are used. Between the first two the path is
//! missing for readers that do not hold the commit lock shared.
//!
//! What an exchange returned is compared with the expectation: a file that an editor saved in between is not lost,
//! because the change is then rolled back.

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
