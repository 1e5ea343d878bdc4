//! Hostile input: what the fuzzers in `fuzz/` and the test `hostile` do with bytes.
//!
//! Each target is a function of bytes that panics if a promise is broken: nothing panics or hangs, nothing
//! outside of what the caller gave away is touched (G8), and what was on disk is still there (G9). What is
//! refused is none of its business.

mod archive;
mod database;
mod describe;
mod manifest;
mod rows;
mod values;
mod watch;
mod yard;

pub use archive::{archive, with_checksums};
pub use database::database;
pub use describe::describe;
pub use manifest::manifest;
pub use rows::rows;
pub use watch::Watch;

/// A target, by the name of its fuzzer.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("archive", archive),
    ("describe", describe),
    ("manifest", manifest),
    ("database", database),
    ("rows", rows),
];
