//! Kills a command before and after visible system calls, and investigates it before any recovery: the report must
//! match the outcome.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::Value;
use tljournal_testkit::{Moment, kill_at_call};
use tljournal_tests::{at_every, counted, start};

const EVERY: &str = "TLJOURNAL_KILL_EVERY";
/// Few enough to be quick; there are several calls in a row between commit point and end.
const EVERY_DEFAULT: usize = 3;

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tljournal"));
    command.args(args).current_dir(dir);
    command
}

fn json(done: &Output, story: &str) -> Value {
    assert!(done.status.success(), "{story}: {done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Kills a command and investigates it; returns whether there was such a moment, and records the state of its
/// transaction.
fn kill_and_look(moment: Moment, seen: &Mutex<BTreeSet<String>>) -> bool {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    std::fs::write(dir.join("new"), "new").unwrap();
    assert!(command(dir, &["init"]).output().unwrap().status.success());
    let args = ["put", "build/a", "--from", "new"];
    let traced = kill_at_call(&command(dir, &args), moment, |command| Ok(start(command)));
    let traced = match traced {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            println!("skipped: processes cannot be traced here: {error}");
            return false;
        }
        traced => traced.unwrap(),
    };
    let story = format!("killed at {moment} ({:?})", traced.call);
    let look = || command(dir, &["postmortem", "--json"]).output().unwrap();
    let before = look();
    if traced.code.is_some() {
        return false;
    }
    if before.status.code() == Some(1) {
        // It had no row yet, or its end was recorded.
        return true;
    }
    let before = json(&before, &story);
    assert_eq!(before["run"]["end"], "seen dead", "{story}");
    let state = |report: &Value| {
        let state = report["run"]["transactions"][0]["state"].as_str();
        state.unwrap_or("none").to_owned()
    };
    seen.lock().unwrap().insert(state(&before));
    assert!(
        command(dir, &["recover"])
            .output()
            .unwrap()
            .status
            .success()
    );
    let after = json(&look(), &story);
    assert_eq!(after["run"]["end"], "found dead", "{story}");
    let expected = match state(&before).as_str() {
        "staging" => ("aborted", false),
        "committed" | "applied" => ("applied", true),
        other => (if other == "none" { "none" } else { "aborted" }, false),
    };
    assert_eq!(
        (state(&after).as_str(), dir.join("build/a").exists()),
        expected,
        "{story}"
    );
    true
}

#[test]
fn g10_a_run_killed_at_any_moment_can_be_investigated() {
    let every = std::env::var(EVERY).ok();
    let every = every.and_then(|every| every.parse().ok());
    let every: usize = every.unwrap_or(EVERY_DEFAULT).max(1);
    let seen = Mutex::new(BTreeSet::new());
    let kills = at_every(Moment::all().step_by(every), |moment| {
        kill_and_look(moment, &seen)
    });
    counted(kills, "kills that were investigated");
    let seen = seen.into_inner().unwrap();
    let all = ["staging", "committed", "applied"];
    assert!(
        kills == 0 || all.iter().all(|state| seen.contains(*state)),
        "{seen:?}"
    );
}
