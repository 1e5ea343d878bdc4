//! What was built: outputs in `build/rpms`, `build/kits` and `build/images`, and the markers in `build/state`
//! that say whose they are.
//!
//! A marker is an empty file, `<output>.buildsys_marker`, in the directory of its owner below the state
//! directory. An output belongs to whoever's marker names it; what upstream left there counts as it is,
//! because the disk is the truth.
//!
//! # Publishing
//!
//! The new outputs are staged first, by giving them a second name where that can be done. Then the named lock
//! `artifacts` is taken, the markers are looked at, and one transaction puts outputs and markers, and removes
//! those of the old set that are not in the new one. Whoever dies before its commit leaves the old set, whole.
//!
//! Directories that become empty are left where they are: to remove them would race with those who publish
//! into them, and a reader sees no difference. `clean` takes them away.

mod clean;
mod markers;
mod publish;

pub use clean::LATEST;
pub use markers::{Kind, MARKER_EXTENSION};
pub use publish::{Artifact, Outputs, Published};

/// Serialises those who publish and clean.
const LOCK: &str = "artifacts";
