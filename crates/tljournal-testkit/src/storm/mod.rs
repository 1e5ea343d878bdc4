//! Processes that work at once and are stopped, continued and killed at random.
//!
//! Each process is a child that tells what it did and saw, a line each ([`Tell`], said with [`tell`]).
//! The storm starts them, kills and stops those whose time has come, starts them again with the next
//! generation, and adds everything up. In the calm after it everybody who lives has to speak once more: who
//! says nothing waits for ever, which is a violation, told with what the kernel knows of it.

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
