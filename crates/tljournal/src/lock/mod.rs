//! Kernel locks between processes. Liveness is decided by these locks, which the kernel releases when a process
//! exits.
//!
//! # Which file is locked how
//!
//! | file | lock | held |
//! |---|---|---|
//! | `lock/commit` | `flock`, shared or exclusive, with turnstile | shared by consistent reads; exclusive while changes are checked and applied |
//! | `lock/db` | `flock`, exclusive | for each write of SQLite |
//! | `lock/name/<name>` | `flock`, shared or exclusive, with turnstile | as long as the caller wants |
//! | a file that a caller names | `flock`, shared or exclusive, as flock(1) does: no turnstile | as long as the caller wants |
//! | `lock/keys` | one OFD byte lock for each key that is being populated | from before the tree is checked again until it is in place |
//! | `lock/waits` | `flock`, exclusive | while a wait is added to it, without blocking |
//! | `lock/vouchers` | `flock`, exclusive, with turnstile | while claims and the files they are for are changed |
//! | `lock/runs` | one OFD byte lock for each live run | from before the run's row exists until it ends |
//! | `txn/<id>` | `flock`, exclusive | by the transaction that stages there, and by the process that deletes it |
//! | a tree's root directory | `flock`, shared | while the tree is pinned |
//!
//! The kinds of locks do not exclude each other, so each file uses one kind. Lock order: keys, files that a caller
//! names (by device and inode), named locks (by name), `vouchers`, `commit`, `db`. Waits block and do not poll,
//! because a poller starves. (Polling is used only where no thread can be started, and for locks that another program
//! holds in SQLite.) The turnstile is a second lock: a process that waits for the lock holds the turnstile, and every
//! new request passes through it, so that overlapping readers cannot starve a writer. A request that does not wait
//! skips the turnstile. After a wait the name must still lead to the same file; otherwise the file that is there now
//! is locked.
//!
//! Any user who may read a tree can lock its root directory. A wait for such a lock is short if none of its holders may
//! use the home ([`held_by_others`]); the locked tree is not deleted while the lock is held.
//!
//! The text that a holder writes into a lock file is informational.
//!
//! A lock belongs to an open file description, which child processes can inherit: it is held until the last of them
//! has closed it or any of them has unlocked it. So the holder unlocks explicitly, and a process never touches a lock
//! that it inherited.

mod by_path;
mod db;
mod flock;
mod holder;
mod keys;
mod others;
mod runs;
mod wait;
mod within;

pub(crate) use by_path::ByPath;
pub(crate) use db::{DB, DbLock};
pub(crate) use flock::{Held, acquire, is_name, lock_dir, try_exclusive, try_shared, unlock};
pub use flock::{LockError, Mode};
pub(crate) use holder::{Holders, of_inode, user_of};
pub(crate) use keys::KeyByte;
pub(crate) use others::held_by_others;
pub(crate) use runs::{RunByte, Runs, bytes_exclude, hold_byte};
pub(crate) use wait::{Awaited, GivesUp, Wait, in_line, poll};
pub(crate) use within::{is_locked_inside, is_locked_within, is_pinned_within};
