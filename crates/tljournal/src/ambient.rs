//! The one place where time, ids and facts about this machine enter.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the one place that may ask the clock, the random source and /proc"
)]

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::model::{RunId, Timestamp, TxnId};

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

/// An id that no other transaction has.
pub(crate) fn fresh_txn_id() -> TxnId {
    TxnId::from_uuid(Uuid::now_v7())
}

/// An id that no other run has.
pub(crate) fn fresh_run_id() -> RunId {
    RunId::from_uuid(Uuid::now_v7())
}

/// Lets time pass until a filesystem's clock has moved on; never used to wait for anybody.
pub(crate) fn let_clock_advance(by: Duration) {
    std::thread::sleep(by);
}

/// The id of this boot of the machine; empty where `/proc` is not mounted.
pub(crate) fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        proc_text("/proc/sys/kernel/random/boot_id")
            .trim()
            .to_owned()
    })
}

/// What is recorded of the process behind a run.
#[derive(Debug, Clone)]
pub(crate) struct ProcessFacts {
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) boot: &'static str,
    pub(crate) uid: u32,
    pub(crate) cwd: String,
    pub(crate) argv: String,
}

impl ProcessFacts {
    pub(crate) fn gather() -> Self {
        let args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
        let argv = redact_all(args);
        Self {
            pid: std::process::id(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            boot: boot_id(),
            uid: rustix::process::geteuid().as_raw(),
            cwd: std::env::current_dir()
                .map(|dir| dir.to_string_lossy().into_owned())
                .unwrap_or_default(),
            argv: argv.join(" "),
        }
    }
}

/// Hides what looks like a secret among arguments, also where it follows its option.
fn redact_all(args: impl Iterator<Item = String>) -> Vec<String> {
    let mut follows = false;
    let mut redacted = Vec::new();
    for arg in args {
        let is_value = std::mem::replace(
            &mut follows,
            arg.starts_with('-') && !arg.contains('=') && is_secret(&arg),
        );
        redacted.push(match is_value && !arg.starts_with('-') {
            true => "[redacted]".to_owned(),
            false => redact(&arg),
        });
    }
    redacted
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["password", "passwd", "token", "secret", "apikey", "api-key"]
        .iter()
        .any(|word| name.contains(word))
}

/// Hides what looks like a secret in an argument: the value of a password or token option, and the
/// user part of a URL.
fn redact(arg: &str) -> String {
    let secret = arg.split_once('=').is_some_and(|(name, _)| is_secret(name));
    match (arg.split_once('='), arg.split_once("://")) {
        (Some((name, _)), _) if secret => format!("{name}=[redacted]"),
        (_, Some((scheme, rest))) => match rest.split_once('@') {
            Some((user, host)) if !user.contains('/') => format!("{scheme}://[redacted]@{host}"),
            _ => arg.to_owned(),
        },
        _ => arg.to_owned(),
    }
}

/// What `/proc` says of a process, for people: its name, and whether it is stopped.
pub(crate) fn describe_process(pid: u32) -> Option<String> {
    let stat = proc_text(&format!("/proc/{pid}/stat"));
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.escape_debug();
    let stopped = tail.trim_start().starts_with(['T', 't']);
    let stopped = if stopped { ", which is stopped" } else { "" };
    Some(format!("process {pid} ({name}){stopped}"))
}

/// The processes that hold a lock on this inode, as far as this pid namespace shows them.
pub(crate) fn lock_holders(ino: u64) -> Vec<u32> {
    let inode = format!(":{ino}");
    let mut pids: Vec<u32> = proc_text("/proc/locks")
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| !words.contains(&"->"))
        .filter(|words| words.get(5).is_some_and(|file| file.ends_with(&inode)))
        .filter_map(|words| words.get(4)?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn proc_text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_arguments_are_hidden() {
        assert_eq!(redact("--password=x"), "--password=[redacted]");
        assert_eq!(redact("https://me:pw@host/x"), "https://[redacted]@host/x");
        assert_eq!(redact("https://host/a@b"), "https://host/a@b");
        assert_eq!(redact("plain=1"), "plain=1");
        let args = ["--password", "hunter2", "--verbose", "x"].map(str::to_owned);
        let hidden = ["--password", "[redacted]", "--verbose", "x"];
        assert_eq!(redact_all(args.into_iter()), hidden);
    }
}
