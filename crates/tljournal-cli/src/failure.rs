//! Why a command did not do what it was asked.

use std::io;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The journal says so.
    #[error(transparent)]
    Journal(#[from] tljournal::Error),
    /// What twoliter keeps is not as it has to be.
    #[error(transparent)]
    State(twoliter_state::Error),
    /// The call or its input is wrong.
    #[error("{0}")]
    Usage(String),
    /// It would do what it must not; nothing was done.
    #[error("{what}")]
    Refused {
        /// What was refused.
        what: String,
        /// What can be done about it.
        hint: Option<&'static str>,
    },
    /// What was asked for is not there.
    #[error("{0}")]
    Nothing(String),
    /// A command could not be started.
    #[error("failed to run `{command}`")]
    Command {
        /// Its name, escaped.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The user's own files, or the terminal.
    #[error("failed to {what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
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
    /// A failure of the system while doing something.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        let what = what.into();
        Self::Io { what, source }
    }

    /// What the operating system said, if it was asked.
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

    /// The failure and its causes, as one line.
    pub(crate) fn in_full(&self) -> String {
        let mut words = vec![self.to_string()];
        words.extend(self.causes());
        words.join(": ")
    }

    /// The causes below the failure's own words, each once.
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
