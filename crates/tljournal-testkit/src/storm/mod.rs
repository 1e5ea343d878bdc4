//! Processes that work at once and are killed at random.
//!
//! Each process is a child that tells what it did and saw, a line each ([`Tell`], said with [`tell`]).
//! The storm starts them, kills those whose time has come, starts them again with the next generation,
//! and adds everything up.

mod account;
mod process;
mod run;
mod tell;

pub use account::Account;
pub use run::{Role, Storm};
pub use tell::{Tell, tell};
