use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::flock::TURNSTILE;
use crate::ambient::{self, Keeper};
use crate::disk::{Dir, DiskError};
use crate::model::Timestamp;
use crate::redact::redacted_text;
use crate::workers::{self, NoThread};

/// Longest description that is read back, in bytes.
const TEXT_BYTES_MAX: u64 = 1024;

/// How many processes that hold the same lock are named.
const NAMED_MAX: usize = 3;

/// Writes into an exclusively held lock file who holds it.
pub(super) fn sign(dir: &Dir, name: &str, file: &File, purpose: &str) -> Result<(), DiskError> {
    if dir.stat_open(file)?.links > 1 {
        // A second name shows what is written here too, and may be anything: a backup by `cp -al`, say.
        return Ok(());
    }
    let purpose = redacted_text(purpose);
    let purpose: String = purpose.escape_debug().take(200).collect();
    let text = format!("{}\t{}\t{purpose}\n", std::process::id(), ambient::now());
    dir.overwrite(file, name, &text)
}

/// Says who holds a lock, for what, since when, and whether that process is stopped, as far as it can
/// be told from here.
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
    // Only who holds it alone signs; what a sharer finds in the file is of somebody before it.
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

/// Says who stands in the turnstile of a lock that nobody is seen to hold, and so keeps others from it.
fn first_in_line(dir: &Dir, name: &str) -> Option<String> {
    let turnstile = dir.stat(format!("{name}{TURNSTILE}")).ok().flatten()?;
    let mut first = keepers(turnstile.identity.ino);
    // Whoever asks may be the first itself.
    first.retain(|keeper| keeper.pid != std::process::id());
    (!first.is_empty()).then(|| format!("{}, which is first in line", tell(&first, true)))
}

/// Who held which lock at one moment, as far as it shows from here. To ask takes 15 ms, in which nothing is done:
/// it is asked for once, beside other work.
pub(crate) struct Holders(Receiver<String>);

impl Holders {
    /// Asks.
    pub(crate) fn ask() -> Self {
        let (tell, told) = sync_channel(1);
        let ask = |tell: SyncSender<_>| drop(tell.send(ambient::locks()));
        if let Err(NoThread { given, .. }) = workers::detached("tljournal-locks", tell, ask) {
            ask(given);
        }
        Self(told)
    }

    /// The answer, as a description of who holds a lock on an inode; `None` if nobody does.
    pub(crate) fn told(self) -> impl Fn(u64) -> Option<String> {
        let locks = self.0.recv().unwrap_or_default();
        move |ino| {
            let keepers = ambient::lock_holders_among(&locks, ino);
            (!keepers.is_empty()).then(|| tell(&keepers, true))
        }
    }
}

/// Says who holds a lock on an inode that nobody signs.
pub(crate) fn of_inode(ino: u64) -> String {
    tell(&keepers(ino), true)
}

/// Says which other process holds one of these inodes alone.
pub(crate) fn writer_of(inodes: impl Iterator<Item = u64>) -> String {
    let locks = ambient::locks();
    let mut keepers: Vec<_> = inodes
        .flat_map(|ino| ambient::lock_holders_among(&locks, ino))
        .filter(|keeper| !keeper.shared && keeper.pid != std::process::id())
        .collect();
    keepers.sort_unstable();
    keepers.dedup();
    tell(&keepers, true)
}

/// Who took the lock, if that lives; else its heirs, who inherited it from a process that is gone.
fn keepers(ino: u64) -> Vec<Keeper> {
    match ambient::lock_holders(ino) {
        takers if takers.is_empty() => ambient::lock_heirs(ino),
        takers => takers,
    }
}

/// Whether what is signed with this pid is about one of them: about the one who took it, if it lives.
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

fn tell(keepers: &[Keeper], with_command: bool) -> String {
    let describe = |keeper: &Keeper| {
        let mut said = ambient::describe_process(keeper.pid)?;
        if with_command && let Some(command) = ambient::command_line(keeper.pid) {
            said.push_str(&format!(": \"{command}\""));
            if let Some(age) = ambient::age(keeper.pid) {
                // Nobody has written down since when: no longer than that.
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
