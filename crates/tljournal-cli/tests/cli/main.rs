//! The built command, as used by shells and programs.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests act as other programs, print what they covered, and fail on every error"
)]

mod apply;
mod artifacts;
mod browser;
mod changes;
mod cleanup;
mod cleanup_kept;
mod copies;
mod discovery;
mod exec;
mod exec_keeper;
mod exec_locks;
mod exec_output;
mod exec_signals;
mod exits;
mod export;
mod fsck;
mod history;
mod hostile;
mod immutable;
mod input;
mod json;
mod kill;
mod kill_exec;
mod kill_postmortem;
mod kits;
mod limits;
mod makefile;
mod obstacles;
mod pin;
mod pipes;
mod planted;
mod populate;
mod postmortem;
mod privacy;
mod privileges;
mod reading;
mod rings;
mod running;
mod sharing;
mod tags;
mod terminal;
mod together;
mod trees;
mod undo;
mod users;
mod vandal;
mod waits;
mod world;
