//! What twoliter keeps on disk, in its own words, as transactions of [`tljournal`].
//!
//!

#![forbid(unsafe_code)]

mod anywhere;
mod artifacts;
#[cfg(feature = "tokio")]
mod asynchronous;
mod digest;
mod error;
mod files;
mod kits;
mod state;
mod tags;
mod tools;

pub use anywhere::{Vouching, cleanup_existing_tags, install_tools, write_tags};
pub use artifacts::{Artifact, Kind, LATEST, MARKER_EXTENSION, Outputs, Published};
#[cfg(feature = "tokio")]
pub use asynchronous::AsyncState;
pub use error::Error;
pub use files::{CARGO_METADATA, EXTERNAL_KIT_METADATA, LOCK_FILE, project_dir};
pub use kits::{Kit, KitOptions, LayoutError};
pub use state::State;
pub use tags::{
    EXTERNAL_KITS_DIR, KITS_TAG, Level, SDK_TAG, TagCheck, Verified, digest_of_verified,
};
pub use tools::Tools;
