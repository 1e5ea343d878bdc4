//! How runs ended: derived from their rows and from which runs are running, for all output.

use anstyle::Style;
use tljournal::{Inspection, RunRecord};

use crate::failure::Failure;
use crate::output::{BAD, GOOD, WARN};
use crate::text::clean;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It succeeded.
    Well,
    /// It reported a failure, or its command failed.
    Failed,
    /// Its command was ended by a signal.
    Killed,
    /// It was killed, and another process has recorded that.
    FoundDead,
    /// It was killed, and no process has recorded that yet.
    SeenDead,
    /// It is running.
    Alive,
    /// It has no recorded end, and it is unknown whether it is running.
    Unknown,
}

impl End {
    /// The end from the row of a run, and from whether it is running, if that is known.
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

    /// The same, querying whether it is running.
    pub(crate) fn seen_from(inspection: &Inspection, run: &RunRecord) -> Result<Self, Failure> {
        let lives = match run.outcome.is_none() && inspection.tells_who_lives() {
            true => Some(inspection.history().is_alive(run.id)?),
            false => None,
        };
        Ok(Self::of(run, lives))
    }

    /// Whether it is worth investigating.
    pub(crate) fn is_bad(self) -> bool {
        !matches!(self, Self::Well | Self::Alive)
    }

    /// Whether it or its command reported a failure, or was ended by a signal.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Killed)
    }

    /// Whether it was killed without recording its end.
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

    /// The text for people: the run's own outcome, if it recorded one.
    pub(crate) fn told(self, run: &RunRecord) -> String {
        match self {
            Self::SeenDead => "dead".to_owned(),
            Self::Alive => "at work".to_owned(),
            Self::Unknown => "no end is recorded".to_owned(),
            _ => clean(run.outcome.as_deref().unwrap_or_default()),
        }
    }

    /// The style of the text.
    pub(crate) fn style(self) -> Style {
        match self {
            Self::Well | Self::Alive => GOOD,
            Self::Unknown => WARN,
            _ => BAD,
        }
    }
}
