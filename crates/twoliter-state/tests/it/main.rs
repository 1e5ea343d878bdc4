//! Twoliter's files on disk, through the calls that twoliter makes.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests act as other programs, and fail on every error"
)]

mod artifacts;
mod asynchronous;
mod kits;
mod tags;
mod tools;
