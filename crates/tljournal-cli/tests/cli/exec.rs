use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::running::TLJOURNAL;
use crate::world::{Project, done};

#[test]
fn the_exit_code_of_the_command_is_passed_on() {
    let project = Project::new();
    for (run, code) in (1..).zip([0, 1, 3, 124, 255]) {
        let script = format!("exit {code}");
        let done = project.run(&["exec", "--", "sh", "-c", &script]);
        let said = match code {
            0 => String::new(),
            _ => format!(
                "tljournal: note: the command failed (exited {code}); \
                 investigate with: tljournal postmortem {run}\n"
            ),
        };
        assert_eq!((done.code, done.err), (code, said));
    }
    assert_eq!(project.run(&["exec", "-q", "--", "false"]).err, "");
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        let done = project.run(&["exec", "--", "sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(done.code, code, "{done:?}");
    }
    let outcomes: Vec<_> = project.runs().into_iter().map(|run| run.outcome).collect();
    let outcomes: Vec<_> = outcomes.iter().rev().flatten().collect();
    let words = ["ok", "exited 1", "exited 3", "exited 124", "exited 255"];
    assert_eq!(outcomes[..5], words);
    assert_eq!(outcomes[6..], ["killed by signal 9", "killed by signal 15"]);
}

#[test]
fn a_command_that_cannot_be_run_has_the_codes_of_timeout() {
    let project = Project::new();
    project.write("plain", "not a program");
    project.small_tree("src");
    project.ok(&["tree", "install", "build/t", "--from", "src"]);
    for (command, code) in [("nonesuch", 127), ("./plain", 126), ("./build", 126)] {
        for verb in [&["exec", "--"][..], &["pin", "build/t", "--"]] {
            let done = project.run(&[verb, &[command]].concat());
            assert_eq!(done.code, code, "{verb:?} {command}: {done:?}");
            assert!(done.err.contains("failed to run"), "{done:?}");
        }
    }
    assert_eq!(
        project.runs()[1].outcome.as_deref(),
        Some("failed"),
        "of exec"
    );
}

#[test]
fn failures_of_tljournal_itself_are_125_and_never_2() {
    let project = Project::new();
    for args in [
        &["exec"][..],
        &["exec", "--frob", "--", "true"],
        &["--root", ".", "exec", "--wait", "x", "--", "true"],
        &["exec", "--lock", "../x", "--", "true"],
        &["exec", "--lock", "a.turnstile", "--", "true"],
        &["exec", "--lock-file", "none/x", "--", "true"],
        &["exec", "--log", "--no-log", "--", "true"],
        &["exec", "-E", "256", "--", "true"],
        &["pin", "build/none", "--", "true"],
        &["pin", "../x", "--", "true"],
        &["--root", "none", "exec", "--", "true"],
    ] {
        let done = project.run(args);
        assert_eq!(done.code, 125, "{args:?}: {done:?}");
        assert_eq!(done.out, "", "{args:?}");
        assert!(!done.err.is_empty(), "{args:?}");
    }
    let error = project.run(&["exec", "--frob", "--json"]).error();
    assert_eq!(error["kind"], "usage");
    let bare = Project::bare();
    assert_eq!(bare.run(&["exec", "--", "true"]).code, 125);
}

#[test]
fn a_run_records_its_label_and_parent_without_secrets() {
    let project = Project::new();
    let script = format!("{TLJOURNAL} exec -- true && {TLJOURNAL} put build/x");
    project.ok(&["exec", "--label", "a task", "--", "sh", "-c", &script]);
    project.ok(&["exec", "--", "true", "--password=hunter2"]);
    let runs = project.runs();
    let [secret, put, inner, outer] = &runs[..4] else {
        panic!("{runs:?}")
    };
    assert_eq!(outer.label.as_deref(), Some("a task"));
    assert_eq!((outer.parent, inner.parent), (None, Some(outer.id)));
    assert_eq!(inner.label.as_deref(), Some("true"));
    assert_eq!((put.parent, &put.label), (Some(outer.id), &None));
    assert_eq!(secret.label.as_deref(), Some("true --password=[redacted]"));
    assert!(!secret.argv.contains("hunter2"), "{secret:?}");
    let shown = project.json(&["show", "1"]);
    assert_eq!(shown["txn"]["run"]["parent"], outer.id.to_string());
}

#[test]
fn the_row_of_a_run_exists_before_its_command_starts() {
    let project = Project::new();
    let running = project.holding(&["--label", "long"]);
    let runs = project.runs();
    assert_eq!(
        (runs[0].label.as_deref(), runs[0].ended_at),
        (Some("long"), None)
    );
    assert_eq!(running.end(), 0);
    assert!(project.runs()[0].ended_at.is_some());
}

#[test]
fn the_command_starts_as_without_a_wrapper() {
    let project = Project::new();
    let seen = |command: &mut Command| {
        let done = done(command.current_dir(project.path()).output().unwrap());
        assert_eq!(done.code, 0, "{done:?}");
        done.out
    };
    // Standard input is unchanged, signals have their original mask and dispositions, SIGPIPE its default, and only
    // the descriptors that hold the locks are open.
    let look = "cat; grep -E '^Sig(Blk|Ign):' /proc/self/status; trap; umask; pwd; \
                for fd in /proc/self/fd/*; do readlink $fd; done | grep -v -E 'pipe:|/proc|/log/'";
    let input = || std::fs::File::open(project.script("input", "some input\n")).unwrap();
    let plain = seen(Command::new("sh").args(["-c", look]).stdin(input()));
    let args = ["exec", "--lock", "a", "--", "sh", "-c", look];
    let wrapped = seen(project.command(&args).stdin(input()));
    let added: Vec<_> = wrapped
        .lines()
        .filter(|line| !plain.contains(line))
        .collect();
    let locks = project.at("build/.state/lock");
    let held = ["runs", "name/a"].map(|name| locks.join(name).to_str().unwrap().to_owned());
    assert_eq!(added, held, "{plain}");
    assert!(
        plain.lines().all(|line| wrapped.contains(line)),
        "{plain}\n{wrapped}"
    );
}

#[test]
fn invalid_entries_of_the_variable_are_ignored_with_a_warning() {
    let project = Project::new();
    let mut command = project.command(&["exec", "--lock", "a", "--", "printenv", "TLJOURNAL_RUN"]);
    let done = done(
        command
            .env("TLJOURNAL_RUN", "rub\u{1b}bish,a")
            .output()
            .unwrap(),
    );
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.err.contains("`rub\\u{1b}bish,a` in the variable"),
        "{done:?}"
    );
    assert!(!done.out.contains("rub"), "{done:?}");
}

#[test]
fn a_command_that_removes_the_build_directory_keeps_its_exit_code() {
    let project = Project::new();
    let done = project.run(&["exec", "--", "sh", "-c", "rm -rf build; exit 4"]);
    assert_eq!(done.code, 4, "{done:?}");
}

#[test]
fn twenty_commands_with_one_lock_never_run_at_once() {
    let project = Project::new();
    let script = project.script("alone", "mkdir busy && echo $1 >> order && rmdir busy\n");
    let children: Vec<_> = (0..20)
        .map(|n| {
            let n = n.to_string();
            let args = ["exec", "--lock", "a", "--", "sh", &script, &n];
            project
                .command(&args)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let done = done(child.wait_with_output().unwrap());
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(project.text("order").lines().count(), 20);
    let status = project.json(&["status"]);
    assert_eq!(status["open_runs"], 0);
}

#[test]
fn a_script_is_run_by_its_interpreter() {
    let project = Project::new();
    let script = project.script("tool", "#!/bin/sh\necho $0 $1\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(
        project.ok(&["exec", "--", "./tool", "-x"]).out,
        "./tool -x\n"
    );
}
