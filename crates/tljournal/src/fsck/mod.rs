//! Checks whether the disk matches the catalog, and whether the journal's own files are intact.
//!
//! A check reports each problem and continues. It writes, creates, moves and deletes nothing, not even a lock file:
//! it works on a read-only mount and on a copy, and reports what it could not check there. [`repair`] and [`rebuild`]
//! write, and are separate calls.
//!
//! # What is checked
//!
//! | | quick | default | full |
//! |---|---|---|---|
//! | database | opens, right program, right format | and `quick_check`, every row parses, every manifest has its digest | `integrity_check`, every reference resolves |
//! | transactions | unfinished or staging without a running owner, stuck; directories without a row | same | same |
//! | retained content | exists | exists | matches its record, all of it hashed |
//! | runs, locks, tags, layout of `.state` | all | all | all |
//! | files, links, trees | kinds, sizes, modes, mtimes, targets, names, hard links | and files whose signature proves nothing are hashed | everything is hashed |
//!
//! # Concurrent work
//!
//! Files of a running transaction are not reported. A suspect is checked again under the shared commit lock, with its
//! row read again: while that lock is held no changes are being applied, so a difference between rows and disk is
//! real. Only then it is reported. In a copy, where no process works, nothing is locked.
//!
//! # Structure
//!
//! The module `look` reads; this module adds the checks under the commit lock. Each other file is one
//! part: it receives a [`Check`] and reports [`Finding`]s. All texts are in `code`. Structure is checked first, which
//! determines how much is to be hashed; then content is hashed on all cores, largest files first.
//!
//! [`repair`]: crate::Journal::repair
//! [`rebuild`]: crate::Options::rebuild

mod check;
mod code;
mod compare;
mod content;
mod database;
mod entries;
mod finding;
mod kept;
mod layout;
mod leftovers;
mod look;
mod options;
mod rebuild;
mod repair;
mod runs;
mod staging;
mod tags;
mod transactions;

pub use code::{Code, Mend, Severity};
pub use finding::Finding;
pub use options::{FsckDepth, FsckOptions, FsckReport, FsckWatch};
pub use rebuild::{RebuildOptions, Rebuilt};
pub use repair::{Repair, RepairOptions};

pub(crate) use check::{check, tell_unopened};
pub(crate) use rebuild::{is_sound, make as make_rebuilt};
pub(crate) use repair::repair;
