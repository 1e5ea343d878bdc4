//! The failures of commands.

use std::io;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An error of the journal.
    #[error(transparent)]
    Journal(#[from] tljournal::Error),
    /// An error of twoliter's state.
    #[error(transparent)]
    State(twoliter_state::Error),
    /// The call or its input is invalid.
    #[error("{0}")]
    Usage(String),
    /// A refused action; nothing was done.
    #[error("{what}")]
    Refused {
        /// The reason.
        what: String,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// Nothing was found.
    #[error("{0}")]
    Nothing(String),
    /// A command could not be started.
    #[error("failed to run `{command}`")]
    Command {
        /// Its name, escaped.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// An error with the user's own files, or the terminal.
    #[error("failed to {what}")]
    Io {
        /// The operation.
        what: String,
        /// The system's error.
        source: io::Error,
    },
}

impl From<tljournal_cli::describe::DescribeError> for Failure {
    fn from(error: tljournal_cli::describe::DescribeError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<twoliter_state::Error> for Failure {
    fn from(error: twoliter_state::Error) -> Self {
        match error {
            twoliter_state::Error::Journal(error) => Self::Journal(error),
            error => Self::State(error),
        }
    }
}

impl Failure {
    /// A system error during an operation.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        let what = what.into();
        Self::Io { what, source }
    }

    /// The operating system's error, if there is one.
    pub(crate) fn system(&self) -> Option<&io::Error> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<io::Error>() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }

    /// The failure and its causes, on one line.
    pub(crate) fn in_full(&self) -> String {
        let mut words = vec![self.to_string()];
        words.extend(self.causes());
        words.join(": ")
    }

    /// The causes, without repetitions.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes = vec![self.to_string()];
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            let text = error.to_string();
            if !causes.last().is_some_and(|last| last.ends_with(&text)) {
                causes.push(text);
            }
            next = error.source();
        }
        causes.split_off(1)
    }
}

impl From<tljournal::PathError> for Failure {
    fn from(error: tljournal::PathError) -> Self {
        Self::Journal(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_ends_at_what_the_system_said() {
        let failure = Failure::io("read `x`", io::Error::from_raw_os_error(13));
        assert_eq!(failure.to_string(), "failed to read `x`");
        assert_eq!(failure.causes(), ["Permission denied (os error 13)"]);
        assert_eq!(failure.system().and_then(io::Error::raw_os_error), Some(13));
    }
}
