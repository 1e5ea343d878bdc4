use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Finding, Severity};
use crate::model::RelPath;

/// How thoroughly is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FsckDepth {
    /// Names, kinds, sizes, modes, mtimes, link targets and signatures; no content is read.
    Quick,
    /// Also the content that signatures do not prove unchanged, and the pages of the database.
    #[default]
    Default,
    /// All content, and the whole database.
    Full,
}

impl FsckDepth {
    /// The word for display and for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Default => "default",
            Self::Full => "full",
        }
    }
}

/// What is checked, and how.
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until a check uses them"]
pub struct FsckOptions {
    /// How thoroughly.
    pub depth: FsckDepth,
    /// Only places at, above or below these paths; other parts of the journal are not checked then.
    pub paths: Vec<RelPath>,
    /// Receives the progress, and can cancel the check.
    pub watch: Arc<FsckWatch>,
}

/// The progress of a check, which can be cancelled from any thread.
#[derive(Debug, Default)]
pub struct FsckWatch {
    read: AtomicU64,
    total: AtomicU64,
    stopped: Arc<AtomicBool>,
}

impl FsckWatch {
    /// The bytes of content read, and the total; 0 while that is not known.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let read = self.read.load(Ordering::Relaxed);
        (read, self.total.load(Ordering::Relaxed))
    }

    /// Cancels the check soon; it returns what was found until then.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// The flag that [`FsckWatch::stop`] sets, for signal handlers.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.stopped.clone()
    }

    /// Whether the check is cancelled.
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

/// What was checked, and how much was found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FsckReport {
    /// Findings that are errors.
    pub errors: u64,
    /// Findings that are warnings.
    pub warnings: u64,
    /// Findings that are notices.
    pub notices: u64,
    /// Files, links and directories that were compared.
    pub entries: u64,
    /// Bytes of content that were hashed.
    pub hashed_bytes: u64,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Whether another process changed the database meanwhile, which this process cannot follow without write access:
    /// the check can be repeated.
    pub outdated: bool,
    /// Suspects that could not be checked again because another process kept applying changes: it is unknown whether
    /// they are problems.
    pub unconfirmed: u64,
    /// The requested paths at, above and below which nothing is recorded.
    pub unknown: Vec<RelPath>,
}

impl FsckReport {
    /// Whether there are no errors, and no suspects that may be errors.
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
