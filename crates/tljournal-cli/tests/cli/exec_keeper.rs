//! The process that copies a command's output: it outlives the wrapper, and the wrapper outlives it.

use crate::running::{Running, signal};
use crate::world::Project;

/// The keeper of a wrapper.
fn keeper_of(wrapper: &Running) -> u32 {
    let parent = format!("PPid:\t{}", wrapper.pid());
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut pids = processes.filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.parse::<u32>().ok()
    });
    let found = pids.find(|pid| {
        let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
        let is_child = read("status").is_ok_and(|status| status.lines().any(|line| line == parent));
        is_child && read("cmdline").is_ok_and(|words| words.split('\0').any(|word| word == "keep"))
    });
    found.unwrap()
}

#[test]
fn killing_the_wrapper_breaks_no_pipe_of_the_command() {
    let project = Project::new();
    let script = "echo one; read x; echo two && echo three >&2 && touch done";
    let mut wrapper = project.start(&["exec", "--lock", "a", "--", "sh", "-c", script]);
    assert_eq!(wrapper.line(), "one");
    wrapper.kill_it_alone();
    wrapper.tell("go on\n");
    project.ok(&["exec", "--lock", "a", "--wait", "1m", "--", "true"]);
    assert!(project.has("done"));
    // Both outputs are copied to their ends.
    assert_eq!([wrapper.line(), wrapper.line()], ["two", ""]);
    assert_eq!([wrapper.warning(), wrapper.warning()], ["three", ""]);
    let logs = project.logs(&project.runs()[1]);
    let texts: Vec<_> = logs.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["three\n", "one\ntwo\n"]);
}

#[test]
fn g6_the_keeper_holds_no_lock_of_the_command() {
    let project = Project::new();
    project.fifo("gate");
    project.fifo("told");
    // The daemon closes all inherited descriptors except its output: only the keeper could still hold a lock.
    let daemon =
        "(exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; read x < gate; echo late; echo ok > told)";
    let script = format!("{daemon} < /dev/null & echo begun; read x");
    let mut wrapper = project.start(&["exec", "--lock", "a", "--", "sh", "-c", &script]);
    assert_eq!(wrapper.line(), "begun");
    let keeper = keeper_of(&wrapper);
    let held = std::fs::read_dir(format!("/proc/{keeper}/fd")).unwrap();
    for fd in held {
        let to = std::fs::read_link(fd.unwrap().path()).unwrap();
        let to = to.to_str().unwrap();
        assert!(!to.contains("/lock/"), "{to}");
    }
    wrapper.tell("go on\n");
    assert_eq!(wrapper.line(), "");
    std::fs::write(project.at("gate"), "go on\n").unwrap();
    assert_eq!(project.text("told"), "ok\n");
    assert_eq!(wrapper.end(), 0);
}

#[test]
fn a_daemon_continues_to_write_into_the_log() {
    let project = Project::new();
    project.fifo("gate");
    project.fifo("told");
    // This much is written only if the output is read.
    let daemon = "(read x < gate; echo late; head -c 1000000 /dev/zero; echo alive > told) &";
    let script = format!("{daemon} echo mine");
    // This returns only after the outputs are closed by all processes.
    let done = project.ok(&["exec", "--", "sh", "-c", &script]);
    assert_eq!(done.out, "mine\n");
    std::fs::write(project.at("gate"), "go on\n").unwrap();
    assert_eq!(project.text("told"), "alive\n");
    let logs = project.logs(&project.runs()[0]);
    assert!(logs[1].1.starts_with("mine\nlate\n"));
}

#[test]
fn a_killed_keeper_is_reported() {
    let project = Project::new();
    for (code, expected) in [(0, 125), (4, 4)] {
        let script = format!("echo begun; read x; exit {code}");
        let mut wrapper = project.start(&["exec", "--", "sh", "-c", &script]);
        assert_eq!(wrapper.line(), "begun");
        signal(keeper_of(&wrapper), "KILL");
        wrapper.tell("go on\n");
        let said = wrapper.warning();
        assert!(
            said.contains("the keeper of the command's output"),
            "{said}"
        );
        assert_eq!(wrapper.end(), expected);
    }
}

#[test]
fn signals_that_also_reach_the_keeper_lose_no_output() {
    let project = Project::new();
    for name in ["INT", "QUIT", "TERM", "HUP"] {
        // A shell in `wait` misses no signal, unlike one that is about to read.
        let script =
            format!("exec 3<&0; trap 'seq 5000; exit 9' {name}; cat <&3 & echo begun; wait");
        let mut command = project.command(&["exec", "--", "sh", "-c", &script]);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut wrapper = Running::start(&mut command);
        assert_eq!(wrapper.line(), "begun");
        // The keeper receives it before the command writes anything.
        signal(keeper_of(&wrapper), name);
        wrapper.signal(name);
        for n in 1..=5000 {
            assert_eq!(wrapper.line(), n.to_string(), "{name}");
        }
        assert_eq!(wrapper.end(), 9, "{name}");
    }
}
