//! What the `tljournal` command reads from others, apart from the command itself: so that it can be read
//! to pieces by tests and fuzzers too.

#![forbid(unsafe_code)]

pub mod describe;
pub mod time;
