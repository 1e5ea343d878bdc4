//! Witnesses of the disk.

mod both;
mod count;
mod fail;
mod kill;
mod meddle;

pub use both::Both;
pub use count::Count;
pub use fail::Fail;
pub use kill::{Kill, Moment, When};
pub use meddle::Meddle;
