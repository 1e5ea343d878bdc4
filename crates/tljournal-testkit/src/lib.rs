//! Test support for transactions of `tljournal`.
//!
//! It contains:
//!
//! - witnesses of the disk that [`Count`] the engine's mutating calls, [`Kill`] the process before or after one of
//!   them, make one [`Fail`], shorten writes ([`Short`]), or simulate missing features ([`Lack`]);
//! - [`kill_at_call`], which kills any program at any visible system call;
//! - a [`World`], a project in a temporary directory, and [`Snapshot`]s of it that can be compared;
//! - [`Script`]s: transactions as data, which run on a journal and on a reference [`Model`] that predicts the result;
//! - [`Storm`]s of processes that are stopped and killed at random, and report what they see line by line;
//! - [`crash`]: power cuts, in memory, during any work that is done through a world.
//!
//! ```
//! use tljournal_testkit::{Model, Steps, World};
//!
//! let world = World::new();
//! let steps = Steps::new("publish").put("build/version", "1.2.3\n").link("build/latest", "1.2.3");
//! let mut model = Model::default();
//! let expected = model.commit(&steps);
//! let journal = world.open();
//! assert!(expected.matches(&steps.commit(&journal)));
//! world.snapshot().assert_matches(&model.snapshot());
//! ```
//!
//! Worlds are created in the system's temporary directory, or in `TLJOURNAL_TEST_DIR`.

#![allow(
    clippy::disallowed_methods,
    reason = "tests access the filesystem without the engine, and act as other programs"
)]

mod agreement;
mod calls;
pub mod crash;
mod random;
mod script;
mod snapshot;
mod sqlite;
mod storm;
mod tree;
mod witness;
mod world;

pub use agreement::{check_agreement, check_at_rest, check_clean, check_database};
pub use calls::{Traced, kill_at_call};
pub use random::Random;
pub use script::{Act, Model, Node, Outcome, Predicted, Script, Step, Steps};
pub use snapshot::{Seen, Snapshot, What};
pub use storm::{Account, Role, Stops, Storm, Tell, Waits, tell};
pub use tree::{Leaf, TreeSpec};
pub use witness::{Both, Count, Fail, Kill, Lack, Meddle, Moment, Short, When};
pub use world::{TEST_DIR, World, explain};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
