//! The parsers of untrusted input of the `tljournal` command, as a library for tests and fuzzers.

#![forbid(unsafe_code)]

pub mod describe;
pub mod time;
