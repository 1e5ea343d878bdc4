//! A command that populates a tree, run once for all processes that want it.

use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::sync::mpsc::channel;

use camino::Utf8Path;
use tljournal::{Error, Installed, Journal, PopulateOptions, TreeError, TreeSource};

use super::{CommandArgs, end, to_its_end};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// The environment variable with the directory to fill.
const VARIABLE: &str = "TLJOURNAL_STAGE";

/// The result.
pub(super) type Filled = Result<Installed, Exit>;

/// The command did not fill the directory; its failure is reported elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("the command failed")]
struct NotFilled;

/// Runs a command that populates the tree at a path, unless it is populated with this key already.
///
/// The command runs as under `exec`; if it fails its exit code is returned, and nothing is changed.
pub(crate) fn populate(session: &Session, args: &CommandArgs, (path, key): (&str, &str)) -> Filled {
    let options = PopulateOptions {
        wait: args.patience(session.lock_wait()).left(),
        ..PopulateOptions::default()
    };
    let done = session.work().and_then(|journal| {
        let (done, ended) = fill(&journal, args, (path, key), options);
        match ended {
            Some((run, status)) if !status.success() => {
                session.close_with(journal, &end::outcome(&status));
                super::say_how_it_ended(session, run, &status);
                Ok(ControlFlow::Break(status))
            }
            _ => {
                let installed = done?;
                session.close(journal);
                Ok(ControlFlow::Continue(installed))
            }
        }
    });
    match done {
        Ok(ControlFlow::Continue(installed)) => Ok(installed),
        Ok(ControlFlow::Break(status)) => Err(Exit::Passed(end::code(status))),
        Err(failure) => Err(super::fail(session, args, &failure)),
    }
}

/// Populates the tree; the command runs when the journal requests the content, which it does not if the tree is in
/// place already.
fn fill(
    journal: &Journal,
    args: &CommandArgs,
    (path, key): (&str, &str),
    options: PopulateOptions,
) -> (Result<Installed, Failure>, Option<(i64, ExitStatus)>) {
    let (tell, told) = channel();
    let source = {
        let (journal, args) = (journal.clone(), args.clone());
        let (path, key) = (path.to_owned(), key.to_owned());
        TreeSource::filled(move |stage| {
            let ran = run_in(&journal, &args, (&path, &key), stage);
            let filled = matches!(&ran, Ok((_, status)) if status.success());
            // The receiver is gone if the tree was populated otherwise.
            let _ = tell.send(ran);
            filled.then_some(()).ok_or(NotFilled)
        })
    };
    let populated = journal.populate(path, key, source, options);
    match (told.try_recv().ok(), populated) {
        // It is the reason why nothing was populated.
        (Some(Err(failure)), Err(Error::Source(TreeError::Fill { .. }))) => (Err(failure), None),
        (ran, populated) => (populated.map_err(Failure::from), ran.and_then(Result::ok)),
    }
}

/// Runs the command to fill a directory.
fn run_in(
    journal: &Journal,
    args: &CommandArgs,
    (path, key): (&str, &str),
    stage: &Utf8Path,
) -> Result<(i64, ExitStatus), Failure> {
    let mut run = journal.run(&args.label())?;
    let number = run.number();
    run.hand_down_key(path, key)?;
    let mut command = args.to_command();
    command.env(VARIABLE, stage);
    // The run of this process continues: it is the one that populates.
    Ok((number, to_its_end(run, args, command, drop)?))
}
