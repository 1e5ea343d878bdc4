use std::io::Read;

use crate::running::{Running, TLJOURNAL};
use crate::world::{Done, Project, done};

const BOTH: &str = "for n in $(seq 500); do echo out $n; echo err $n >&2; done";

fn expected(word: &str) -> String {
    (1..=500).map(|n| format!("{word} {n}\n")).collect()
}

#[test]
fn output_goes_to_a_log_and_to_the_caller() {
    let project = Project::new();
    let done = project.ok(&["exec", "--", "sh", "-c", BOTH]);
    assert_eq!((done.out, done.err), (expected("out"), expected("err")));
    let run = &project.runs()[0];
    let log = |suffix: &str, word| (suffix.to_owned(), expected(word));
    assert_eq!(project.logs(run), [log(".err", "err"), log(".out", "out")]);
    assert_eq!(run.log, Some(format!(".state/log/{}", run.id)));
}

#[test]
fn identical_outputs_have_one_log_in_order() {
    let project = Project::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = project.command(&["exec", "--", "sh", "-c", BOTH]);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut all = String::new();
    reader.read_to_string(&mut all).unwrap();
    assert!(child.wait().unwrap().success());
    let order: String = (1..=500).map(|n| format!("out {n}\nerr {n}\n")).collect();
    assert_eq!(all, order);
    assert_eq!(project.logs(&project.runs()[0]), [(String::new(), order)]);
}

#[test]
fn without_a_log_the_command_writes_to_the_outputs_directly() {
    let project = Project::new();
    let args = ["exec", "--no-log", "--", "readlink", "/proc/self/fd/1"];
    assert!(project.ok(&args).out.starts_with("pipe:"));
    let run = &project.runs()[0];
    assert_eq!((&run.log, run.outcome.as_deref()), (&None, Some("ok")));
    assert!(!project.has("build/.state/log"));
}

#[test]
fn large_output_is_complete() {
    const BYTES: usize = 8 << 20;
    let project = Project::new();
    let script = format!("head -c {BYTES} /dev/zero | tr '\\0' x");
    let done = project.ok(&["exec", "--", "sh", "-c", &script]);
    assert!(done.out == "x".repeat(BYTES), "{}", done.out.len());
}

/// More than the capacity of one pipe, and less than that of two.
const UNREAD_BYTES: usize = 96 << 10;

/// A command that has ended after writing more than a pipe holds, while its output is not read.
fn unread(project: &Project, before: &str) -> Running {
    let script =
        format!("{before} echo begun; read x; head -c {UNREAD_BYTES} /dev/zero | tr '\\0' x");
    let mut running = project.start(&["exec", "--lock", "a", "--", "sh", "-c", &script]);
    assert_eq!(running.line(), "begun");
    running.tell("go on\n");
    // The lock is released with the command, not when its output has been read.
    project.ok(&["exec", "--lock", "a", "--wait", "1m", "--", "true"]);
    running
}

#[test]
fn unread_output_holds_no_lock() {
    let project = Project::new();
    let mut running = unread(&project, "");
    assert_eq!(running.line(), "x".repeat(UNREAD_BYTES));
    assert_eq!(running.end(), 0);
    // A process that opened the journal meanwhile recorded it as killed, but its own record wins.
    let runs = project.runs();
    assert_eq!(runs[1].outcome.as_deref(), Some("ok"));
}

/// A daemon borrowed the lock of a command that had ended while its output was not read: its run counted as running,
/// although another process already held the lock.
#[test]
fn g6_locks_of_an_ended_command_cannot_be_borrowed() {
    let project = Project::new();
    project.fifo("gate");
    project.fifo("told");
    let daemon = format!(
        "(read x < gate; {TLJOURNAL} exec --lock a --no-wait -E 42 -- true; echo $? > told) \
         < /dev/null > /dev/null 2>&1 &"
    );
    let mut running = unread(&project, &daemon);
    let holder = project.holding(&["--lock", "a"]);
    std::fs::write(project.at("gate"), "go on\n").unwrap();
    assert_eq!(project.text("told"), "42\n");
    assert_eq!(holder.end(), 0);
    assert_eq!(running.line(), "x".repeat(UNREAD_BYTES));
    assert_eq!(running.end(), 0);
}

#[test]
fn a_signal_ends_a_wrapper_that_waits_for_its_reader() {
    let project = Project::new();
    let running = unread(&project, "");
    running.signal("TERM");
    assert_eq!(running.end_unread(), 1015);
}

/// Runs a command whose output is not read.
fn without_reader(project: &Project, args: &[&str]) -> Done {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = project.command(args);
    done(command.stdout(writer).output().unwrap())
}

#[test]
fn a_closed_output_ends_the_command_as_without_a_log() {
    let project = Project::new();
    for log in [&[][..], &["--no-log"]] {
        let args = [&["exec"], log, &["--", "yes"]].concat();
        let done = without_reader(&project, &args);
        assert_eq!((done.code, done.err.as_str()), (141, ""), "{log:?}");
    }
}

#[test]
fn a_closed_output_does_not_disturb_a_command_with_a_requested_log() {
    let project = Project::new();
    let script = format!("{BOTH}; exit 5");
    let args = ["exec", "-q", "--log", "--", "sh", "-c", &script];
    let done = without_reader(&project, &args);
    assert_eq!((done.code, done.err), (5, expected("err")));
    assert_eq!(project.logs(&project.runs()[0])[1].1, expected("out"));
}

/// The output was lost, but the exit code reported success.
#[test]
fn output_that_cannot_be_written_is_a_failure_unless_the_command_failed_itself() {
    let project = Project::new();
    for (code, expected) in [(0, 125), (3, 3)] {
        let script = format!("seq 1 10; exit {code}");
        let mut command = project.command(&["exec", "--", "sh", "-c", &script]);
        let full = std::fs::File::options().write(true).open("/dev/full");
        let done = done(command.stdout(full.unwrap()).output().unwrap());
        assert_eq!(done.code, expected, "{done:?}");
        let said = "failed to copy the command's output: No space left on device";
        assert!(done.err.contains(said), "{done:?}");
        assert_eq!(project.logs(&project.runs()[0])[1].1.lines().count(), 10);
    }
}

#[test]
fn the_wrapper_ends_although_a_daemon_continues_to_write() {
    let project = Project::new();
    project.fifo("gate");
    // It writes until the gate is opened, more than can be read to the end.
    let daemon = "sh -c 'while ! read x < gate; do :; done & while kill -0 $!; do echo noise; done' & \
                  echo mine; exit 3";
    let done = project.run(&["exec", "--", "sh", "-c", daemon]);
    std::fs::write(project.at("gate"), "open\n").unwrap();
    assert_eq!(done.code, 3);
    assert!(done.out.contains("mine\n"));
}

/// A shell reopens `/dev/stderr` to write to it, which truncated the log, and output that was not copied yet was
/// lost.
#[test]
fn outputs_that_are_opened_by_name_lose_nothing() {
    let project = Project::new();
    let script = "for i in $(seq 3000); do echo line$i; done >&2; echo X > /dev/stderr; echo Y >&2";
    for _ in 0..20 {
        let done = project.ok(&["exec", "--", "sh", "-c", script]);
        let lines: Vec<_> = done.err.lines().collect();
        assert_eq!((lines.len(), &lines[3000..]), (3002, &["X", "Y"][..]));
    }
    let done = project.ok(&["exec", "--", "sh", "-c", "echo a | tee /dev/stdout"]);
    assert_eq!(done.out, "a\na\n");
}

#[test]
fn an_entry_in_the_place_of_the_logs_is_moved_away() {
    let project = Project::new();
    project.write("build/.state/log", "not a directory");
    let done = project.ok(&["exec", "--log", "--", "echo", "said"]);
    assert_eq!(done.out, "said\n");
    assert!(done.err.contains("in the place of `log`"), "{done:?}");
    assert!(project.runs()[0].log.is_some());
    assert_eq!(
        project.text("build/.state/log.displaced-1"),
        "not a directory"
    );
    assert!(project.run(&["fsck"]).out.contains("log.displaced-1"));
}

#[test]
fn other_entries_with_names_of_logs_are_deleted_like_logs() {
    let project = Project::new();
    for n in 0..61 {
        project.write(&format!("build/.state/log/{}/file", fake(n)), "");
    }
    let done = project.ok(&["exec", "--log", "--", "echo", "said"]);
    assert_eq!(done.out, "said\n");
    assert_eq!(done.err, "");
    assert!(!project.has(&format!("build/.state/log/{}/file", fake(0))));
    assert!(project.has(&format!("build/.state/log/{}/file", fake(60))));
}

/// The id of an ended run. Ids are ordered by time: these are older than that of any real run.
fn fake(n: u32) -> String {
    format!("{:08x}-0000-7000-8000-{n:012x}", 0x0f00_0000 + n)
}

#[test]
fn logs_of_ended_runs_are_deleted_and_others_are_not() {
    let project = Project::new();
    let living = project.holding(&[]);
    let living_run = project.runs()[0].id.to_string();
    for n in 0..60 {
        project.write(&format!("build/.state/log/{}.out", fake(n)), "");
        project.write(&format!("build/.state/log/{}.err", fake(n)), "");
    }
    project.write("build/.state/log/notes", "not a log");
    project.ok(&["exec", "--", "true"]);
    let names = project.log_names();
    let has = |name: &str| names.iter().any(|found| found.starts_with(name));
    assert!(has(&living_run) && has("notes"));
    for n in 0..60 {
        assert_eq!(has(&fake(n)), n >= 10, "{n}");
    }
    // Older ones that exceed the limit are deleted with all that are older still.
    let last = project.at(&format!("build/.state/log/{}.out", fake(59)));
    std::fs::File::options()
        .write(true)
        .open(last)
        .unwrap()
        .set_len(300 << 20)
        .unwrap();
    project.ok(&["exec", "--", "true"]);
    let fakes = project
        .log_names()
        .into_iter()
        .filter(|name| name.starts_with("0f"));
    assert_eq!(fakes.count(), 0);
    assert!(project.log_names().len() >= 3, "logs of real runs stay");
    assert_eq!(living.end(), 0);
}
