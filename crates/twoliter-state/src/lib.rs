//! What twoliter keeps on disk, in its own words, as transactions of [`tljournal`].
//!
//!

#![forbid(unsafe_code)]

mod error;
mod kits;
mod state;

pub use error::Error;
pub use kits::{Kit, KitOptions, LayoutError};
pub use state::State;
