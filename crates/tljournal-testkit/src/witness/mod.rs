//! Witnesses of the disk.

mod both;
mod count;
mod fail;
mod kill;
mod lack;
mod meddle;
mod short;

pub use both::Both;
pub use count::Count;
pub use fail::Fail;
pub use kill::{Kill, Moment, When};
pub use lack::Lack;
pub use meddle::Meddle;
pub use short::Short;
