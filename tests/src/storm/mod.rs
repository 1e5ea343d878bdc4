//! The processes of storms: a worker, a reader, a checker, a process that undoes others' changes, a vandal that
//! ignores locks, and a process that works despite it.

mod check;
mod checker;
mod material;
mod reader;
mod regretter;
mod survivor;
mod vandal;
mod worker;

pub use check::{check_after_storm, check_after_vandal};
pub use material::storm_tree;
pub(crate) use material::{LINK, PAIR, TREE, expected, is_whole};
pub use survivor::Survivor;
pub use vandal::Vandal;
pub use worker::Worker;

/// A process of a storm ends when it is killed, or with an error.
pub type Done = Result<(), Box<dyn std::error::Error>>;
