//! The processes of storms: a worker of all trades, a reader, one who has everything checked, one who takes
//! back what others did, a vandal that no lock stops, and who works on in spite of it.

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

/// What the process of a storm does comes to an end when it is killed, or something is wrong.
pub type Done = Result<(), Box<dyn std::error::Error>>;
