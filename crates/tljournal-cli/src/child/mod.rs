//! Runs other commands, for `exec`, `pin` and similar commands.
//!
//! The command belongs to a run, which its own `tljournal` commands find in the environment. Locks and pins for it
//! are held exactly while its process runs, even if this process is killed. This module contains everything that
//! makes this process transparent: output (`route`, `keep`), signals (`signals`), exit code (`end`).

mod args;
mod end;
mod fill;
mod keep;
mod patience;
mod route;
mod signals;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use signal_hook::consts::SIGPIPE;

use tljournal::{Journal, Run};

pub(crate) use args::{CommandArgs, Wanted};
pub(crate) use end::after;
pub(crate) use fill::populate;
pub(crate) use keep::run as keep_output;
pub(crate) use patience::Patience;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::WARN;
use crate::session::Session;

/// This program, independent of its current name.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";

/// Runs before the command starts: acquires locks and pins, and returns the command to start.
pub(crate) trait Hold:
    FnOnce(&Journal, &mut Run, &Patience) -> Result<Command, Failure>
{
}

impl<F: FnOnce(&Journal, &mut Run, &Patience) -> Result<Command, Failure>> Hold for F {}

/// Runs a command as a run of its own, which begins before `hold` and ends with the command.
///
/// The exit code is the command's; failures have the codes that timeout(1) uses.
pub(crate) fn run(session: &Session, args: &CommandArgs, hold: impl Hold) -> Exit {
    let done = session.work().and_then(|journal| {
        let label = args.label();
        let run = journal.run(&label)?;
        let number = run.number();
        let status = within(session, &journal, run, args, hold)?;
        session.close_with(journal, &end::outcome(&status));
        Ok((number, status))
    });
    match done {
        Ok((number, status)) => {
            // A command that ended because its output was closed has not failed.
            if !status.success() && status.signal() != Some(SIGPIPE) {
                say_how_it_ended(session, number, &status);
            }
            Exit::Passed(end::code(status))
        }
        Err(failure) => fail(session, args, &failure),
    }
}

/// Reports why a command could not be started, when this process was to execute it.
pub(crate) fn cannot_run(session: &Session, args: &CommandArgs, source: io::Error) -> Exit {
    let command = args.program();
    fail(session, args, &Failure::Command { command, source })
}

fn fail(session: &Session, args: &CommandArgs, failure: &Failure) -> Exit {
    let exit = Exit::Passed(end::code_of_failure(failure, args.timeout_code()));
    session.fail_as(failure, exit)
}

/// Reports that a command has failed, and how to investigate.
fn say_how_it_ended(session: &Session, run: i64, status: &ExitStatus) {
    let (how, command) = (end::outcome(status), session.look_into(run));
    let text = format!("the command failed ({how}); investigate with: {command}");
    session.output.note(WARN, "note", &text);
}

/// Starts the command and waits for its end.
fn within(
    session: &Session,
    journal: &Journal,
    mut run: Run,
    args: &CommandArgs,
    hold: impl Hold,
) -> Result<ExitStatus, Failure> {
    let patience = args.patience(session.lock_wait());
    let command = hold(journal, &mut run, &patience)?;
    to_its_end(run, args, command, Run::release)
}

/// Starts the command and waits for its end. Its run ends at that time, before the rest of its output has been read.
fn to_its_end(
    run: Run,
    args: &CommandArgs,
    mut command: Command,
    over: impl FnOnce(Run),
) -> Result<ExitStatus, Failure> {
    let routes = route::choose(args.log()).open(&run, &mut command)?;
    let signals = signals::catch().map_err(|source| Failure::io("catch signals", source))?;
    let spawned = run.spawn(&mut command);
    // This process must not keep the write ends of the pipes open.
    drop(command);
    let mut child = spawned.map_err(|source| Failure::Command {
        command: args.program(),
        source,
    })?;
    let status = signals
        .wait_for(&mut child)
        .map_err(|source| Failure::io("wait for the command", source))?;
    over(run);
    match routes.finish() {
        // Otherwise the output would seem complete.
        Err(failure) if status.success() => Err(failure),
        Err(failure) => {
            tracing::warn!("{}", failure.in_full());
            Ok(status)
        }
        Ok(()) => Ok(status),
    }
}
