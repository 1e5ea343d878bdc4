//! Power cuts: what reaches the filesystem is recorded, states that a cut may leave are built from the
//! recording, and what the engine makes of each is checked.
//!
//! # The fault model
//!
//! - A cut comes between any two calls of the engine or of SQLite.
//! - The content of a file is what was synced, and of what was written since: all, nothing, the beginning,
//!   only later writes, zeros in its place, or every other sector of 512 or 4096 bytes. Size, mode and
//!   mtime may be newer than the content.
//! - A name that was made, moved or removed since its directory was synced is as it was before or as it is
//!   after. Each of these is lost or kept by itself, but for what touches the same name or the same
//!   inode: there a later one includes the earlier ones. A rename has happened at both of its ends or at
//!   neither.
//! - A sync of a file does not make its name durable; one of a directory makes its entries durable and not
//!   what is in them, but for symbolic links, which nothing else can sync.
//! - A filesystem may lack a `syncfs` that reaches the medium.
//!
//! Not modelled: media that lie about syncs or decay, filesystems whose renames are not atomic, and a
//! cut in the middle of one call's own effect on names.

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
