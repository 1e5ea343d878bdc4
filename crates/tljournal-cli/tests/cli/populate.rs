use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use tljournal::{Journal, TxnFilter, TxnState};

use crate::world::{Project, command_in, done, untouchable};

const PLACE: &str = "build/cache/one";

/// A population by a shell script.
fn args<'a>(options: &[&'a str], script: &'a str) -> Vec<&'a str> {
    let populate = ["populate", PLACE, "--key", "k"];
    [&populate, options, &["--", "sh", "-c", script]].concat()
}

/// A script that fills the stage, and appends a line to a counter file.
const FILL: &str = "echo filled >> count && echo content > $TLJOURNAL_STAGE/file";

fn start(project: &Project, script: &str) -> Child {
    let mut command = command_in(project.path(), &args(&[], script));
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().unwrap()
}

fn fifo(project: &Project, name: &str) {
    let made = Command::new("mkfifo").arg(project.at(name)).status();
    assert!(made.unwrap().success());
}

fn filled(project: &Project) -> usize {
    project.text("count").lines().count()
}

#[test]
fn g4_a_command_fills_a_tree_once() {
    let project = Project::new();
    let first = project.ok(&args(&[], FILL));
    assert!(first.out.contains("populate build/cache/one"), "{first:?}");
    assert_eq!(project.text("build/cache/one/file"), "content\n");
    let before = untouchable(&project.at("build"));
    let again = project.ok(&args(&[], FILL));
    assert_eq!(again.out, "unchanged build/cache/one\n");
    let again = [&["--json"], &args(&[], FILL)[..]].concat();
    assert_eq!(project.ok(&again).json()["changed"], false);
    assert_eq!(untouchable(&project.at("build")), before);
    assert_eq!(filled(&project), 1);
    let other = ["populate", PLACE, "--key", "l", "--", "sh", "-c", FILL];
    project.ok(&other);
    assert_eq!(filled(&project), 2);
}

#[test]
fn a_command_that_fails_changes_nothing_and_its_code_is_passed_on() {
    let project = Project::new();
    project.ok(&args(&[], FILL));
    for (script, code) in [("exit 3", 3), ("kill -9 $$", 137), ("exit 124", 124)] {
        let script = format!("echo half > $TLJOURNAL_STAGE/half; {script}");
        let populate = ["populate", PLACE, "--key", "l", "--", "sh", "-c", &script];
        let failed = project.run(&populate);
        assert_eq!(failed.code, code, "{failed:?}");
        assert_eq!(project.text("build/cache/one/file"), "content\n");
        assert!(!project.has("build/cache/one/half"));
    }
    let run = |command: &[&str]| {
        let populate = ["populate", PLACE, "--key", "l", "--"];
        project.run(&[&populate[..], command].concat()).code
    };
    assert_eq!(run(&["./missing"]), 127);
    project.write("not-a-program", "");
    assert_eq!(run(&["./not-a-program"]), 126);
    assert_eq!(run(&["sh", "-c", "mkfifo $TLJOURNAL_STAGE/fifo"]), 125);
    assert_eq!(
        project
            .run(&["populate", "../x", "--key", "l", "--", "true"])
            .code,
        125
    );
    assert_eq!(
        fs::read_dir(project.at("build/.state/txn"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn of_16_processes_that_populate_one_key_one_runs_its_command() {
    let project = Project::new();
    let started: Vec<_> = (0..16).map(|_| start(&project, FILL)).collect();
    let mut changed = 0;
    for child in started {
        let ended = done(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
        changed += usize::from(ended.out.starts_with("populate"));
    }
    assert_eq!((changed, filled(&project)), (1, 1));
}

#[test]
fn g6_when_the_populating_process_is_killed_the_next_one_starts() {
    let project = Project::new();
    fifo(&project, "begun");
    fifo(&project, "hold");
    let script = "echo half > $TLJOURNAL_STAGE/half; echo > begun; cat hold";
    let mut first = start(&project, script);
    // Returns when the first command has started.
    fs::read(project.at("begun")).unwrap();
    let waiting = start(&project, FILL);
    first.kill().unwrap();
    first.wait().unwrap();
    let next = done(waiting.wait_with_output().unwrap());
    assert_eq!(next.code, 0, "{next:?}");
    let names = fs::read_dir(project.at(PLACE)).unwrap();
    assert_eq!(names.count(), 1);
    assert_eq!(filled(&project), 1);
    // The first one's child still waits; it ends with the fifo.
    fs::File::options()
        .write(true)
        .open(project.at("hold"))
        .unwrap()
        .flush()
        .unwrap();
    project.until_all_have_ended();
    // What it had staged is retained for inspection; nothing else remains.
    let kept = TxnFilter {
        kept: true,
        ..TxnFilter::default()
    };
    let inspection = Journal::options(project.path().to_str().unwrap()).inspect();
    let kept = inspection.unwrap().history().transactions(&kept).unwrap();
    assert_eq!((kept.len(), kept[0].state), (1, TxnState::Aborted));
    let left = fs::read_dir(project.at("build/.state/txn")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [kept[0].id.to_string().as_str()]);
}
