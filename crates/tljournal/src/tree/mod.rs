//! Trees: where they come from, how one is staged, and how one is checked.
//!
//! A tree is a directory with everything below it, described by a [`Manifest`]. This room knows
//! nothing of the catalog, of transactions or of locks. It fills an empty directory that nobody else
//! sees yet, or looks at one that is there.
//!
//! ```text
//! directory -- walk -- copy (every core) --------------------------+
//! archive ---- compression -- archive --+                          +-- draft -- Built
//! layers ----- compression (ahead, every core) -- archive --+
//! entries -----------------------------+-- unpack -- writers ------+
//! filled by the caller ------- walk -- read (every core) ----------+
//! ```
//!
//! What always holds:
//!
//! 1. **Refused before anything is visible.** Names that leave the tree, special files and damaged
//!    archives fail the build; the caller throws the staged root away.
//! 2. **No link is followed.** Below the roots everything is opened beneath a handle and through no
//!    link; only the path that the caller gave for a source is followed.
//! 3. **Last touched, then looked at.** The signature of an inode is taken after the last change to it:
//!    of a file after its mtime was set, of a hard-link group after its last link, of a directory after
//!    its last entry.
//! 4. **What is described was read.** A source file that changes while it is read fails the build.
//! 5. **Bounded memory.** At most 16 MiB of content are on their way; what stays is one small record for
//!    each entry.
//! 6. **One result.** The manifest of a payload is the same from a directory, an archive or an iterator,
//!    and whatever the number of cores.
//!
//! | question | verb | file |
//! |---|---|---|
//! | is the source what it was? | `fingerprint` | `fingerprint.rs` |
//! | fill a directory from it | `build` | `build.rs`, `copy.rs`, `filled.rs`, `layers.rs`, `unpack.rs` |
//! | is the tree what its manifest says? | `verify` | `verify.rs`, `look.rs`, `read.rs` |
//! | the same, as far as it shows without reading | `survey` | `verify.rs`, `look.rs` |
//! | what is there? | `read` | `copy.rs` |
//! | which files are private keys? | `keys_among` | `keys.rs` |
//!
//! [`Manifest`]: crate::model::Manifest

mod ahead;
mod archive;
mod build;
mod compression;
mod copy;
mod difference;
mod draft;
mod error;
mod filled;
mod fingerprint;
mod formats;
mod header;
mod keys;
mod layers;
mod look;
mod members;
mod memory;
mod names;
mod near;
mod pax;
mod read;
mod source;
mod sparse;
mod spread;
mod tar_reader;
mod unpack;
mod verify;
mod walk;
mod whiteout;
mod writers;

pub use compression::decoded;
pub use difference::{Difference, DifferenceKind};
pub use error::TreeError;
pub use layers::Layer;
pub use source::{SourceContent, SourceEntry, TreeSource};

pub(crate) use build::build;
pub(crate) use copy::read;
pub(crate) use draft::Built;
pub(crate) use fingerprint::{Fingerprint, fingerprint};
pub(crate) use keys::{is_key, keys_among};
pub(crate) use read::Reader;
pub(crate) use spread::cores;
pub(crate) use verify::{Depth, survey, verify};
pub(crate) use walk::list;

use crate::model::Identity;

/// The journal's own directory, by device and identity: no source may contain it.
pub(crate) type Forbidden = (u64, Identity);

/// Told how many bytes were just worked through; from any thread.
pub(crate) type Tick<'a> = &'a (dyn Fn(u64) + Sync);

#[cfg(test)]
mod tests;
