//! Kills `exec` before and after every visible system call. Its command has then run completely, with its locks, or
//! not at all; and after its end only the row of the run remains.
//!
//! Each run tries a share of the moments: `TLJOURNAL_KILL_EVERY=1` tries all.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tljournal_testkit::{Moment, kill_at_call};
use tljournal_tests::{at_every, counted, start};

const EVERY: &str = "TLJOURNAL_KILL_EVERY";
const EVERY_DEFAULT: usize = 4;

const LOCKS: [&str; 5] = ["exec", "--lock", "a", "--lock-file", "lf"];

/// Records that it ran, and that no other one ran at the same time.
const JOB: &str = "mkdir busy && echo ran >> ran && echo said && rmdir busy";

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tljournal"));
    command.args(args).current_dir(dir);
    command
}

fn works(dir: &Path, args: &[&str], story: &str) -> Output {
    let mut command = command(dir, args);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = start(&mut command).wait_with_output().unwrap();
    assert!(ran.status.success(), "{story}: {args:?}: {ran:?}");
    ran
}

/// Kills the wrapper and checks the result; returns whether there was such a moment.
fn kill_and_check(moment: Moment) -> bool {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    works(dir, &["init"], "init");
    let args = [&LOCKS[..], &["--", "sh", "-c", JOB]].concat();
    let traced = kill_at_call(&command(dir, &args), moment, |command| Ok(start(command)));
    let traced = match traced {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            println!("skipped: processes cannot be traced here: {error}");
            return false;
        }
        traced => traced.unwrap(),
    };
    let story = format!("killed at {moment} ({:?})", traced.call);
    // When the locks are free the command has ended, without having been killed.
    let free = [
        &LOCKS[..],
        &["--wait", "1m", "--", "test", "!", "-e", "busy"],
    ]
    .concat();
    works(dir, &free, &story);
    let ran = std::fs::read_to_string(dir.join("ran")).unwrap_or_default();
    assert!(["", "ran\n"].contains(&ran.as_str()), "{story}: {ran:?}");
    works(dir, &["recover"], &story);
    let again = works(dir, &["recover"], &story);
    assert_eq!(again.stdout, b"nothing to recover\n", "{story}");
    let status = works(dir, &["status", "--json"], &story);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["open_runs"], 0, "{story}");
    let killed = traced.code.is_none();
    assert!(
        killed || ran == "ran\n" && traced.out == "said\n",
        "{traced:?}"
    );
    killed
}

#[test]
fn g6_a_command_of_a_killed_wrapper_runs_completely_with_its_locks_or_not_at_all() {
    let every = std::env::var(EVERY)
        .ok()
        .and_then(|every| every.parse().ok());
    let every: usize = every.unwrap_or(EVERY_DEFAULT).max(1);
    let kills = at_every(Moment::all().step_by(every), kill_and_check);
    counted(kills, "kills of exec");
}
