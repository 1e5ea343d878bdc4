//! Power cuts: records all changes of the filesystem, builds the states that a cut may leave, and checks that the
//! engine recovers from each.
//!
//! # The fault model
//!
//! - A cut comes between any two calls of the engine or of SQLite.
//! - The content of a file is what was synced plus, of what was written since: all, nothing, the start, only later
//!   writes, zeros, or every other sector of 512 or 4096 bytes. Size, mode and mtime may be newer than the content.
//! - A name that was created, moved or removed since its directory was synced has its old or its new state. Each of
//!   these changes is lost or kept independently, except for changes of the same name or inode: there a later one
//!   includes the earlier ones. A rename has happened at both ends or at neither.
//! - A sync of a file does not make its name durable. A sync of a directory makes its entries durable but not their
//!   content, except for symbolic links, which cannot be synced otherwise.
//! - `syncfs` may not reach the medium.
//!
//! Not modelled: media that ignore syncs or decay, filesystems with non-atomic renames, and a cut within the effect
//! of one call on names.

mod check;
mod enumerate;
mod explore;
mod image;
mod lay;
mod record;
mod search;
mod state;
mod story;

pub use check::{Subject, check_one_of};
pub use explore::{Budget, Explorer, Found, RecordedSync, Report, Sabotage};
pub use record::Progress;
