//! Kills any program before or after a system call.
//!
//! A [`Kill`](crate::Kill) sees the calls that the engine makes to the filesystem. This module sees the system calls
//! of the process, in all threads, including SQLite's writes and locks. It traces the process like a debugger, so
//! that calls are counted across threads and the process can be killed after a call as well as before it.

mod kernel;
mod trace;

pub use trace::{Traced, kill_at_call};
