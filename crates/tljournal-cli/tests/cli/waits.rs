//! Every wait of a command honours `--lock-wait`, names the holder, and ends on a signal.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::running::Running;
use crate::world::Project;

/// Longer than any command without a wait takes, and shorter than any holder holds.
const AT_ONCE: Duration = Duration::from_secs(30);

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Every kind of command that opens the journal, with arguments for an empty project.
const COMMANDS: [&[&str]; 14] = [
    &["put", "build/b"],
    &["rm", "build/a"],
    &["tree", "install", "build/t", "--from", "source"],
    &["tag", "write", "--sdk", "x", "--digest", DIGEST, "build"],
    &["exec", "--no-wait", "--lock", "x", "--", "true"],
    &["undo", "2"],
    &["recover"],
    &["gc"],
    &["status"],
    &["log"],
    &["blame", "build/a"],
    &["fsck"],
    &["fsck", "--repair"],
    &["fsck", "--rebuild", "--force"],
];

/// Whether it writes: another program that uses the database blocks only writers.
fn writes(command: &[&str]) -> bool {
    !["status", "log", "blame", "fsck"].contains(&command[0]) || command.len() > 2
}

fn project() -> Project {
    let project = Project::new();
    project.write("source/f", "x");
    project.run_with_input(&["put", "build/a"], b"one");
    project.run_with_input(&["put", "build/a"], b"two");
    project
}

/// Holds the queue of database writers, as a stopped process would.
fn hold_queue(project: &Project) -> Running {
    let mut command = Command::new("flock");
    let script = ["build/.state/lock/db", "sh", "-c", "echo held; read x"];
    command.args(script).current_dir(project.path());
    ready(Running::start(&mut command))
}

/// Holds SQLite's own lock, as a database browser would.
fn hold_sqlite(project: &Project) -> Running {
    hold_shell(project, "BEGIN IMMEDIATE;\nSELECT 'held';\n")
}

/// Reads in rollback mode, as a browser does that has switched the database to it: writers want it in another mode.
fn hold_rollback(project: &Project) -> Running {
    let begin =
        "PRAGMA journal_mode = DELETE;\nBEGIN;\nSELECT count(*) FROM home;\nSELECT 'held';\n";
    hold_shell(project, begin)
}

/// Keeps even readers out.
fn hold_exclusively(project: &Project) -> Running {
    let begin = "PRAGMA locking_mode = EXCLUSIVE;\nBEGIN EXCLUSIVE;\nSELECT 'held';\n";
    hold_shell(project, begin)
}

fn hold_shell(project: &Project, begin: &str) -> Running {
    let mut command = Command::new("sqlite3");
    command.arg("build/.state.db").current_dir(project.path());
    let mut shell = Running::start(&mut command);
    shell.tell(begin);
    ready(shell)
}

fn ready(mut holder: Running) -> Running {
    while holder.line() != "held" {}
    holder
}

#[test]
fn g10_every_command_honours_the_limit_while_the_database_is_held() {
    type Hold = fn(&Project) -> Running;
    let holders: [(&str, Hold, &str); 4] = [
        ("the queue", hold_queue, "(flock)"),
        ("sqlite", hold_sqlite, "(sqlite3)"),
        ("rollback mode", hold_rollback, "(sqlite3)"),
        ("exclusive mode", hold_exclusively, "(sqlite3)"),
    ];
    for (name, hold, told) in holders {
        let project = project();
        let holder = hold(&project);
        for command in COMMANDS {
            let begun = Instant::now();
            let args = [&["--lock-wait", "0.2"][..], command].concat();
            let done = project.run(&args);
            assert!(begun.elapsed() < AT_ONCE, "{name}, {command:?}: {done:?}");
            if ["sqlite", "rollback mode"].contains(&name) && !writes(command) {
                assert_eq!(done.code, 0, "{name}, {command:?}: {done:?}");
                continue;
            }
            // `recover`, `gc` and `undo` may have nothing to write.
            let expected = match command[0] {
                "exec" => &[125][..],
                // A rebuilt database is another file, which is not locked.
                "fsck" => &[0, 1, 8],
                "recover" | "gc" => &[0, 4],
                _ => &[4],
            };
            assert!(
                expected.contains(&done.code),
                "{name}, {command:?}: {done:?}"
            );
            if done.code > 1 {
                assert!(done.err.contains(told), "{name}, {command:?}: {done:?}");
            }
        }
        holder.end();
        project.run_with_input(&["put", "build/b"], b"later");
        assert_eq!(project.text("build/b"), "later", "{name}");
        project.ok(&["fsck"]);
    }
}

#[test]
fn g10_a_wait_for_the_database_is_announced_with_its_holder_and_ends_on_a_signal() {
    type Hold = fn(&Project) -> Running;
    let holders: [(&str, Hold, bool); 4] = [
        ("(flock)", hold_queue, true),
        ("(sqlite3)", hold_sqlite, false),
        ("(sqlite3)", hold_rollback, false),
        ("(sqlite3)", hold_exclusively, true),
    ];
    for (told, hold, keeps_readers) in holders {
        for command in [
            &["rm", "build/a"][..],
            &["exec", "--", "true"],
            &["fsck"],
            &["fsck", "--repair"],
        ] {
            if (command.len() == 2 || !writes(command)) && !keeps_readers {
                continue;
            }
            let project = project();
            let holder = hold(&project);
            for signal in ["INT", "TERM"] {
                let mut waiter = project.start(command);
                let warning = waiter.warning();
                assert!(warning.contains("waiting for the lock"), "{warning}");
                assert!(warning.contains(told), "{warning}");
                waiter.signal(signal);
                let expected = match (command[0], signal) {
                    // It ends with the findings so far: none.
                    ("fsck", _) => 32,
                    (_, "INT") => 1002,
                    _ => 1015,
                };
                assert_eq!(waiter.ended(), expected, "{command:?}, {signal}");
            }
            holder.end();
            project.ok(&["rm", "build/a"]);
        }
    }
}

/// A limit that was over was waited for once more, for the event that told of it.
#[test]
fn g10_a_limit_is_waited_for_once() {
    let project = project();
    let _holder = hold_sqlite(&project);
    for command in [
        &["put", "build/b", "--from", "source/f"][..],
        &["rm", "build/a"],
        &["exec", "--lock", "x", "--", "true"],
    ] {
        let done = project.run(&[&["--lock-wait", "1.2"][..], command].concat());
        assert_ne!(done.code, 0, "{command:?}");
        let announced = done.err.matches("waiting for the lock").count();
        assert_eq!(announced, 1, "{command:?}: {done:?}");
    }
}

/// Trees that another program had locked were waited for without a limit by all but `pin`.
#[test]
fn g10_every_command_honours_the_limit_while_a_tree_is_held() {
    let project = project();
    let populate = ["populate", "build/p", "--key", "k", "--", "sh", "-c"];
    project.ok(&[&populate[..], &["echo 1 > $TLJOURNAL_STAGE/f"]].concat());
    project.ok(&["tree", "install", "build/t", "--from", "source"]);
    let _holders = ["build/t", "build/p"].map(|tree| {
        let mut command = Command::new("flock");
        let script = [tree, "sh", "-c", "echo held; read x"];
        command.args(script).current_dir(project.path());
        ready(Running::start(&mut command))
    });
    for command in [
        &["tree", "install", "build/t", "--from", "source"][..],
        &["pin", "build/t", "--", "true"],
        &["populate", "build/p", "--key", "k", "--", "true"],
    ] {
        let begun = Instant::now();
        let done = project.run(&[&["--lock-wait", "0.2"][..], command].concat());
        assert_ne!(done.code, 0, "{command:?}");
        assert!(done.err.contains("(flock)"), "{command:?}: {done:?}");
        assert!(begun.elapsed() < AT_ONCE, "{command:?}");
    }
}
