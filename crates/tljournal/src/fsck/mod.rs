//! Whether everything is as the catalog says, and as the journal keeps it.
//!
//! It looks, tells each thing that is not right, and goes on. Nothing is written, made, moved or deleted, not
//! even a lock file: it works on a read-only mount and on a copy, and says what it could not check there.
//! [`repair`] and [`rebuild`] change something, and are asked for by name.
//!
//! # What is looked at
//!
//! | | quick | default | full |
//! |---|---|---|---|
//! | database | opens, right program, right format | and `quick_check`, every row parses, every manifest has its digest | `integrity_check`, every row refers to something |
//! | transactions | left unfinished or staging by nobody who lives, stuck; directories that no row accounts for | same | same |
//! | kept content | is there | is there | is what was recorded, all of it hashed |
//! | runs, locks, tags, layout of `.state` | all | all | all |
//! | files, links, trees | kinds, sizes, modes, mtimes, targets, names, hard links | and what the signature cannot vouch for is hashed | everything is hashed |
//!
//! # Beside those who work
//!
//! What a living transaction has, is no finding. What looks wrong is looked at a second time, with the commit
//! lock shared and the row read again: while it is shared nothing is being put in place, so that rows and disk
//! say the same, or something is wrong. Only then it is told. Where nobody can work (a copy), nothing is locked.
//!
//! # How it goes
//!
//! What is read lies in the room `look`; here `look` adds the moment in which nothing is being put in place. Each other file is one part: it is given a
//! [`Check`], and tells [`Finding`]s. What there is to tell stands in `code`, once. Structure comes first,
//! so that it is known how much is to be hashed; then all of that, the largest first, on every core.
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
