//! A command that fills a tree, once for all that want it.

use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::sync::mpsc::channel;

use camino::Utf8PathBuf;
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

/// Populates in a thread of its own, so that this one, which signals reach, can run the command when it is
/// asked to.
fn fill(
    journal: &Journal,
    args: &CommandArgs,
    (path, key): (&str, &str),
    options: PopulateOptions,
) -> (Result<Installed, Failure>, Option<(i64, ExitStatus)>) {
    let (ask, asked) = channel::<Utf8PathBuf>();
    let (tell, told) = channel::<bool>();
    let source = TreeSource::filled(move |stage| {
        let filled = ask.send(stage.to_owned()).is_ok() && told.recv() == Ok(true);
        filled.then_some(()).ok_or(NotFilled)
    });
    std::thread::scope(|scope| {
        let populating = scope.spawn(|| journal.populate(path, key, source, options));
        // Nobody asks where the tree is there already.
        let ran = asked.recv().ok().map(|stage| {
            let mut run = journal.run(&args.label())?;
            let number = run.number();
            run.hand_down_key(path, key)?;
            let mut command = args.to_command();
            command.env(VARIABLE, stage);
            // The run of this process goes on: it is the one that populates.
            Ok::<_, Failure>((number, to_its_end(run, args, command, drop)?))
        });
        let _ = tell.send(matches!(&ran, Some(Ok((_, status))) if status.success()));
        let populated = match populating.join() {
            Ok(populated) => populated,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match (ran, populated) {
            // It is why nothing was populated.
            (Some(Err(failure)), Err(Error::Source(TreeError::Fill { .. }))) => {
                (Err(failure), None)
            }
            (ran, populated) => (populated.map_err(Failure::from), ran.and_then(Result::ok)),
        }
    })
}
