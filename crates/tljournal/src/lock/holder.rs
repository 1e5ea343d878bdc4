use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::flock::TURNSTILE;
use crate::ambient::{self, Keeper};
use crate::disk::{Dir, DiskError};
use crate::model::Timestamp;
use crate::redact::redacted_text;
use crate::workers::{self, NoThread};

/// The longest description that is read, in bytes.
const TEXT_BYTES_MAX: u64 = 1024;

/// The largest number of holders of one lock that are named.
const NAMED_MAX: usize = 3;

/// Writes the holder into an exclusively held lock file.
pub(super) fn sign(dir: &Dir, name: &str, file: &File, purpose: &str) -> Result<(), DiskError> {
    if dir.stat_open(file)?.links > 1 {
        // A file with a second hard link is not written to, because the other name may be part of a backup made with
        // `cp -al`.
        return Ok(());
    }
    let purpose = redacted_text(purpose);
    let purpose: String = purpose.escape_debug().take(200).collect();
    let text = format!("{}\t{}\t{purpose}\n", std::process::id(), ambient::now());
    dir.overwrite(file, name, &text)
}

/// Describes the holder of a lock: process, purpose, since when, and whether the process is stopped, as far as it is
/// visible.
pub(super) fn describe(dir: &Dir, name: &str) -> String {
    let ino = dir
        .stat(name)
        .ok()
        .flatten()
        .map_or(0, |stat| stat.identity.ino);
    let keepers = keepers(ino);
    if keepers.is_empty()
        && let Some(first) = first_in_line(dir, name)
    {
        return first;
    }
    // Only an exclusive holder writes the text; with a shared holder the text is from an earlier one.
    if keepers.iter().any(|keeper| keeper.shared) {
        return tell(&keepers, true);
    }
    let text = dir
        .read_small(name, TEXT_BYTES_MAX)
        .ok()
        .flatten()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    match text.trim_end().splitn(3, '\t').collect::<Vec<_>>()[..] {
        [pid, since, purpose] if is_of(&keepers, pid) => {
            format!("{}{}", tell(&keepers, false), told(since, purpose))
        }
        _ => tell(&keepers, true),
    }
}

/// Describes the process that holds the turnstile of a lock without a visible holder, and so blocks others.
fn first_in_line(dir: &Dir, name: &str) -> Option<String> {
    let turnstile = dir.stat(format!("{name}{TURNSTILE}")).ok().flatten()?;
    let mut first = keepers(turnstile.identity.ino);
    // The caller may be first itself.
    first.retain(|keeper| keeper.pid != std::process::id());
    (!first.is_empty()).then(|| format!("{}, which is first in line", tell(&first, true)))
}

/// The holders of all locks at one time, as far as they are visible. Reading them takes 15 ms of waiting, so it is
/// done once, in parallel with other work.
pub(crate) struct Holders(Receiver<String>);

impl Holders {
    /// Starts reading.
    pub(crate) fn ask() -> Self {
        let (tell, told) = sync_channel(1);
        let ask = |tell: SyncSender<_>| drop(tell.send(ambient::locks()));
        if let Err(NoThread { given, .. }) = workers::detached("tljournal-locks", tell, ask) {
            ask(given);
        }
        Self(told)
    }

    /// The result, as a function from an inode to a description of the holder; `None` if the inode is not locked.
    pub(crate) fn told(self) -> impl Fn(u64) -> Option<String> {
        let locks = self.0.recv().unwrap_or_default();
        move |ino| {
            let keepers = ambient::lock_holders_among(&locks, ino);
            (!keepers.is_empty()).then(|| tell(&keepers, true))
        }
    }
}

/// Describes the holder of a lock on an inode without a written description.
pub(crate) fn of_inode(ino: u64) -> String {
    tell(&keepers(ino), true)
}

/// Describes the other processes that hold these inodes: exclusively, or shared if none does.
pub(crate) fn user_of(inodes: impl Iterator<Item = u64>) -> String {
    let locks = ambient::locks();
    let mut keepers: Vec<_> = inodes
        .flat_map(|ino| ambient::lock_holders_among(&locks, ino))
        .filter(|keeper| keeper.pid != std::process::id())
        .collect();
    if keepers.iter().any(|keeper| !keeper.shared) {
        keepers.retain(|keeper| !keeper.shared);
    }
    keepers.sort_unstable();
    keepers.dedup();
    tell(&keepers, true)
}

/// The process that took the lock, if it is running; otherwise the processes that inherited it.
fn keepers(ino: u64) -> Vec<Keeper> {
    match ambient::lock_holders(ino) {
        takers if takers.is_empty() => ambient::lock_heirs(ino),
        takers => takers,
    }
}

/// Whether a description with this pid applies to one of the holders: to the process that took the lock, if it is
/// running.
fn is_of(keepers: &[Keeper], pid: &str) -> bool {
    let took = |keeper: &Keeper| keeper.inherited || keeper.pid.to_string() == pid;
    keepers.is_empty() || keepers.iter().any(took)
}

fn told(since: &str, purpose: &str) -> String {
    let Ok(since) = since.parse::<Timestamp>() else {
        return String::new();
    };
    let held = ambient::now().as_nanos() - since.as_nanos();
    let held = Duration::from_nanos(u64::try_from(held).unwrap_or(0));
    format!(", for \"{purpose}\", for {:.1} s", held.as_secs_f64())
}

pub(super) fn tell(keepers: &[Keeper], with_command: bool) -> String {
    let describe = |keeper: &Keeper| {
        let mut said = ambient::describe_process(keeper.pid)?;
        if with_command && let Some(command) = ambient::command_line(keeper.pid) {
            said.push_str(&format!(": \"{command}\""));
            if let Some(age) = ambient::age(keeper.pid) {
                // The start of the hold is not recorded; the age of the process is an upper bound.
                said.push_str(&format!(", running for {:.1} s", age.as_secs_f64()));
            }
        }
        if keeper.inherited {
            said.push_str(", which inherited it from a process that has ended");
        }
        Some(said)
    };
    let mut said: Vec<String> = keepers.iter().filter_map(describe).collect();
    if said.is_empty() {
        return "a process that is not visible from here".to_owned();
    }
    let more = said.len().saturating_sub(NAMED_MAX);
    said.truncate(NAMED_MAX);
    if more > 0 {
        said.push(format!("{more} more"));
    }
    said.join(" and ")
}
