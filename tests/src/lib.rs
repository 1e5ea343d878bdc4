//! What the integration tests share: the cases that are killed and refused at every call, and the work
//! of a process in a storm.

#![allow(
    clippy::disallowed_methods,
    reason = "tests look at the filesystem from outside of the engine, and play the other programs"
)]

mod cases;
mod every;
mod play;
mod quiet;
mod trees;
mod work;

pub use cases::{Case, EDITED, End, all as all_cases, named as case_named};
pub use every::at_every;
pub use play::{
    Hook, Mounted, Record, Seen, Strike, aside, events, holding, kill_at, small, steps,
    synced_before_publishing, tear, within,
};
pub use quiet::{quiet, start};
pub use trees::{tools, tools_like, tools_reshaped};
pub use work::{Worker, check_after_storm, storm_tree};
