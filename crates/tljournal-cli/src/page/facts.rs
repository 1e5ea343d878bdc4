//! What a page tells beside the rows of history: what others found out.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Worth knowing.
    Note,
    /// Not as it should be; nothing is lost.
    Warning,
    /// Damage.
    Error,
}

impl Severity {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that a check found.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Its stable code.
    pub(crate) code: String,
    /// What it is about.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) text: String,
    /// What to do.
    pub(crate) advice: String,
}
