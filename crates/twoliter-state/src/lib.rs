//! What twoliter keeps on disk, in its own words, as transactions of [`tljournal`].
//!
//!

#![forbid(unsafe_code)]

mod error;
mod state;

pub use error::Error;
pub use state::State;
