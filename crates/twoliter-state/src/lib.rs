//! Twoliter's files on disk, as transactions of [`tljournal`].
//!
//! | what | where | calls |
//! |---|---|---|
//! | verification tags | `build/external-kits/` | [`State::write_tags`], [`State::cleanup_existing_tags`], [`State::check_tags`] |
//! | tools | `build/tools/` | [`State::install_tools`] |
//! | kits | `build/external-kits/` | [`State::pull`], [`State::unpack_kit`] |
//! | small files that other programs read | [`LOCK_FILE`], [`EXTERNAL_KIT_METADATA`], [`CARGO_METADATA`] | [`State::write_file`] |
//! | build artifacts | `build/rpms/`, `build/kits/`, `build/images/` | [`State::publish`], [`State::clean`], [`State::flip_latest`] |
//!
//! All calls verify what exists and do not touch what is right, can be killed at any time, and can be made by several
//! processes at once. `AsyncState` (feature `tokio`) has them for asynchronous code.
//! `docs/twoliter.md` describes twoliter's call sites.
//!
//! ```
//! use twoliter_state::{EXTERNAL_KITS_DIR, LOCK_FILE, State, Verified, digest_of_verified};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let project = tempfile::tempdir()?;
//! # let project = project.path().to_str().ok_or("not UTF-8")?;
//! let state = State::open(project)?;
//! let digest = digest_of_verified([(LOCK_FILE, &b"what is in it"[..])]);
//! let verified = Verified::sdk(digest, "sdk-1@vendor (registry/sdk:v1)");
//! state.write_tags(EXTERNAL_KITS_DIR, &verified)?;
//! assert!(!state.write_tags(EXTERNAL_KITS_DIR, &verified)?, "the same again changes nothing");
//! state.close()?;
//! # Ok(())
//! # }
//! ```

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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
