use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use tljournal::Journal;

use crate::world::{Project, command_in, done};

#[test]
fn bad_usage_is_2() {
    let project = Project::new();
    for args in [
        &["frob"][..],
        &[],
        &["put"],
        &["put", "../x"],
        &["put", "build/x", "--mode", "9"],
        &["put", "build/x", "--mtime", "yesterday"],
        &["put", "build/x", "--expect", "maybe"],
        &["put", "build/x", "--from", "nowhere"],
        &["put", "build/x", "--from", "build"],
        &["put", "build"],
        &["put", "build/.state.db"],
        &["rm"],
        &["rm", "build/a", "build/a/b"],
        &["tree", "install", "build/x", "--from", "nowhere"],
        &["tree", "install", "build/x"],
        &["--lock-wait", "-1", "status"],
    ] {
        let done = project.run(args);
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
        assert_eq!(done.out, "", "{args:?}");
        assert!(!done.err.is_empty(), "{args:?}");
    }
    let done = project.run(&["frob", "--json"]);
    assert_eq!(done.error()["kind"], "usage");
}

#[test]
fn help_and_version_are_0_and_document_the_exit_status() {
    let project = Project::bare();
    for command in [
        "init", "put", "rm", "link", "apply", "exec", "pin", "recover", "status", "log", "show",
        "demo",
    ] {
        let done = project.ok(&[command, "--help"]);
        assert!(done.out.contains("Exit status:"), "{command}");
        assert!(
            done.out.lines().all(|line| line.chars().count() <= 120),
            "{command}"
        );
    }
    project.ok(&["--version"]);
}

#[test]
fn no_tree_there_is_1() {
    let project = Project::new();
    for command in ["show", "verify"] {
        let done = project.run(&["tree", command, "build/none", "--json"]);
        assert_eq!(done.code, 1, "{done:?}");
        assert_eq!(done.error()["kind"], "nothing");
    }
}

#[test]
fn a_conflict_is_3_and_comes_with_a_hint() {
    let project = Project::new();
    project.ok(&["put", "build/a"]);
    let done = project.run(&["put", "build/a", "--mode", "0600", "--expect", "absent"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(
        done.err.contains("hint: ") && done.err.contains("--expect"),
        "{done:?}"
    );
    let done = project.run(&["put", "build/a", "--expect", "absent", "--json"]);
    let error = done.error();
    assert_eq!(error["kind"], "conflict");
    assert!(error["hint"].is_string());
    fs::create_dir(project.at("build/d")).unwrap();
    let done = project.run(&["put", "build/d"]);
    assert_eq!(done.code, 3, "{done:?}");
}

#[test]
fn a_lock_timeout_is_4_and_names_the_holder() {
    let project = Project::new();
    let journal = Journal::open(project.path().to_str().unwrap()).unwrap();
    let reading = journal.read().unwrap();
    let done = project.run(&["put", "build/a", "--lock-wait", "0.05"]);
    assert_eq!(done.code, 4, "{done:?}");
    assert!(
        done.err.contains(&std::process::id().to_string()),
        "{done:?}"
    );
    assert!(done.err.contains("--lock-wait"), "{done:?}");
    assert!(!project.has("build/a"));
    drop(reading);
    project.ok(&["put", "build/a", "--lock-wait", "60"]);
}

/// Starts a command that waits for this process, until it has announced the wait.
fn waiting(project: &Project, args: &[&str]) -> Child {
    let mut command = command_in(project.path(), args);
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert!(
        said.starts_with("tljournal: warning: waiting for the lock"),
        "{said}"
    );
    assert!(said.contains(&std::process::id().to_string()), "{said}");
    child
}

#[test]
fn g10_a_waiter_sees_the_holder() {
    let project = Project::new();
    let journal = Journal::open(project.path().to_str().unwrap()).unwrap();
    let reading = journal.read().unwrap();
    let child = waiting(&project, &["put", "build/a"]);
    drop(reading);
    let put = done(child.wait_with_output().unwrap());
    assert_eq!((put.code, put.out.as_str()), (0, "put build/a (txn 1)\n"));
    // A reader waits for a writer of the database: for an instant, unless the writer is stopped.
    let writing = fs::File::open(project.at("build/.state/lock/db")).unwrap();
    writing.lock().unwrap();
    let child = waiting(&project, &["status"]);
    drop(writing);
    let status = done(child.wait_with_output().unwrap());
    assert_eq!(status.code, 0, "{status:?}");
}

#[test]
fn a_damaged_catalog_is_5_until_it_is_recovered() {
    let project = Project::new();
    project.ok(&["put", "build/a"]);
    fs::write(
        project.at("build/.state.db"),
        "this is no database".repeat(1000),
    )
    .unwrap();
    for args in [
        &["status"][..],
        &["log"],
        &["show", "1"],
        &["tree", "verify", "build/a"],
    ] {
        let done = project.run(args);
        assert_eq!(done.code, 5, "{args:?}: {done:?}");
        assert!(done.err.contains("tljournal recover"), "{done:?}");
    }
    let done = project.ok(&["recover"]);
    assert!(done.out.contains("kept at"), "{done:?}");
    project.ok(&["status"]);
    assert!(project.has("build/a"));
}

#[test]
fn an_entry_planted_among_the_journals_files_is_set_aside() {
    let project = Project::new();
    fs::remove_file(project.at("build/.state.db")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", project.at("build/.state.db")).unwrap();
    let before = fs::read("/etc/hostname").unwrap();
    assert_eq!(project.run(&["status"]).code, 5);
    let done = project.ok(&["put", "build/a"]);
    assert!(done.err.contains("set aside"), "{done:?}");
    assert_eq!(fs::read("/etc/hostname").unwrap(), before);
    project.ok(&["status"]);
}

#[test]
fn a_system_that_refuses_is_6() {
    let project = Project::new();
    let done = project.run(&["--root", "/proc", "init"]);
    assert_eq!(done.code, 6, "{done:?}");
    project.ok(&["put", "build/a"]);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = project
        .command(&["log"])
        .stdout(full)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(6));
}
