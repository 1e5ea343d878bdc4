use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Finding, Severity};
use crate::model::RelPath;

/// How closely is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FsckDepth {
    /// At names, kinds, sizes, modes, mtimes, link targets and signatures; no content is read.
    Quick,
    /// Also at the content that the signature cannot vouch for, and at the pages of the database.
    #[default]
    Default,
    /// At all content, and at all of the database.
    Full,
}

impl FsckDepth {
    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Default => "default",
            Self::Full => "full",
        }
    }
}

/// What is looked at, and how.
#[derive(Debug, Clone, Default)]
#[must_use = "options look at nothing by themselves"]
pub struct FsckOptions {
    /// How closely.
    pub depth: FsckDepth,
    /// Only what stands at, above or below these paths; the rest of the journal is not looked at then.
    pub paths: Vec<RelPath>,
    /// Told how far it is, and whether it is to end.
    pub watch: Arc<FsckWatch>,
}

/// How far a check is; it can be ended by it, from any thread.
#[derive(Debug, Default)]
pub struct FsckWatch {
    read: AtomicU64,
    total: AtomicU64,
    stopped: Arc<AtomicBool>,
}

impl FsckWatch {
    /// How many bytes of content have been read, of how many; 0 as long as that is not known.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let read = self.read.load(Ordering::Relaxed);
        (read, self.total.load(Ordering::Relaxed))
    }

    /// Has the check end soon, with what was found until then.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// What [`FsckWatch::stop`] sets: a handler of signals may.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.stopped.clone()
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn tick(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What was looked at, and how much was found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FsckReport {
    /// Findings that are errors.
    pub errors: u64,
    /// Findings that are warnings.
    pub warnings: u64,
    /// Findings that are notices.
    pub notices: u64,
    /// Files, links and directories that were looked at.
    pub entries: u64,
    /// Bytes of content that were hashed.
    pub hashed_bytes: u64,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// Whether it was ended before it was done.
    pub cancelled: bool,
    /// Whether it came to nothing because somebody worked meanwhile, which cannot be followed by who may not write
    /// there: it can be repeated.
    pub outdated: bool,
    /// Places where something looked wrong, and that could not be looked at again while nobody put anything in place:
    /// whether it is wrong is not known.
    pub unconfirmed: u64,
    /// The paths that were asked for at, above and below which nothing is recorded.
    pub unknown: Vec<RelPath>,
}

impl FsckReport {
    /// Whether nothing that is an error was found, and nothing that looked like one was left open.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errors == 0 && !self.outdated && self.unconfirmed == 0
    }

    pub(super) fn count(&mut self, finding: &Finding) {
        let of_its_kind = match finding.severity() {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Notice => &mut self.notices,
        };
        *of_its_kind += 1;
    }
}
