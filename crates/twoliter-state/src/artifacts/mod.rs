//! Build artifacts: outputs in `build/rpms`, `build/kits` and `build/images`, and the markers in `build/state` that
//! record their owners.
//!
//! A marker is an empty file, `<output>.buildsys_marker`, in the directory of its owner below the state directory. An
//! output belongs to the artifact whose marker names it; markers that upstream left are used as they are.
//!
//! # Publishing
//!
//! The new outputs are staged first, as hard links where possible. Then the named lock `artifacts` is taken, the
//! markers are read, and one transaction puts outputs and markers, and removes old outputs that are not in the new
//! set. A process that is killed before the commit leaves the old set complete.
//!
//! Directories that become empty stay: removing them would race with other publishers, and readers see no difference.
//! `clean` removes them.

mod clean;
mod markers;
mod publish;

pub use clean::LATEST;
pub use markers::{Kind, MARKER_EXTENSION};
pub use publish::{Artifact, Outputs, Published};

/// Serializes publishing and cleaning.
const LOCK: &str = "artifacts";
