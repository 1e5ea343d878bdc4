//! The tests of the engine that can share a process, one file per topic.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests act as other programs, print what they covered, and fail on every error"
)]

mod damaged_header;
mod damaged_rows;
mod edges;
mod every_caller_lives;
mod fail_everywhere;
mod failed_sync;
mod fences;
mod foreign_database;
mod fsck;
mod full_disk;
mod guarantees;
mod guarantees_bounds;
mod guarantees_scope;
mod holds;
mod hostile;
mod hostile_bounds;
mod hostile_links;
mod house;
mod kept;
mod key_material;
mod kill_everywhere;
mod meanwhile;
mod metadata;
mod model;
mod moved;
mod namespaces;
mod overlay;
mod populate;
mod populate_elsewhere;
mod reach;
mod real_archives;
mod recorded;
mod regressions_database;
mod regressions_durability;
mod regressions_hostile;
mod regressions_locks;
mod regressions_recovery;
mod regressions_scope;
mod restore;
mod small_files;
mod small_promises;
mod sources_that_change;
mod sparse;
mod storm;
mod surroundings;
mod times;
mod torn;
mod two_handles;
mod undo;
mod undo_unknown;
mod unfinished;
mod vouchers;
mod vouchers_below_runs;
mod weaker_promises;
mod what_was_read;

/// The program with the processes that tests start.
const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
