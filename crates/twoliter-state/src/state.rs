use camino::Utf8PathBuf;
use tljournal::Journal;

use crate::Error;

/// The state of a project: its journal, with operations for twoliter.
///
/// One per process is sufficient; it can be shared between threads.
#[derive(Debug)]
pub struct State {
    pub(crate) journal: Journal,
    /// Whether claims on tags are made for the run around this process instead of its own run.
    pub(crate) for_run_around: bool,
}

impl State {
    /// Opens the state of the project in this directory.
    ///
    /// # Errors
    /// The errors of [`Journal::open`].
    pub fn open(project: impl Into<Utf8PathBuf>) -> Result<Self, Error> {
        Ok(Self::with(Journal::open(project)?))
    }

    /// The state on an open journal.
    #[must_use]
    pub fn with(journal: Journal) -> Self {
        Self {
            journal,
            for_run_around: false,
        }
    }

    /// The same, with claims on tags in the name of the run around this process, as for a command of a shell task;
    /// see [`Tags::for_run_around`](tljournal::Tags::for_run_around).
    #[must_use]
    pub fn for_run_around(mut self) -> Self {
        self.for_run_around = true;
        self
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The journal, by value.
    #[must_use]
    pub fn into_journal(self) -> Journal {
        self.journal
    }

    /// Ends the run.
    ///
    /// # Errors
    /// The errors of [`Journal::close`].
    pub fn close(self) -> Result<(), Error> {
        Ok(self.journal.close()?)
    }
}
