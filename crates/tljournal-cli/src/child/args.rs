use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use tljournal::LockMode;

use super::patience::Patience;
use crate::time;

/// The options of all commands that run another command.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommandArgs {
    /// The label of the run, which waiting processes see [default: the command line]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Give up after waiting this long, such as 90, 90s or 5m [default: --lock-wait, or no limit]
    #[arg(long, value_name = "DURATION", value_parser = time::duration, conflicts_with = "no_wait")]
    wait: Option<Duration>,
    /// Do not wait at all
    #[arg(long)]
    no_wait: bool,
    /// The exit status after a timeout
    #[arg(short = 'E', long, value_name = "N", default_value_t = 124)]
    timeout_code: u8,
    /// Store the output in .state/log below the home even if it goes to a terminal, and copy it there
    #[arg(long, conflicts_with = "no_log")]
    log: bool,
    /// Store no log: the command writes directly to this process's outputs
    #[arg(long)]
    no_log: bool,
    /// The command to run, and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The outputs that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// Outputs that do not go to a terminal.
    UnlessTerminal,
    All,
    Nothing,
}

impl CommandArgs {
    pub(super) fn label(&self) -> String {
        let words = self.command.iter();
        let words = words.map(|word| word.to_string_lossy().into_owned());
        self.label
            .clone()
            .unwrap_or_else(|| tljournal::redacted(words))
    }

    pub(super) fn timeout_code(&self) -> u8 {
        self.timeout_code
    }

    /// The limit for all waits together.
    pub(super) fn patience(&self, otherwise: Option<Duration>) -> Patience {
        let limit = match self.no_wait {
            true => Some(Duration::ZERO),
            false => self.wait.or(otherwise),
        };
        Patience::begin(limit)
    }

    pub(super) fn log(&self) -> Log {
        match (self.log, self.no_log) {
            (true, _) => Log::All,
            (_, true) => Log::Nothing,
            _ => Log::UnlessTerminal,
        }
    }

    /// The command's name, for display.
    pub(super) fn program(&self) -> String {
        let program = self.command.first().map(|word| word.to_string_lossy());
        program.unwrap_or_default().escape_debug().to_string()
    }

    /// The command's words.
    pub(crate) fn words(&self) -> &[OsString] {
        &self.command
    }

    /// The command, ready to start.
    pub(crate) fn to_command(&self) -> Command {
        let mut command = Command::new(self.command.first().cloned().unwrap_or_default());
        command.args(self.command.iter().skip(1));
        command
    }
}

/// A requested lock, as `NAME` or `NAME:shared`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) mode: LockMode,
}

impl std::str::FromStr for Wanted {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, mode) = match text.strip_suffix(":shared") {
            Some(name) => (name, LockMode::Shared),
            None => (text, LockMode::Exclusive),
        };
        match name.is_empty() {
            true => Err("the name of a lock is missing".to_owned()),
            false => Ok(Self {
                name: name.to_owned(),
                mode,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_unless_marked_shared() {
        let wanted = |name: &str, mode| {
            Ok(Wanted {
                name: name.to_owned(),
                mode,
            })
        };
        assert_eq!("a".parse(), wanted("a", LockMode::Exclusive));
        assert_eq!("a:shared".parse(), wanted("a", LockMode::Shared));
        assert_eq!("a:b".parse(), wanted("a:b", LockMode::Exclusive));
        assert!("".parse::<Wanted>().is_err());
        assert!(":shared".parse::<Wanted>().is_err());
    }
}
