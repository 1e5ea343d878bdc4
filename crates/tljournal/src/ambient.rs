//! The system seam: time, ids and facts about this machine enter the engine only here.

#![allow(
    clippy::disallowed_methods,
    reason = "only this module asks the clock, the random source and /proc"
)]

mod mounts;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::model::{RunId, Timestamp, TxnId};
use crate::redact::{cut, redacted};

pub(crate) use mounts::{Mount, mounts, swaps};

/// The wall clock.
#[must_use]
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::new(
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            since.subsec_nanos(),
        ),
        Err(_) => Timestamp::default(),
    }
}

/// A new, unique transaction id.
pub(crate) fn fresh_txn_id() -> TxnId {
    TxnId::from_uuid(Uuid::now_v7())
}

/// A new, unique run id.
pub(crate) fn fresh_run_id() -> RunId {
    RunId::from_uuid(Uuid::now_v7())
}

/// Sleeps until a filesystem's clock has moved on; never used to wait for a process or lock.
pub(crate) fn let_clock_advance(by: Duration) {
    std::thread::sleep(by);
}

/// The process that created a handle. What a fork inherits belongs to the parent process: the child must not release
/// its locks or use its database connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Maker(u32);

impl Maker {
    pub(crate) fn here() -> Self {
        Self(std::process::id())
    }

    /// Whether the calling process is that process.
    pub(crate) fn is_here(self) -> bool {
        self == Self::here()
    }
}

/// The longest command line of this process that is stored, in characters.
const ARGV_CHARS_MAX: usize = 8000;

/// The longest command line of another process that is shown.
const COMMAND_CHARS_MAX: usize = 200;

/// The environment variable that lists the runs around a process.
pub(crate) const RUNS: &str = "TLJOURNAL_RUN";

/// The runs around this process, as the environment variable lists them.
pub(crate) fn inherited_runs() -> String {
    let text = std::env::var_os(RUNS).unwrap_or_default();
    text.to_string_lossy().into_owned()
}

/// The user that this process acts as.
pub(crate) fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The id of this boot of the machine; empty if `/proc` is not mounted.
pub(crate) fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        proc_text("/proc/sys/kernel/random/boot_id")
            .trim()
            .to_owned()
    })
}

/// The facts recorded about the process behind a run.
#[derive(Debug, Clone)]
pub(crate) struct ProcessFacts {
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) boot: &'static str,
    pub(crate) uid: u32,
    /// The name of that user, if `/etc/passwd` has one.
    pub(crate) account: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) cwd: String,
    pub(crate) argv: String,
}

impl ProcessFacts {
    pub(crate) fn gather() -> Self {
        let args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
        Self {
            pid: std::process::id(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            boot: boot_id(),
            uid: rustix::process::geteuid().as_raw(),
            account: account(rustix::process::geteuid().as_raw()),
            container: container(),
            cwd: std::env::current_dir()
                .map(|dir| dir.to_string_lossy().into_owned())
                .unwrap_or_default(),
            argv: cut(&redacted(args), ARGV_CHARS_MAX),
        }
    }
}

/// The name of a user in `/etc/passwd`.
fn account(uid: u32) -> Option<String> {
    let list = proc_text("/etc/passwd");
    let of_uid = |line: &&str| line.split(':').nth(2) == Some(uid.to_string().as_str());
    let name = list.lines().find(of_uid)?.split(':').next()?;
    Some(name.to_owned())
}

/// The container that this process is in, if it is detectable: its kind, and its id if available.
fn container() -> Option<String> {
    let kind = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    let kind = kind
        .iter()
        .find(|(file, _)| std::fs::exists(file).unwrap_or(false));
    let groups = proc_text("/proc/self/cgroup");
    let is_id = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = groups
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(is_id);
    match (kind, id) {
        (Some((_, kind)), Some(id)) => Some(format!("{kind} {}", &id[..12])),
        (Some((_, kind)), None) => Some((*kind).to_owned()),
        (None, Some(id)) => Some(id[..12].to_owned()),
        (None, None) => None,
    }
}

/// Describes a process from `/proc` for display: its name, and whether it is stopped.
pub(crate) fn describe_process(pid: u32) -> Option<String> {
    let stat = proc_text(&format!("/proc/{pid}/stat"));
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.escape_debug();
    let stopped = tail.trim_start().starts_with(['T', 't']);
    let stopped = if stopped { ", which is stopped" } else { "" };
    Some(format!("process {pid} ({name}){stopped}"))
}

/// How long ago a process started, according to `/proc`.
pub(crate) fn age(pid: u32) -> Option<Duration> {
    let stat = proc_text(&format!("/proc/{pid}/stat"));
    // The fields after the name start with the third; the 22nd is the start time in clock ticks.
    let (_, tail) = stat.rsplit_once(')')?;
    let ticks: f64 = tail.split_whitespace().nth(19)?.parse().ok()?;
    let begun = ticks / rustix::param::clock_ticks_per_second() as f64;
    let uptime = proc_text("/proc/uptime");
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(now - begun).ok()
}

/// The command line of a process, redacted and shortened for display.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let text = proc_text(&format!("/proc/{pid}/cmdline"));
    let args = text.split_terminator('\0').map(str::to_owned);
    let line: String = redacted(args)
        .escape_debug()
        .take(COMMAND_CHARS_MAX)
        .collect();
    (!line.is_empty()).then_some(line)
}

/// A process that holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Keeper {
    pub(crate) pid: u32,
    /// Whether the lock is shared.
    pub(crate) shared: bool,
    /// Whether another process, which has exited, took the lock.
    pub(crate) inherited: bool,
}

/// The running processes that took a lock on this inode, as far as this pid namespace shows them.
pub(crate) fn lock_holders(ino: u64) -> Vec<Keeper> {
    lock_holders_among(&locks(), ino)
}

/// The kernel's list of all locks. Reading it takes some 15 ms: the kernel waits until no core is changing a lock.
pub(crate) fn locks() -> String {
    proc_text("/proc/locks")
}

/// Like [`lock_holders`], but from a list that was read before.
pub(crate) fn lock_holders_among(locks: &str, ino: u64) -> Vec<Keeper> {
    let keepers = locks.lines().filter_map(|line| {
        let (pid, shared) = lock_on(line, ino)?;
        let pid = pid.parse().ok()?;
        // The kernel lists the process that took a lock even after it has exited, and its pid may have been reused.
        let keeps = match std::fs::read_dir(format!("/proc/{pid}/fdinfo")) {
            Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
            Ok(_) => kept_lock(pid, ino).is_some(),
        };
        keeps.then_some(Keeper {
            pid,
            shared,
            inherited: false,
        })
    });
    let mut keepers: Vec<_> = keepers.collect();
    keepers.sort_unstable();
    keepers.dedup();
    keepers
}

/// Whether a lock on this inode is in the kernel's list, which omits those of other pid namespaces.
pub(crate) fn is_lock_listed(locks: &str, ino: u64) -> bool {
    locks.lines().any(|line| lock_on(line, ino).is_some())
}

/// The real user of a process, and its groups. A program with a set-id bit does not change the real user.
pub(crate) fn user_of(pid: u32) -> Option<(u32, Vec<u32>)> {
    use std::os::unix::fs::MetadataExt;
    let status = proc_text(&format!("/proc/{pid}/status"));
    let numbers = |key: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let words = line.unwrap_or_default().split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    };
    match numbers("Uid:").first() {
        Some(uid) => Some((*uid, [numbers("Gid:"), numbers("Groups:")].concat())),
        // The status of other users' processes can be hidden.
        None => {
            let meta = std::fs::metadata(format!("/proc/{pid}")).ok()?;
            Some((meta.uid(), vec![meta.gid()]))
        }
    }
}

/// The processes that have a locked description of this inode open, including inherited ones.
pub(crate) fn lock_heirs(ino: u64) -> Vec<Keeper> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|dir| dir.file_name().to_str()?.parse().ok());
    // The process that took the lock may be among them: while locks are released, `/proc/locks` can omit it.
    let keeper = |pid: u32| {
        kept_lock(pid, ino).map(|(taker, shared)| Keeper {
            pid,
            shared,
            inherited: taker != pid.to_string(),
        })
    };
    let mut keepers: Vec<_> = pids.filter_map(keeper).collect();
    keepers.sort_unstable();
    keepers
}

/// The pid that took the lock on this inode, if a process has a description of it open, and whether the lock is
/// shared.
fn kept_lock(pid: u32, ino: u64) -> Option<(String, bool)> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fdinfo"));
    open.into_iter().flatten().flatten().find_map(|fd| {
        let info = std::fs::read_to_string(fd.path()).ok()?;
        let mut locks = info.lines().filter_map(|line| line.strip_prefix("lock:"));
        let (taker, shared) = locks.find_map(|lock| lock_on(lock, ino))?;
        Some((taker.to_owned(), shared))
    })
}

/// Whether this process inherited a description of this inode that another process locked.
pub(crate) fn inherits_lock(ino: u64) -> bool {
    let own = std::process::id().to_string();
    let open = std::fs::read_dir("/proc/self/fdinfo");
    open.into_iter().flatten().flatten().any(|fd| {
        let info = std::fs::read_to_string(fd.path()).unwrap_or_default();
        let mut locks = info.lines().filter_map(|line| line.strip_prefix("lock:"));
        locks.any(|lock| lock_on(lock, ino).is_some_and(|(taker, _)| taker != own))
    })
}

/// The pid that took the lock in a line of `/proc/locks` and whether it is shared, if it is on this inode.
fn lock_on(line: &str, ino: u64) -> Option<(&str, bool)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [_, _, _, kind, pid, file, ..] = words[..] else {
        return None;
    };
    let is_on = file
        .rsplit_once(':')
        .is_some_and(|(_, on)| on == ino.to_string());
    // The line of a waiting process has an arrow.
    (is_on && !words.contains(&"->")).then_some((pid, kind == "READ"))
}

fn proc_text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_lock_list_names_the_holder_and_the_mode() {
        let line = "12: FLOCK  ADVISORY  READ  77 fe:00:1001 0 EOF";
        assert_eq!(lock_on(line, 1001), Some(("77", true)));
        assert_eq!(lock_on(line, 100), None);
        let waiting = "12: -> FLOCK  ADVISORY  WRITE 77 fe:00:1001 0 EOF";
        assert_eq!(lock_on(waiting, 1001), None);
        assert_eq!(lock_on("", 1), None);
    }

    /// A holder that the kernel's list omitted was reported as having inherited the lock from an exited process.
    #[test]
    fn g10_the_process_that_took_a_lock_has_not_inherited_it() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::tempfile().unwrap();
        file.lock_shared().unwrap();
        let heirs = lock_heirs(file.metadata().unwrap().ino());
        let own = Keeper {
            pid: std::process::id(),
            shared: true,
            inherited: false,
        };
        assert_eq!(heirs, [own]);
    }

    #[test]
    fn the_age_of_a_process_is_reported() {
        assert!(age(1).unwrap() >= age(std::process::id()).unwrap());
        assert_eq!(age(u32::MAX), None);
    }
}
