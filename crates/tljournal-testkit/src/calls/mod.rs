//! Kills of any program, before or after a system call.
//!
//! A [`Kill`](crate::Kill) sees what the engine asks of the filesystem. This sees what the process asks of
//! the kernel, in all its threads: SQLite's writes, the locks, and whatever goes past the engine. It traces
//! the process as a debugger does, so that a call is counted across threads, and so that the process can
//! die when a call has been made, and not only before.

mod kernel;
mod trace;

pub use trace::{Traced, kill_at_call};
