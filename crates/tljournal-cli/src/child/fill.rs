//! A command that fills a tree, once for all that want it.

use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::sync::mpsc::channel;

use camino::Utf8Path;
use tljournal::{Error, Installed, Journal, PopulateOptions, TreeError, TreeSource};

use super::{CommandArgs, end, to_its_end};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// What names the directory to fill to the command.
const VARIABLE: &str = "TLJOURNAL_STAGE";

/// What came of it.
pub(super) type Filled = Result<Installed, Exit>;

/// The command did not fill the directory; how it ended is told elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("the command failed")]
struct NotFilled;

/// Has a command fill the tree at a path, unless that was populated with the key already.
///
/// The command runs as `exec` runs one; when it fails its exit code is passed on, and nothing is changed.
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

/// Populates; the command runs when the journal asks for the content, which it does not where the tree is there
/// already.
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
            // It is listened to when the tree is made, or has not been.
            let _ = tell.send(ran);
            filled.then_some(()).ok_or(NotFilled)
        })
    };
    let populated = journal.populate(path, key, source, options);
    match (told.try_recv().ok(), populated) {
        // It is why nothing was populated.
        (Some(Err(failure)), Err(Error::Source(TreeError::Fill { .. }))) => (Err(failure), None),
        (ran, populated) => (populated.map_err(Failure::from), ran.and_then(Result::ok)),
    }
}

/// Has the command fill a directory.
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
    // The run of this process goes on: it is the one that populates.
    Ok((number, to_its_end(run, args, command, drop)?))
}
