//! Verification tags, as shell tasks write and check them.

use std::process::{Child, Stdio};

use tljournal::Journal;
use tljournal_testkit::{Moment, When, kill_at_call};
use twoliter_state::{Level, State};

use crate::world::Project;

const DIR: &str = "build/external-kits";
const SDK: &str = "sdk-1@vendor (registry/sdk:v1)";
const KIT: &str = "kit-2@vendor (registry/kit:v2)";

/// A run that claims tags, reports that on its standard output, and ends when its input does.
fn holder(project: &Project, write: &str) -> Child {
    let script = format!("\"$0\" {write} --root . && cat");
    let tool = env!("CARGO_BIN_EXE_tljournal");
    let mut command = project.command(&["exec", "--no-log", "--", "sh", "-c", &script, tool]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut first = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    child
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_claim_of_a_single_command_ends_with_it_and_a_warning_says_so() {
    let project = Project::new();
    project.write("Twoliter.lock", "locked");
    let done = project.ok(&[
        "tag",
        "write",
        DIR,
        "--over",
        "Twoliter.lock",
        "--sdk",
        SDK,
        "--kit",
        KIT,
    ]);
    assert_eq!(
        done.out,
        format!("claimed {DIR}: .sdk-verified .kits-verified\n")
    );
    assert!(done.err.contains("tljournal exec"), "{done:?}");
    assert_eq!(
        project.text(&format!("{DIR}/.sdk-verified")),
        format!("[\"{SDK}\"]")
    );
    let check = project.run(&["tag", "check", DIR]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(
        check
            .out
            .contains("not claimed .kits-verified: no live run"),
        "{check:?}"
    );
    assert!(
        project
            .ok(&["tag", "list"])
            .out
            .contains("its run has ended")
    );
    assert_eq!(
        project.ok(&["tag", "clear", DIR]).out,
        format!("cleared {DIR}\n")
    );
    assert!(!project.has(&format!("{DIR}/.sdk-verified")));
    assert_eq!(
        project.ok(&["tag", "clear", DIR]).out,
        format!("unchanged {DIR}\n")
    );
}

#[test]
fn below_exec_the_tasks_of_a_run_share_its_claim() {
    let project = Project::new();
    let script = format!(
        "set -e
         t() {{ \"$0\" \"$@\"; }}
         t tag write {DIR} --digest sha256:{} --sdk '{SDK}'
         t tag check {DIR} --mine --level sdk
         ! t tag check {DIR} --mine
         t tag list {DIR} --json",
        "ab".repeat(32)
    );
    let tool = env!("CARGO_BIN_EXE_tljournal");
    let done = project.ok(&["exec", "--no-log", "--", "sh", "-c", &script, tool]);
    assert!(!done.err.contains("warning"), "{done:?}");
    let list = done.out.lines().rfind(|line| line.starts_with('{'));
    let list: serde_json::Value = match list {
        Some(line) => serde_json::from_str(line).unwrap(),
        None => serde_json::from_str(&done.out[done.out.find('{').unwrap()..]).unwrap(),
    };
    let voucher = &list["vouchers"][0];
    assert_eq!(
        (&voucher["valid"], &voucher["path"]),
        (&true.into(), &format!("{DIR}/.sdk-verified").into())
    );
    let argv = voucher["process"]["argv"].as_str().unwrap();
    assert!(argv.contains(" exec "), "{argv}");
}

#[test]
fn g10_another_run_waits_and_names_the_holder_or_gives_up() {
    let project = Project::new();
    let digest = |hex: &str| format!("sha256:{}", hex.repeat(32));
    let first = holder(
        &project,
        &format!("tag write {DIR} --digest {} --sdk sdk", digest("ab")),
    );
    let other = [
        "tag",
        "write",
        DIR,
        "--digest",
        &digest("cd"),
        "--sdk",
        "sdk",
    ];
    let done = project.run(&[&other[..], &["--lock-wait", "0.05"]].concat());
    assert_eq!(done.code, 4, "{done:?}");
    assert!(
        done.err.contains(".sdk-verified") && done.err.contains("exec"),
        "{done:?}"
    );
    assert_eq!(project.ok(&["tag", "check", DIR, "--level", "sdk"]).code, 0);
    assert_eq!(
        project
            .run(&["tag", "check", DIR, "--level", "sdk", "--mine"])
            .code,
        1
    );
    let revoke = [
        "tag",
        "clear",
        DIR,
        "--revoke",
        &digest("ab"),
        "--because",
        "it is another image",
    ];
    project.ok(&revoke);
    let done = project.run(&["tag", "check", DIR, "--level", "sdk"]);
    assert!(
        done.code == 1 && done.out.contains("revoked: it is another image"),
        "{done:?}"
    );
    project.ok(&other);
    end(first);
}

#[test]
fn a_wrong_set_is_bad_usage() {
    let project = Project::new();
    let digest = format!("sha256:{}", "ab".repeat(32));
    for bad in [
        &["tag", "write", DIR, "--sdk", SDK][..],
        &["tag", "write", DIR, "--digest", &digest],
        &[
            "tag", "write", DIR, "--digest", &digest, "--sdk", SDK, "--kit", KIT, "--level", "sdk",
        ],
        &["tag", "write", "../up", "--digest", &digest, "--sdk", SDK],
        &["tag", "write", DIR, "--over", "missing", "--sdk", SDK],
        &["tag", "clear", DIR, "--revoke", &digest],
    ] {
        let done = project.run(bad);
        assert_eq!(done.code, 2, "{bad:?}: {done:?}");
    }
    let none = [
        "tag", "write", DIR, "--digest", &digest, "--sdk", SDK, "--level", "kits",
    ];
    project.ok(&none);
    assert_eq!(project.text(&format!("{DIR}/.kits-verified")), "[]");
}

#[test]
fn a_run_does_not_wait_for_its_ancestor() {
    let project = Project::new();
    let script = format!(
        "t() {{ \"$0\" \"$@\"; }}
         t tag write {DIR} --digest sha256:{} --sdk sdk || exit 99
         t exec --no-log -- \"$0\" tag write {DIR} --digest sha256:{} --sdk sdk",
        "ab".repeat(32),
        "cd".repeat(32)
    );
    let tool = env!("CARGO_BIN_EXE_tljournal");
    let done = project.run(&["exec", "--no-log", "--", "sh", "-c", &script, tool]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.contains("wait for ever"), "{done:?}");
}

#[test]
fn g1_a_task_that_is_killed_anywhere_leaves_its_run_with_both_tags_or_none() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let write = [
        "tag", "write", DIR, "--digest", &digest, "--sdk", "sdk", "--kit", "kit",
    ];
    let (mut kills, mut vouched) = (0, 0);
    let when = When::Before;
    for moment in (1..).step_by(9).map(|call| Moment { when, call }) {
        let project = Project::new();
        let root = project.path().to_str().unwrap();
        let journal = Journal::open(root).unwrap();
        let run = journal.run("a task").unwrap();
        let command = project.command(&write);
        let traced = match kill_at_call(&command, moment, |command| run.spawn(command)) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: processes cannot be traced here: {error}");
                return;
            }
            traced => traced.unwrap(),
        };
        if traced.call.is_none() {
            break;
        }
        kills += 1;
        // The next process that opens the journal applies what was committed.
        Journal::open(root).unwrap().close().unwrap();
        let state = State::with(journal);
        let checks = state.check_tags(DIR, Level::Kits, true).unwrap();
        let valid = checks
            .iter()
            .filter(|check| check.vouched.is_some())
            .count();
        let there = [".sdk-verified", ".kits-verified"];
        let there = there
            .iter()
            .filter(|tag| project.has(&format!("{DIR}/{tag}")))
            .count();
        assert!(
            valid == there && valid != 1,
            "at {moment}: {checks:?}, {there} are there"
        );
        vouched += valid / 2;
    }
    assert!(
        kills > vouched && vouched > 0,
        "{kills} kills, {vouched} after the commit"
    );
}
