//! The end of a command, as an exit code and as a word.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use tljournal::{Error, UsageError};

use crate::failure::Failure;

/// The exit status of commands that run another one, for their `--help`.
const OF_COMMANDS: &str = "\
Exit status:
  that of CMD, or 128 and the number of the signal that ended it; else, as with timeout(1),
  124  a lock that it asks for was not free in time (-E names another one)
  125  tljournal itself failed, or was called wrongly
  126  CMD was found but cannot be run
  127  CMD was not found";

/// The help text after the options of such a command.
pub(crate) fn after(text: &str) -> String {
    format!("{text}\n{OF_COMMANDS}")
}

const OWN_FAILURE: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The exit code to return.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = match status.signal() {
        Some(signal) => 128 + signal,
        None => status.code().unwrap_or_default(),
    };
    u8::try_from(code).unwrap_or(OWN_FAILURE)
}

/// The exit code if no command has run to its end.
pub(super) fn code_of_failure(failure: &Failure, timeout_code: u8) -> u8 {
    match failure {
        Failure::Journal(Error::Lock(lock)) if !lock.is_about_database() => timeout_code,
        Failure::Command { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => NOT_FOUND,
            // The system cannot create a process, whichever program it would run.
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => OWN_FAILURE,
            // The variable for child processes could not be set.
            _ if source
                .get_ref()
                .is_some_and(|source| source.is::<UsageError>()) =>
            {
                OWN_FAILURE
            }
            _ => CANNOT_RUN,
        },
        _ => OWN_FAILURE,
    }
}

/// The outcome of the run, for its row.
pub(super) fn outcome(status: &ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(0)) => "ok".to_owned(),
        (None, code) => format!("exited {}", code.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_a_code_and_a_word() {
        let table = [
            (0, 0, "ok"),
            (3 << 8, 3, "exited 3"),
            (255 << 8, 255, "exited 255"),
            (9, 137, "killed by signal 9"),
            (64, 192, "killed by signal 64"),
        ];
        for (raw, expected, word) in table {
            let status = ExitStatus::from_raw(raw);
            assert_eq!((code(status), outcome(&status).as_str()), (expected, word));
        }
    }

    #[test]
    fn failures_to_run_a_command_have_the_codes_of_timeout() {
        let failed = |errno| Failure::Command {
            command: "x".to_owned(),
            source: io::Error::from_raw_os_error(errno),
        };
        let code = |failure| code_of_failure(&failure, 99);
        assert_eq!(code(failed(2)), 127);
        assert_eq!(code(failed(13)), 126);
        assert_eq!(code(failed(8)), 126);
        assert_eq!(code(failed(11)), 125);
        assert_eq!(code(Failure::Usage(String::new())), 125);
        let timeout = tljournal::LockError::Timeout {
            lock: "a".to_owned(),
            waited: std::time::Duration::ZERO,
            holder: String::new(),
        };
        assert_eq!(code(Error::Lock(timeout).into()), 99);
        let timeout = tljournal::LockError::Timeout {
            lock: "lock/db".to_owned(),
            waited: std::time::Duration::ZERO,
            holder: String::new(),
        };
        assert_eq!(
            code(Error::Lock(timeout).into()),
            125,
            "no lock of the command"
        );
    }
}
