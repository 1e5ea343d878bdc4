use std::io::Read;

use crate::running::Running;
use crate::world::{Project, done};

const BOTH: &str = "for n in $(seq 500); do echo out $n; echo err $n >&2; done";

fn expected(word: &str) -> String {
    (1..=500).map(|n| format!("{word} {n}\n")).collect()
}

#[test]
fn output_goes_to_a_log_and_on_to_who_started_it() {
    let project = Project::new();
    let done = project.ok(&["exec", "--", "sh", "-c", BOTH]);
    assert_eq!((done.out, done.err), (expected("out"), expected("err")));
    let run = &project.runs()[0];
    let log = |suffix: &str, word| (suffix.to_owned(), expected(word));
    assert_eq!(project.logs(run), [log(".err", "err"), log(".out", "out")]);
    assert_eq!(run.log, Some(format!(".state/log/{}", run.id)));
}

#[test]
fn two_outputs_that_are_one_have_one_log_in_order() {
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
fn without_a_log_the_command_has_the_outputs_themselves() {
    let project = Project::new();
    let args = ["exec", "--no-log", "--", "readlink", "/proc/self/fd/1"];
    assert!(project.ok(&args).out.starts_with("pipe:"));
    let run = &project.runs()[0];
    assert_eq!((&run.log, run.outcome.as_deref()), (&None, Some("ok")));
    assert!(!project.has("build/.state/log"));
}

/// A command that has written more than a pipe holds, and has ended, while nobody reads its output.
fn unread(project: &Project, bytes: usize) -> Running {
    let script = format!("echo begun; read x; head -c {bytes} /dev/zero | tr '\\0' x");
    let mut running = project.start(&["exec", "--lock", "a", "--", "sh", "-c", &script]);
    assert_eq!(running.line(), "begun");
    running.tell("go on\n");
    // The lock goes with the command, and not when its output has been read.
    project.ok(&["exec", "--lock", "a", "--wait", "1m", "--", "true"]);
    running
}

#[test]
fn much_output_comes_whole_and_what_is_not_read_yet_holds_no_lock() {
    const BYTES: usize = 8 << 20;
    let project = Project::new();
    let mut running = unread(&project, BYTES);
    assert_eq!(running.line(), "x".repeat(BYTES));
    assert_eq!(running.end(), 0);
}

#[test]
fn a_signal_ends_who_only_waits_for_its_output_to_be_read() {
    let project = Project::new();
    let running = unread(&project, 8 << 20);
    running.signal("TERM");
    assert_eq!(running.ended(), 1015);
}

#[test]
fn a_reader_that_goes_away_does_not_disturb_the_command() {
    let project = Project::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let script = format!("{BOTH}; exit 5");
    let mut command = project.command(&["exec", "--", "sh", "-c", &script]);
    let done = done(command.stdout(writer).output().unwrap());
    assert_eq!((done.code, done.err), (5, expected("err")));
    assert_eq!(project.logs(&project.runs()[0])[1].1, expected("out"));
}

#[test]
fn killing_the_wrapper_breaks_no_pipe_of_the_command() {
    let project = Project::new();
    let script = "echo one; read x; echo two && echo three >&2 && touch done";
    let mut wrapper = project.start(&["exec", "--lock", "a", "--", "sh", "-c", script]);
    assert_eq!(wrapper.line(), "one");
    drop(wrapper.kill());
    project.ok(&["exec", "--lock", "a", "--wait", "1m", "--", "true"]);
    assert!(project.has("done"));
    let logs = project.logs(&project.runs()[1]);
    let texts: Vec<_> = logs.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["three\n", "one\ntwo\n"]);
}

#[test]
fn the_wrapper_ends_although_a_daemon_goes_on_to_write() {
    let project = Project::new();
    project.fifo("gate");
    // It writes until the gate is opened, more than anybody could read to the end.
    let daemon = "sh -c 'while ! read x < gate; do :; done & while kill -0 $!; do echo noise; done' & \
                  echo mine; exit 3";
    let done = project.run(&["exec", "--", "sh", "-c", daemon]);
    std::fs::write(project.at("gate"), "open\n").unwrap();
    assert_eq!(done.code, 3);
    assert!(done.out.contains("mine\n"));
}

/// A shell opens `/dev/stderr` anew, and thereby cuts the log short.
#[test]
fn output_that_is_cut_short_is_followed_on() {
    let project = Project::new();
    let script = "echo a long line before; echo short > /dev/stdout; echo more";
    let done = project.ok(&["exec", "--", "sh", "-c", script]);
    assert!(done.out.ends_with("short\nmore\n"), "{done:?}");
}

#[test]
fn logs_of_runs_that_ended_are_thinned_and_others_are_not() {
    let project = Project::new();
    let living = project.holding(&[]);
    let living_run = project.runs()[0].id.to_string();
    // Ids are ordered by time; these are all later than that of the run that lives.
    let fake = |n: u32| format!("{:08x}-0000-7000-8000-{n:012x}", 0x0f00_0000 + n);
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
    // The latest stays however long it is; with it nothing else fits.
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
    assert_eq!(fakes.count(), 2);
    assert_eq!(living.end(), 0);
}
