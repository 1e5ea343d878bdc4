use std::collections::BTreeMap;

use camino::Utf8Path;
use tljournal::LockMode;

use crate::child::{self, CommandArgs, Wanted};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

const EXAMPLE: &str = r#"Examples:
  tljournal exec --lock vendor --label "vendor crates" -- cargo vendor
  tljournal exec --lock vendor:shared -- cargo deny check
"#;

/// Run a command, and hold locks while it runs
///
/// The locks are released when the process of CMD ends, even if it leaves other processes behind, and are kept if
/// this process is killed. Commands below CMD borrow the locks that a run around them holds. A process that waits
/// longer than a second reports who holds the lock, for what, and since when.
///
/// Output that does not go to a terminal goes to .state/log below the home, and is copied from there. SIGTERM,
/// SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGINT are forwarded to CMD, unless its terminal has already sent them to
/// it.
#[derive(Debug, clap::Args)]
#[command(after_help = child::after(EXAMPLE))]
pub(crate) struct Args {
    /// Hold this lock, exclusive or shared; may be repeated
    #[arg(long = "lock", value_name = "NAME[:shared]")]
    locks: Vec<Wanted>,
    /// Lock this file as flock(1) does, and create it if it is missing; may be repeated
    #[arg(long = "lock-file", value_name = "FILE[:shared]")]
    files: Vec<Wanted>,
    #[command(flatten)]
    command: CommandArgs,
}

pub(super) fn run(session: &Session, args: &Args) -> Exit {
    child::run(session, &args.command, |journal, run, patience| {
        let files = args.files.iter();
        let files = files.map(|file| (Utf8Path::new(&file.name), file.mode));
        for lock in journal.lock_files(files, patience.left())? {
            run.hand_down_lock(lock);
        }
        let locks = args.locks.iter();
        for (name, mode) in in_order(locks.map(|lock| (lock.name.as_str(), lock.mode))) {
            let lock = journal.lock(name, mode, run.label(), patience.left())?;
            run.hand_down_lock(lock);
        }
        Ok::<_, Failure>(args.command.to_command())
    })
}

/// All processes acquire locks in the same order, and each lock once, so that they cannot deadlock.
fn in_order<'a>(
    wanted: impl IntoIterator<Item = (&'a str, LockMode)>,
) -> BTreeMap<&'a str, LockMode> {
    let mut order = BTreeMap::new();
    for (lock, mode) in wanted {
        let strongest = order.entry(lock).or_insert(mode);
        if mode == LockMode::Exclusive {
            *strongest = mode;
        }
    }
    order
}
