//! Kernel locks between processes. Nothing here guesses: whoever dies loses its locks at once.
//!
//! # Which file is locked how
//!
//! | file | lock | held |
//! |---|---|---|
//! | `lock/commit` | `flock`, shared or exclusive, with turnstile | by readers of one moment; while changes are checked and applied |
//! | `lock/db` | `flock`, exclusive | for each write of SQLite |
//! | `lock/name/<name>` | `flock`, shared or exclusive, with turnstile | as long as its user likes |
//! | a file that a caller names | `flock`, shared or exclusive, as flock(1) does: no turnstile | as long as its user likes |
//! | `lock/keys` | one OFD byte lock for each key that is populated now | from before the tree is looked at again until it is in place |
//! | `lock/waits` | `flock`, exclusive | while a wait is listed in it, which takes no waiting |
//! | `lock/vouchers` | `flock`, exclusive, with turnstile | while vouchers and the files they are for are changed |
//! | `lock/runs` | one OFD byte lock for each live run | from before the run's row exists until it ends |
//! | `txn/<id>` | `flock`, exclusive | by the transaction that stages there, and by whoever deletes it |
//! | a tree's root directory | `flock`, shared | by whoever pinned the tree |
//!
//! The kinds do not see each other, so each file has one kind. Order: keys, files that a caller names (by device
//! and inode), named locks (by name), `vouchers`, `commit`, `db`. Waiting is blocking, never polling: a poller starves.
//! (Only where no thread can be had, and for what another program holds in SQLite, there is nothing else.)
//! The turnstile is a second lock that is
//! passed through on the way in: whoever waits for the lock holds it, so that readers that overlap for
//! ever cannot keep a writer out. Who does not wait at all stands in no line. Once a lock was waited for its
//! name must still lead to that file; else the one that is there now is taken.
//!
//! What a holder writes into a lock file is read by people only.
//!
//! A lock belongs to an open file description, which children can inherit: then it is held until the last
//! of them has closed it, or any of them has given it back. So whoever holds one gives it back explicitly,
//! and an heir touches nothing that it inherited.

mod by_path;
mod db;
mod flock;
mod holder;
mod keys;
mod runs;
mod wait;
mod within;

pub(crate) use by_path::ByPath;
pub(crate) use db::{DB, DbLock, DbTurn};
pub(crate) use flock::{Held, acquire, is_name, lock_dir, try_exclusive, try_shared, unlock};
pub use flock::{LockError, Mode};
pub(crate) use holder::{Holders, of_inode, writer_of};
pub(crate) use keys::KeyByte;
pub(crate) use runs::{RunByte, Runs, bytes_exclude, hold_byte};
pub(crate) use wait::{Awaited, GivesUp, Wait, in_line, poll};
pub(crate) use within::{is_locked_inside, is_locked_within};
