//! Trees: their sources, staging and verification.
//!
//! A tree is a directory with everything below it, described by a [`Manifest`]. This module does not know the
//! catalog, transactions or locks. It fills an empty directory that no other process sees yet, or reads an existing
//! one.
//!
//! ```text
//! directory -- walk -- copy (every core) --------------------------+
//! archive ---- compression -- archive --+                          +-- draft -- Built
//! layers ----- compression (ahead, every core) -- archive --+
//! entries -----------------------------+-- unpack -- writers ------+
//! filled by the caller ------- walk -- read (every core) ----------+
//! ```
//!
//! Invariants:
//!
//! 1. **Refused before anything is visible.** Names that leave the tree, special files and damaged archives fail the
//!    build; the caller deletes the staged root.
//! 2. **No link is followed.** Below the roots everything is opened beneath a handle and through no link; only the
//!    path that the caller gave for a source may contain links.
//! 3. **Signed after the last change.** The signature of an inode is taken after the last change to it: of a file
//!    after its mtime was set, of a hard-link group after its last link, of a directory after its last entry.
//! 4. **What is described was read.** A source file that changes while it is read fails the build.
//! 5. **Bounded memory.** At most 16 MiB of content are in memory; one small record remains for each entry.
//! 6. **One result.** The manifest of a payload does not depend on whether it comes from a directory, an archive or
//!    an iterator, nor on the number of cores.
//!
//! | question | verb | file |
//! |---|---|---|
//! | is the source unchanged? | `fingerprint` | `fingerprint.rs` |
//! | fill a directory from it | `build` | `build.rs`, `copy.rs`, `filled.rs`, `layers.rs`, `unpack.rs` |
//! | does the tree match its manifest? | `verify` | `verify.rs`, `look.rs`, `read.rs` |
//! | the same, without reading content | `survey` | `verify.rs`, `look.rs` |
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

/// Receives the number of bytes just processed; called from any thread.
pub(crate) type Tick<'a> = &'a (dyn Fn(u64) + Sync);

#[cfg(test)]
mod tests;
