use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tljournal::NamedPath;

use crate::child::{self, CommandArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

/// What names the pinned directory to the command.
const VARIABLE: &str = "TLJOURNAL_PIN";

const EXAMPLE: &str = r#"Example:
  tljournal pin build/tools -- sh -c 'exec "$TLJOURNAL_PIN/make-image"'
"#;

/// Run a command, and keep an installed tree whole as long as it lives
///
/// Whatever is installed at PATH meanwhile, the tree that is there now stays on disk. PATH shows what is
/// installed last; $TLJOURNAL_PIN is a path to the pinned tree, for CMD and all that it starts, as long
/// as CMD lives and keeps its descriptors open. It is /proc/PID/fd/N; where PID means nothing, as in
/// another PID namespace, /proc/self/fd/N does for whoever has inherited the descriptor.
#[derive(Debug, clap::Args)]
#[command(after_help = child::after(EXAMPLE))]
pub(crate) struct Args {
    /// The tree, relative to the root
    path: NamedPath,
    /// The descriptor of the pinned tree: this is the process that becomes the command
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
        // The path is right for everybody if it leads by way of the command's own process, whose number
        // only that process can know in time.
        let mut command = Command::new(child::OWN_PROGRAM);
        command.args(["pin", path, "--pinned", &fd.to_string(), "--"]);
        command.args(args.command.words());
        Ok(command)
    })
}

/// Turns this process into the command. The descriptor is inherited, and not touched.
fn become_command(session: &Session, args: &Args, fd: i32) -> Exit {
    let path = format!("/proc/{}/fd/{fd}", std::process::id());
    let source = args.command.to_command().env(VARIABLE, path).exec();
    child::cannot_run(session, &args.command, source)
}
