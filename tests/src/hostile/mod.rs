//! Hostile input: the bodies of the fuzzers in `fuzz/` and of the test `hostile`.
//!
//! Each target is a function of bytes that panics if a guarantee is violated: nothing panics or hangs, nothing
//! outside of the permitted paths changes (G8), and the files on disk still exist (G9). Refusing the input is always
//! permitted.

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

/// A target, with the name of its fuzzer.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("archive", archive),
    ("describe", describe),
    ("manifest", manifest),
    ("database", database),
    ("rows", rows),
];
