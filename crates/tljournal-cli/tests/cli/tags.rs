//! Verification tags, as shell tasks write and ask for them.

use std::process::{Child, Stdio};

use crate::world::Project;

const DIR: &str = "build/external-kits";
const SDK: &str = "sdk-1@vendor (registry/sdk:v1)";
const KIT: &str = "kit-2@vendor (registry/kit:v2)";

/// A run that vouches, tells its standard output when it has, and ends when its input does.
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
fn a_tag_written_by_a_command_alone_ends_with_it_and_that_is_said() {
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
        format!("vouched {DIR}: .sdk-verified .kits-verified\n")
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
            .contains("not vouched .kits-verified: no live run"),
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
fn below_exec_the_tasks_of_a_run_share_its_voucher() {
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
fn g10_another_run_waits_and_is_told_for_whom_or_gives_up() {
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
