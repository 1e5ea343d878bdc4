//! All commands work with limits on descriptors and threads.

use std::process::Command;

use crate::running::TLJOURNAL;
use crate::world::{Done, Project, done};

/// Runs a command with a limit on open descriptors.
fn with_descriptors(project: &Project, number: u32, args: &[&str]) -> Done {
    let script = format!("ulimit -n {number}; exec {TLJOURNAL} \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).args(args);
    done(command.current_dir(project.path()).output().unwrap())
}

/// Every staged file stayed open until the end, and so did every directory of a file that fsck read.
#[test]
fn g15_a_transaction_may_have_more_files_than_descriptors() {
    let project = Project::new();
    let change = |n| serde_json::json!({"put": format!("build/{}/{n}", n % 150), "content": "x"});
    let changes: Vec<_> = (0..600).map(change).collect();
    let description = serde_json::json!({ "changes": changes }).to_string();
    project.write("description", description);
    for args in [
        &["apply", "description"][..],
        &["fsck", "--full"],
        &["apply", "description"],
        &["undo", "1"],
        &["apply", "description"],
        &["rm", "build/7"],
        &["gc", "--keep-count", "0"],
        &["recover"],
        &["fsck"],
    ] {
        let done = with_descriptors(&project, 100, args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
    }
    assert_eq!(project.text("build/8/8"), "x");
}

/// SIGXFSZ killed the process without a message.
#[test]
fn g10_a_limit_of_file_sizes_is_an_error_and_loses_nothing() {
    let project = Project::new();
    project.write("source", "x".repeat(100_000));
    project.run(&["put", "build/f", "--from", "source"]);
    project.write("source", "y".repeat(100_000));
    for kib in [1, 8, 64] {
        for args in [&["put", "build/f", "--from", "source"][..], &["status"]] {
            let script = format!("ulimit -f {kib}; exec {TLJOURNAL} \"$@\"");
            let mut command = Command::new("bash");
            command.args(["-c", &script, "bash"]).args(args);
            let done = done(command.current_dir(project.path()).output().unwrap());
            let explains = done.code == 0 || done.err.contains("tljournal: ");
            assert!(done.code < 10 && explains, "{kib} {args:?}: {done:?}");
        }
        assert_eq!(project.text("build/f"), "x".repeat(100_000), "{kib}");
    }
    assert_eq!(project.run(&["put", "build/f", "--from", "source"]).code, 0);
    assert_eq!(project.run(&["fsck", "--full"]).code, 0);
    // The command has the default action.
    let command = [
        "exec",
        "--",
        "sh",
        "-c",
        "ulimit -f 1; head -c 4096 /dev/zero > too-large",
    ];
    assert_eq!(project.run(&command).code, 128 + 25);
}

/// Makes a directory with directories nested in it, and a file in the innermost one.
fn nest(project: &Project, path: &str, levels: usize) {
    project.write(&format!("{path}{}/f", "/d".repeat(levels)), "precious");
}

/// The number of files that hold this content in the build directory and below.
fn count(project: &Project, words: &str) -> usize {
    let mut grep = Command::new("grep");
    grep.args(["-rl", words]).arg(project.at("build"));
    let found = grep.output().unwrap().stdout;
    String::from_utf8(found).unwrap().lines().count()
}

/// A directory that could not be examined, because it had more levels than descriptors were left, was deleted.
#[test]
fn g9_what_is_removed_stays_however_deep_it_is_and_however_few_files_may_be_open() {
    for (descriptors, levels, special) in [(64, 100, true), (4096, 520, false), (4096, 520, true)] {
        let project = Project::new();
        nest(&project, "build/x", levels);
        if special {
            let pipe = Command::new("mkfifo")
                .arg(project.at("build/x/pipe"))
                .status();
            assert!(pipe.unwrap().success());
        }
        let done = with_descriptors(&project, descriptors, &["rm", "build/x"]);
        assert_eq!(done.code, 0, "{done:?}");
        project.run_with_input(&["put", "build/next"], b"x");
        assert_eq!(count(&project, "precious"), 1, "{levels} {special}");
        let kept = project.ok(&["log", "--kept"]);
        assert!(kept.out.contains("rm"), "{kept:?}");
    }
}

/// With hardly any descriptors a command may fail, or leave work to the next one, but it deletes nothing.
#[test]
fn g9_nothing_is_deleted_for_want_of_descriptors() {
    let project = Project::new();
    for descriptors in 16..32 {
        for dir in ["a/b", "a/c", "d/e/f"] {
            project.write(&format!("build/x/{dir}/f"), "precious");
        }
        let done = with_descriptors(&project, descriptors, &["rm", "build/x"]);
        assert_eq!(count(&project, "precious"), 3, "{descriptors}: {done:?}");
        project.run(&["rm", "build/x"]);
        assert_eq!(count(&project, "precious"), 3, "{descriptors}: {done:?}");
        project.ok(&["gc", "--keep-count", "0"]);
    }
}

/// A tree with more levels than descriptors could never be deleted, and each command said so again.
#[test]
fn g12_what_is_left_over_is_deleted_however_deep_it_is() {
    let project = Project::new();
    nest(&project, "source", 70);
    for args in [
        &["tree", "install", "build/t", "--from", "source"][..],
        &["rm", "build/t"],
        &["gc", "--keep-count", "0"],
    ] {
        let done = with_descriptors(&project, 64, args);
        assert_eq!(
            (done.code, done.err.as_str()),
            (0, ""),
            "{args:?}: {done:?}"
        );
    }
    assert_eq!(count(&project, "precious"), 0);
}

/// A directory that is nested far deeper than a path can be long is not examined: it stays, and is reported.
#[test]
fn g9_what_is_nested_too_deeply_to_be_examined_stays_and_is_reported() {
    let project = Project::new();
    let long = "n".repeat(250);
    let deep =
        format!("mkdir build/x; cd build/x; for i in $(seq 70); do mkdir {long}; cd {long}; done");
    let mut shell = Command::new("bash");
    shell.args(["-c", &deep]).current_dir(project.path());
    assert!(shell.status().unwrap().success());
    project.ok(&["rm", "build/x"]);
    assert!(!project.has("build/x"));
    let found = project.run(&["fsck"]);
    assert!(found.out.contains("left-behind"), "{found:?}");
}

/// A user without any other process.
const ANOTHER_USER: u32 = 54_321;

/// Runs a command that can start no thread and no process: root has no such limit, so it switches to a user who has.
fn alone(project: &Project, args: &[&str]) -> Done {
    let program = project.at("program");
    let mut words = vec![
        "prlimit".to_owned(),
        "--nproc=1".to_owned(),
        "--".to_owned(),
    ];
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(project.path(), Some(ANOTHER_USER), None).unwrap();
        let ids = format!("--reuid={ANOTHER_USER} --regid={ANOTHER_USER} --clear-groups --");
        words.splice(0..0, ids.split(' ').map(str::to_owned));
        words.insert(0, "setpriv".to_owned());
    }
    if !program.exists() {
        std::fs::copy(TLJOURNAL, &program).unwrap();
    }
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(program).args(args);
    done(command.current_dir(project.path()).output().unwrap())
}

/// Some commands hung when no thread could be started, and others panicked.
#[test]
fn g15_every_command_works_or_reports_an_error_without_threads() {
    let project = Project::bare();
    project.small_tree("tree");
    let description = r#"{"changes":[{"put":"build/a","content":"x"}]}"#;
    project.write("description", description);
    for (line, code) in [
        ("init", 0),
        ("put build/file", 0),
        ("tree install build/tools --from tree", 0),
        ("tree verify build/tools --full", 0),
        ("apply description", 0),
        ("undo 1", 0),
        ("log --graph", 0),
        ("show 1", 0),
        ("status", 0),
        ("blame build/tools", 0),
        ("postmortem 1", 0),
        ("fsck --full", 0),
        ("gc", 0),
        // The command cannot be started either.
        ("populate build/filled --key k -- true", 125),
        ("exec --lock a --lock-file lf -- true", 125),
        ("rm build/tools", 0),
        ("recover", 0),
        ("fsck", 0),
    ] {
        let args: Vec<_> = line.split(' ').collect();
        let done = alone(&project, &args);
        assert!(!done.err.contains("panicked"), "{line}: {done:?}");
        assert_eq!(done.code, code, "{line}: {done:?}");
    }
}
