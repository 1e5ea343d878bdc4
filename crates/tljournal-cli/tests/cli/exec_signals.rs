use std::process::Command;

use crate::running::{Running, TLJOURNAL, signal};
use crate::world::Project;

/// Ends with its parent. A shell that begins to read when a signal arrives runs no trap before it has read something;
/// this one runs it after a second at most.
const FOR_EVER: &str = "while kill -0 $PPID; do sleep 1 & wait $!; done";

#[test]
fn signals_that_a_process_sends_are_passed_on_to_the_command() {
    let project = Project::new();
    for name in ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2"] {
        let script = format!("trap 'echo got it; exit 9' {name}; echo ready; {FOR_EVER}");
        for verb in [&["exec"][..], &["exec", "--no-log"]] {
            let mut wrapper = project.start(&[verb, &["--", "sh", "-c", &script]].concat());
            assert_eq!(wrapper.line(), "ready");
            wrapper.signal(name);
            assert_eq!(wrapper.line(), "got it", "{name}");
            assert_eq!(wrapper.ended(), 9, "{name}");
        }
    }
    let mut wrapper = project.start(&["exec", "--", "sh", "-c", "echo ready; read x"]);
    assert_eq!(wrapper.line(), "ready");
    wrapper.signal("TERM");
    assert_eq!(wrapper.ended(), 143, "as a command that does not handle it");
}

#[test]
fn a_signal_that_was_ignored_from_the_beginning_stays_ignored() {
    let project = Project::new();
    let script =
        format!("trap '' HUP; exec {TLJOURNAL} exec -- sh -c 'echo ready; read x; exit 6'");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(project.path());
    let mut wrapper = Running::start(&mut command);
    assert_eq!(wrapper.line(), "ready");
    wrapper.signal("HUP");
    wrapper.tell("x\n");
    assert_eq!(wrapper.end(), 6);
}

/// Starts a script by way of the command on a terminal of its own.
fn on_terminal(project: &Project, options: &str, script: &str) -> Running {
    let script = project.script("counts", script);
    let typed = format!("exec {TLJOURNAL} exec {options} -- sh {script}");
    let mut command = Command::new("script");
    let args = [
        "--quiet",
        "--return",
        "--echo",
        "never",
        "--command",
        &typed,
        "/dev/null",
    ];
    command.args(args).current_dir(project.path());
    Running::start(&mut command)
}

/// Counts interrupts, reports its parent, and ends on the other signal. An interrupt of a terminal would otherwise
/// discard pending output.
const COUNT: &str = "trap 'n=$((n+1)); echo int $n' INT; trap 'echo count $n; exit 8' USR1
trap 'echo seen' USR2
stty noflsh
echo $PPID
while :; do :; done
";

#[test]
fn an_interrupt_of_the_terminal_is_not_sent_twice_and_one_of_a_process_is_sent() {
    let project = Project::new();
    for options in ["", "--log"] {
        let mut terminal = on_terminal(&project, options, COUNT);
        let wrapper: u32 = terminal.line().parse().unwrap();
        terminal.tell("\u{3}");
        assert!(terminal.line().ends_with("int 1"), "{options}");
        // A second interrupt is lost while the first is pending: wait until it was handled.
        signal(wrapper, "USR2");
        assert_eq!(terminal.line(), "seen", "{options}");
        signal(wrapper, "INT");
        assert_eq!(terminal.line(), "int 2", "{options}");
        // Signals sent before have arrived.
        signal(wrapper, "USR1");
        assert_eq!(terminal.line(), "count 2", "{options}");
        assert_eq!(terminal.end(), 8, "{options}");
    }
}

#[test]
fn a_terminal_is_passed_through_and_logged_on_request() {
    let project = Project::new();
    let script = "test -t 1 && echo a terminal || echo a file\n";
    let mut terminal = on_terminal(&project, "", script);
    assert_eq!(terminal.line(), "a terminal");
    assert_eq!(terminal.end(), 0);
    assert_eq!(project.runs()[0].log, None);
    let mut terminal = on_terminal(&project, "--log", script);
    assert_eq!(terminal.line(), "a file");
    assert_eq!(terminal.end(), 0);
    let logs = project.logs(&project.runs()[0]);
    assert_eq!(logs, [(String::new(), "a file\n".to_owned())]);
}
