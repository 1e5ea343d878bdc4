//! Witnesses of the disk.

mod count;
mod fail;
mod kill;

pub use count::Count;
pub use fail::Fail;
pub use kill::{Kill, Moment, When};
