//! Kernel locks between processes. Nothing here guesses: whoever dies loses its locks at once.
//!
//! # Which file is locked how
//!
//! | file | lock | held |
//! |---|---|---|
//! | `lock/commit` | `flock`, shared or exclusive, with turnstile | by readers of one moment; while changes are checked and applied |
//! | `lock/db` | `flock`, exclusive | for each write of SQLite |
//! | `lock/name/<name>` | `flock`, shared or exclusive, with turnstile | as long as its user likes |
//! | `lock/vouchers` | `flock`, exclusive, with turnstile | while vouchers and the files they are for are changed |
//! | `lock/runs` | one OFD byte lock for each live run | from before the run's row exists until it ends |
//! | `txn/<id>` | `flock`, exclusive | by the transaction that stages there, and by whoever deletes it |
//! | a tree's root directory | `flock`, shared | by whoever pinned the tree |
//!
//! The kinds do not see each other, so each file has one kind. Order: named locks (sorted),
//! `vouchers`, `commit`, `db`. Waiting is blocking, never polling: a poller starves. The turnstile is a second lock that is
//! passed through on the way in: whoever waits for the lock holds it, so that readers that overlap for
//! ever cannot keep a writer out.
//!
//! What a holder writes into a lock file is read by people only.

mod flock;
mod holder;
mod runs;

pub(crate) use flock::{
    Held, TURNSTILE, Wait, acquire, is_locked_within, try_exclusive, try_shared, unlock,
    wait_exclusive, wait_shared,
};
pub use flock::{LockError, Mode};
pub(crate) use runs::{RunByte, Runs};
