//! The layout of the home, and the mapping from paths to directory handles. All names are defined here.
//!
//! ```text
//! <home>/.state.db           the catalog, with -wal and -shm
//! <home>/.state/txn/<id>/<n> a staging slot: the new content, after apply what it replaced
//! <home>/.state/txn/<id>/<n>.out  the third name, where entries cannot be exchanged
//! <home>/.state/lock/        lock files
//! <home>/.state/log/<run>     the output of a run's command, or .out and .err
//! <home>/.state/aside/       quarantine, limited
//! <home>/.state/damaged-<..> marks the database with this identity as damaged
//! <home>/.state/reserve      deleted when the disk is full
//! <home>/.state/rebuilt.db   a rebuilt database, used by an opener that finds none
//! <dir>/.tljournal-<id>-<n>  the same as txn/<id>/<n>, for a target on another filesystem
//! ```

mod access;
mod aside;
mod below;
mod fence;
mod index;
mod layout;
mod leftover;
mod logs;
mod place;
mod staging;

pub(crate) use access::{RecordedModes, may_others_write};
pub(crate) use aside::{Copied, GONE};
pub use below::below_root;
pub(crate) use below::named_below;
pub(crate) use fence::{
    DatabaseFiles, check_database_files, is_in_rollback_mode, is_lost, is_used,
};
pub(crate) use index::hold_index;
pub(crate) use layout::{
    ASIDE, BESIDE_PREFIX, DAMAGED_PREFIX, DATABASE, FOREIGN_JOURNAL, Home, LOCK, LOG, NAMED,
    REBUILDING, REBUILT, RESERVE, SHM, SHM_SUFFIX, STATE, TXN, WAL, WAL_SUFFIX, is_openable,
    open_there, refuse_without_proc,
};
pub(crate) use leftover::{Left, LeftoverChanges, txn_path};
pub use logs::GcLog;
pub(crate) use logs::surplus_logs;
pub(crate) use place::{Map, Parent};
pub(crate) use staging::{STAGED_PATHS, Staging, out_name, spot_name};
