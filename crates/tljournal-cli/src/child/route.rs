//! The destination of the command's output: this process's outputs, or a keeper that writes a log and copies.

use std::io::{self, IsTerminal, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;

use tljournal::Run;

use super::args::Log;
use super::keep::{Keeper, Kept, Losses};
use crate::failure::Failure;

/// One of the two outputs of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Out,
    Err,
}

/// The outputs of each log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The suffix of each log's name, and the outputs that go there; it is copied to the first one.
    logs: Vec<(&'static str, Vec<Output>)>,
    /// Whether the user requested logs, so that a failure to create one is an error.
    asked: bool,
}

/// The keeper, if there is a log.
pub(super) struct Routes(Option<Keeper>);

/// Decides from the kind of this process's outputs.
pub(super) fn choose(log: Log) -> Choice {
    let [out, err] = [Output::Out, Output::Err].map(|output| match log {
        Log::All => true,
        Log::Nothing => false,
        Log::UnlessTerminal => !output.is_terminal(),
    });
    Choice {
        logs: decide(out, err, are_same()),
        asked: log == Log::All,
    }
}

fn decide(out: bool, err: bool, same: bool) -> Vec<(&'static str, Vec<Output>)> {
    use Output::{Err, Out};
    match (out, err) {
        (false, false) => vec![],
        // One file keeps the order of both outputs.
        (true, true) if same => vec![("", vec![Out, Err])],
        (true, true) => vec![(".out", vec![Out]), (".err", vec![Err])],
        (true, false) => vec![(".out", vec![Out])],
        (false, true) => vec![(".err", vec![Err])],
    }
}

impl Choice {
    /// Creates the logs, and connects the command to their keeper. If the user did not request a log, the command
    /// runs without one after an error.
    pub(super) fn open(self, run: &Run, command: &mut Command) -> Result<Routes, Failure> {
        if self.logs.is_empty() {
            return Ok(Routes(None));
        }
        match self.keep(run) {
            Ok((keeper, writers)) => {
                for (output, writer) in writers {
                    output.redirect(command, writer);
                }
                Ok(Routes(Some(keeper)))
            }
            Err(failure) if self.asked => Err(failure),
            Err(failure) => {
                let why = failure.in_full();
                tracing::warn!("the command's output is not logged: {why}");
                Ok(Routes(None))
            }
        }
    }

    /// Starts the keeper; returns the pipes for the outputs.
    fn keep(&self, run: &Run) -> Result<(Keeper, Vec<(Output, PipeWriter)>), Failure> {
        let suffixes: Vec<_> = self.logs.iter().map(|(suffix, _)| *suffix).collect();
        let files = run.logs(&suffixes)?;
        let failed = |source| Failure::io("keep the command's output", source);
        let (out, err) = (io::stdout(), io::stderr());
        let (mut streams, mut writers) = (Vec::new(), Vec::new());
        for ((_, outputs), log) in self.logs.iter().zip(files) {
            let (from, writer) = io::pipe().map_err(failed)?;
            let to = match outputs.first() {
                Some(Output::Err) => err.as_fd(),
                _ => out.as_fd(),
            };
            for output in outputs {
                writers.push((*output, writer.try_clone().map_err(failed)?));
            }
            streams.push(Kept { from, log, to });
        }
        let keeper = Keeper::start(&streams, self.asked).map_err(failed)?;
        Ok((keeper, writers))
    }
}

impl Routes {
    /// Returns when all output so far has been copied.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Some(keeper) = self.0 else {
            return Ok(());
        };
        let told = keeper.finish().map_err(|source| {
            Failure::io("hear from the keeper of the command's output", source)
        })?;
        for errno in told.iter().filter_map(|losses| losses.log) {
            tracing::warn!("the log of the command's output is incomplete: {errno}");
        }
        match told.into_iter().find_map(|losses: Losses| losses.copy) {
            Some(errno) => Err(Failure::io("copy the command's output", errno.into())),
            None => Ok(()),
        }
    }
}

impl Output {
    fn is_terminal(self) -> bool {
        self.with(|fd| fd.is_terminal())
    }

    /// Calls `act` with this process's own descriptor.
    fn with<T>(self, act: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self {
            Self::Out => act(io::stdout().as_fd()),
            Self::Err => act(io::stderr().as_fd()),
        }
    }

    fn redirect(self, command: &mut Command, to: PipeWriter) {
        match self {
            Self::Out => command.stdout(OwnedFd::from(to)),
            Self::Err => command.stderr(OwnedFd::from(to)),
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
        let logs = decide;
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
