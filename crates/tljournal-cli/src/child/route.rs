//! Where the command's output goes: through, or to a log that is followed.
//!
//! A command writes to its log directly, so that no pipe of it breaks when this process is killed. What
//! it then does to its output it does to a file: who opens `/dev/stderr` to write it anew (`>` in a shell)
//! truncates the log, as with any output that was redirected to a file.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, Stdio};

use tljournal::{Run, RunLog};

use super::args::Log;
use super::follow::{Follower, Watched};
use crate::failure::Failure;

/// One of the two outputs of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Out,
    Err,
}

/// Which outputs go to which log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// What each log's name ends with, and the outputs that go there; the first is where it is copied to.
    logs: Vec<(&'static str, Vec<Output>)>,
}

/// The logs that are followed.
pub(super) struct Routes(Vec<Follower>);

/// Decides by what the outputs of this process are.
pub(super) fn choose(log: Log) -> Choice {
    let [out, err] = [Output::Out, Output::Err].map(|output| match log {
        Log::All => true,
        Log::Nothing => false,
        Log::UnlessTerminal => !output.is_terminal(),
    });
    decide(out, err, are_same())
}

fn decide(out: bool, err: bool, same: bool) -> Choice {
    use Output::{Err, Out};
    let logs = match (out, err) {
        (false, false) => vec![],
        // One file keeps what came when in order.
        (true, true) if same => vec![("", vec![Out, Err])],
        (true, true) => vec![(".out", vec![Out]), (".err", vec![Err])],
        (true, false) => vec![(".out", vec![Out])],
        (false, true) => vec![(".err", vec![Err])],
    };
    Choice { logs }
}

impl Choice {
    /// Makes the logs, has the command write there, and begins to follow them.
    pub(super) fn open(self, run: &Run, command: &mut Command) -> Result<Routes, Failure> {
        let mut watched = Vec::new();
        for _ in &self.logs {
            match Watched::new() {
                Ok(one) => watched.push(one),
                Err(error) => {
                    tracing::warn!("no log is kept, because none can be followed: {error}");
                    return Ok(Routes(Vec::new()));
                }
            }
        }
        if self.logs.is_empty() {
            return Ok(Routes(Vec::new()));
        }
        let suffixes: Vec<_> = self.logs.iter().map(|(suffix, _)| *suffix).collect();
        let files = run.logs(&suffixes)?;
        let mut routes = Vec::new();
        for (((_, outputs), log), watched) in self.logs.into_iter().zip(files).zip(watched) {
            let failed = |source| Failure::io("follow the command's output", source);
            let RunLog { writer, reader } = log;
            for output in &outputs {
                let writer = writer.try_clone().map_err(failed)?;
                output.redirect(command, writer);
            }
            if let Some(to) = outputs.first() {
                routes.push(Follower::start(watched, reader, *to).map_err(failed)?);
            }
        }
        Ok(Routes(routes))
    }
}

impl Routes {
    /// Copies what has been written until now, and ends.
    pub(super) fn finish(self) {
        self.0.into_iter().for_each(Follower::finish);
    }
}

impl Output {
    fn is_terminal(self) -> bool {
        self.with(|fd| fd.is_terminal())
    }

    /// Does something with this process's own descriptor.
    pub(super) fn with<T>(self, act: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self {
            Self::Out => act(io::stdout().as_fd()),
            Self::Err => act(io::stderr().as_fd()),
        }
    }

    fn redirect(self, command: &mut Command, to: File) {
        match self {
            Self::Out => command.stdout(Stdio::from(to)),
            Self::Err => command.stderr(Stdio::from(to)),
        };
    }
}

/// Whether both outputs are the same file, pipe or terminal.
fn are_same() -> bool {
    let [out, err] =
        [Output::Out, Output::Err].map(|output| output.with(|fd| rustix::fs::fstat(fd)));
    match (out, err) {
        (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Output::{Err, Out};

    #[test]
    fn two_outputs_that_are_one_file_have_one_log() {
        let logs = |out, err, same| decide(out, err, same).logs;
        assert_eq!(logs(true, true, true), [("", vec![Out, Err])]);
        let two = [(".out", vec![Out]), (".err", vec![Err])];
        assert_eq!(logs(true, true, false), two);
        for same in [true, false] {
            assert_eq!(logs(true, false, same), [(".out", vec![Out])]);
            assert_eq!(logs(false, true, same), [(".err", vec![Err])]);
            assert_eq!(logs(false, false, same), []);
        }
    }
}
