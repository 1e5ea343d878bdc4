use camino::Utf8PathBuf;
use tljournal::Journal;

use crate::Error;

/// The state of a project: its journal, in the words of twoliter.
///
/// One for each process is enough; it may be shared between threads.
#[derive(Debug)]
pub struct State {
    pub(crate) journal: Journal,
    /// Whether the run around this process vouches for tags, and not its own.
    pub(crate) for_run_around: bool,
}

impl State {
    /// Opens the state of the project in this directory.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn open(project: impl Into<Utf8PathBuf>) -> Result<Self, Error> {
        Ok(Self::with(Journal::open(project)?))
    }

    /// The state that this journal keeps.
    #[must_use]
    pub fn with(journal: Journal) -> Self {
        Self {
            journal,
            for_run_around: false,
        }
    }

    /// The same, which vouches for tags in the name of the run around this process, as a command of a shell
    /// task does; see [`Tags::for_run_around`](tljournal::Tags::for_run_around).
    #[must_use]
    pub fn for_run_around(mut self) -> Self {
        self.for_run_around = true;
        self
    }

    /// The journal below.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The journal below, and nothing above it any more.
    #[must_use]
    pub fn into_journal(self) -> Journal {
        self.journal
    }

    /// Ends the run.
    ///
    /// # Errors
    /// As for [`Journal::close`].
    pub fn close(self) -> Result<(), Error> {
        Ok(self.journal.close()?)
    }
}
