//! What twoliter keeps on disk, in its own words, as transactions of [`tljournal`].
//!
//!

#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod asynchronous;
mod digest;
mod error;
mod state;
mod tools;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncState;
pub use error::Error;
pub use state::State;
pub use tools::Tools;
