//! The whole demo: the material, the storm, the final check.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use tljournal::disk::{Dir, Disk};
use tljournal_testkit::{Role, Storm};

use super::account::{Live, Shown};
use super::plan::PROJECT;
use super::{Args, finale, material};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, WARN};

/// How long a worker runs. Installing the tree takes much of it, so many workers are killed during that.
const LIFE: std::ops::Range<Duration> = Duration::from_millis(100)..Duration::from_millis(4000);

const READERS: u32 = 2;

pub(super) fn run(output: Output, args: &Args, seed: u64) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let place = Place::make()?;
    let mut live = Live::new(output, seed);
    live.say("collecting real files ..");
    let plan = material::make(&place.path)?;
    live.say("starting the processes ..");
    let storm = Storm::new(roles(args), Duration::from_secs(args.seconds), seed);
    let command = |role: &Role, generation: u64, last: u64| {
        // Not by its path, which may name another build by now.
        let mut command = Command::new("/proc/self/exe");
        let mixed = seed ^ generation << 20 ^ number_of(&role.name);
        command.args([
            "--quiet",
            "demo",
            "--role",
            &role.name,
            "--place",
            place.path.as_str(),
        ]);
        command.args(["--last", &last.to_string(), "--seed", &mixed.to_string()]);
        command
    };
    let account = storm.run(command, |account| live.show(account));
    let mut account =
        account.map_err(|source| Failure::io("start the demo's own processes", source))?;
    live.say("recovering, and checking every byte ..");
    let last = finale::check(&place.path, &plan, &mut account)?;
    live.clear();
    let (broken, kept) = (!account.violations.is_empty(), place.path.clone());
    let shown = Shown {
        account: &account,
        last: &last,
        plan: &plan,
        processes: args.processes,
        took: begun.elapsed(),
    };
    output.result(|| shown.json(), |out| shown.print(out))?;
    if broken {
        place.keep();
        output.note(WARN, "kept", &format!("everything is in `{kept}`"));
        return Ok(Exit::Damaged);
    }
    Ok(Exit::Done)
}

fn roles(args: &Args) -> Vec<Role> {
    let role = |kind: &str, number: u32, life| Role {
        name: format!("{kind}-{number}"),
        life,
        stops: None,
    };
    let workers = (1..=args.processes).map(|number| role("worker", number, Some(LIFE)));
    let readers = (1..=READERS).map(|number| role("reader", number, None));
    workers.chain(readers).collect()
}

fn number_of(name: &str) -> u64 {
    name.bytes()
        .fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte))
}

/// The temporary directory, removed at the end.
struct Place {
    path: Utf8PathBuf,
    keep: bool,
}

impl Place {
    fn make() -> Result<Self, Failure> {
        let failed = |source| Failure::io("make a temporary directory", source);
        let temp = tempfile::Builder::new()
            .prefix("tljournal-demo-")
            .tempdir()
            .map_err(failed)?;
        let path = Utf8PathBuf::from_path_buf(temp.keep())
            .map_err(|path| Failure::Usage(format!("{} is not UTF-8", path.display())))?;
        fs::create_dir(path.join(PROJECT)).map_err(failed)?;
        let keep = false;
        Ok(Self { path, keep })
    }

    fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return;
        };
        let removed = Dir::open(parent, Disk::default()).and_then(|dir| dir.remove_tree(name));
        if let Err(error) = removed {
            tracing::warn!(%error, "failed to remove the demo's directory");
        }
    }
}
