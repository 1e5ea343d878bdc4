use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tljournal::NamedPath;

use crate::child::{self, CommandArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// The environment variable with the path of the pinned directory.
const VARIABLE: &str = "TLJOURNAL_PIN";

const EXAMPLE: &str = r#"Example:
  tljournal pin build/tools -- sh -c 'exec "$TLJOURNAL_PIN/make-image"'
"#;

/// Run a command, and keep an installed tree complete while it runs
///
/// Whatever is installed at PATH meanwhile, the tree that is there now stays on disk. PATH shows the latest tree;
/// $TLJOURNAL_PIN is a path to the pinned tree, for CMD and its children, while CMD runs and keeps its descriptors
/// open. It is /proc/PID/fd/N; in another PID namespace, use /proc/self/fd/N in a process that has inherited the
/// descriptor.
#[derive(Debug, clap::Args)]
#[command(after_help = child::after(EXAMPLE))]
pub(crate) struct Args {
    /// The tree, relative to the root
    path: NamedPath,
    /// The descriptor of the pinned tree: this process executes the command
    #[arg(long, value_name = "FD", hide = true)]
    pinned: Option<i32>,
    #[command(flatten)]
    command: CommandArgs,
}

pub(super) fn run(session: &Session, args: &Args) -> Exit {
    if let Some(fd) = args.pinned {
        return become_command(session, args, fd);
    }
    child::run(session, &args.command, |journal, run, patience| {
        let path = session.below_root(&args.path)?;
        let path = path.as_str();
        let pin = journal.pin_within(path, patience.left())?;
        let pin = pin.ok_or_else(|| {
            let shown = path.escape_debug();
            Failure::Nothing(format!("there is no directory `{shown}` to be pinned"))
        })?;
        let fd = pin.dir().as_fd().as_raw_fd();
        run.hand_down_pin(pin);
        // The path is valid for all processes if it refers to the command's own process, whose pid only that process
        // knows in time.
        let mut command = Command::new(child::OWN_PROGRAM);
        command.args(["pin", path, "--pinned", &fd.to_string(), "--"]);
        command.args(args.command.words());
        Ok(command)
    })
}

/// Executes the command in this process. The descriptor is inherited.
fn become_command(session: &Session, args: &Args, fd: i32) -> Exit {
    let path = format!("/proc/{}/fd/{fd}", std::process::id());
    let source = args.command.to_command().env(VARIABLE, path).exec();
    child::cannot_run(session, &args.command, source)
}
