//! Shared parts of the integration tests: the cases that are interrupted at every call, the processes of storms,
//! simulated drives, and the bodies of the fuzzers.

#![allow(
    clippy::disallowed_methods,
    reason = "tests access the filesystem without the engine, and act as other programs"
)]

mod cases;
mod counted;
mod drive;
mod every;
mod forged;
pub mod hostile;
mod interrupted;
mod kit;
mod nasty;
mod past;
mod play;
mod population_cases;
mod promised;
mod quiet;
mod repair_cases;
mod state;
mod storm;
mod trees;
mod twoliter_cases;
mod undo_cases;
mod waiting;

pub use cases::{Case, EDITED, End, WITHOUT_CALLS, all as all_cases, named as case_named};
pub use counted::{COUNTED, counted, number};
pub use drive::{Drive, Format, Running, Shelf};
pub use every::at_every;
pub use forged::forge;
pub use interrupted::Interrupted;
pub use kit::kit_layout;
pub use nasty::{long_tree, nasty_tree, plain_tree};
pub use past::{make_hostile_past, make_past};
pub use play::{
    Hook, Mounted, Record, Seen, Strike, aside, events, holding, kill_at, nothing_kept, only,
    small, steps, synced_before_publishing, tear, within,
};
pub use promised::Promised;
pub use quiet::{quiet, start};
pub use state::{State, state_of};
pub use storm::{
    Done, Survivor, Vandal, Worker, check_after_storm, check_after_vandal, storm_tree,
};
pub use trees::{tools, tools_like, tools_reshaped};
pub use waiting::until_waiting;
