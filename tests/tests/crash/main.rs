//! Power cuts, in memory and on real filesystems. They run in a process of their own, because the recorder of
//! SQLite's calls becomes the default VFS of its process.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests act as other programs, print what they covered, and fail on every error"
)]

mod power_cuts;
mod power_cuts_at_calls;
mod power_cuts_real;
mod power_cuts_syncfs;

/// The program with the processes that tests start.
const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
