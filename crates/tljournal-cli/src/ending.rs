//! How runs ended: told from their rows, and from who lives, in one way for everything that is printed.

use anstyle::Style;
use tljournal::{Inspection, RunRecord};

use crate::failure::Failure;
use crate::output::{BAD, GOOD, WARN};
use crate::text::clean;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It did what it was to do.
    Well,
    /// It said that it failed, or its command did.
    Failed,
    /// Its command was ended by a signal.
    Killed,
    /// It ended without a word, and somebody has found that out.
    FoundDead,
    /// It ended without a word, and this is the first to see it.
    SeenDead,
    /// It is at work.
    Alive,
    /// It has not said that it ended, and whether it lives cannot be told from here.
    Unknown,
}

impl End {
    /// What the row of a run says, and whether it lives, where that can be told.
    pub(crate) fn of(run: &RunRecord, lives: Option<bool>) -> Self {
        match (run.outcome.as_deref(), lives) {
            (Some("ok" | "exited 0"), _) => Self::Well,
            (Some("found dead"), _) => Self::FoundDead,
            (Some(outcome), _) if outcome.starts_with("killed by signal") => Self::Killed,
            (Some(_), _) => Self::Failed,
            (None, Some(true)) => Self::Alive,
            (None, Some(false)) => Self::SeenDead,
            (None, None) => Self::Unknown,
        }
    }

    /// The same, asking who lives.
    pub(crate) fn seen_from(inspection: &Inspection, run: &RunRecord) -> Result<Self, Failure> {
        let lives = match run.outcome.is_none() && inspection.tells_who_lives() {
            true => Some(inspection.history().is_alive(run.id)?),
            false => None,
        };
        Ok(Self::of(run, lives))
    }

    /// Whether somebody may want to look into it.
    pub(crate) fn is_bad(self) -> bool {
        !matches!(self, Self::Well | Self::Alive)
    }

    /// Whether it or its command said that it failed, or a signal did.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Killed)
    }

    /// Whether it ended without a word.
    pub(crate) fn is_death(self) -> bool {
        matches!(self, Self::FoundDead | Self::SeenDead)
    }

    /// The word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Failed => "failed",
            Self::Killed => "killed",
            Self::FoundDead => "found dead",
            Self::SeenDead => "seen dead",
            Self::Alive => "alive",
            Self::Unknown => "unknown",
        }
    }

    /// What to tell people: what the run said itself, if it did.
    pub(crate) fn told(self, run: &RunRecord) -> String {
        match self {
            Self::SeenDead => "dead".to_owned(),
            Self::Alive => "at work".to_owned(),
            Self::Unknown => "no end is recorded".to_owned(),
            _ => clean(run.outcome.as_deref().unwrap_or_default()),
        }
    }

    /// The look of that.
    pub(crate) fn style(self) -> Style {
        match self {
            Self::Well | Self::Alive => GOOD,
            Self::Unknown => WARN,
            _ => BAD,
        }
    }
}
