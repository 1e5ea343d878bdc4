//! Processes that work concurrently and are stopped, continued and killed at random.
//!
//! Each process is a child that reports what it did and saw, one line each ([`Tell`], sent with [`tell`]). The storm
//! starts them, kills and stops them at random times, starts them again with the next generation, and sums up. In the
//! calm afterwards every running process must report once more: a silent one is considered deadlocked, which is a
//! violation, reported with what the kernel knows of it.

mod account;
mod evidence;
mod process;
mod role;
mod run;
mod tell;
mod waits;

pub use account::Account;
pub use role::{Role, Stops};
pub use run::Storm;
pub use tell::{Tell, tell};
pub use waits::Waits;
