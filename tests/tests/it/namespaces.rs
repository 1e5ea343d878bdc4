//! Processes in different pid namespaces that share a directory: containers with a common build directory.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use tljournal_testkit::{World, check_at_rest};
use tljournal_tests::start;

use crate::ACTOR;

/// Runs a process as the first one of its own pid namespace, which ends with it.
const UNSHARE: [&str; 5] = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// A process that has staged a file.
struct Lingering {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Its pid in its own namespace.
    pid: u32,
    /// What it found when it opened the journal.
    rolled_back: u32,
    dead_runs: u32,
}

impl Lingering {
    fn start(world: &World, path: &str) -> Self {
        let mut command = Command::new(UNSHARE[0]);
        command.args(&UNSHARE[1..]);
        command.args([ACTOR, "linger", world.root().as_str(), path]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = start(&mut command);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let told: Vec<u32> = line
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        let [pid, rolled_back, dead_runs] = told[..] else {
            panic!("it said {line:?}");
        };
        Self {
            child,
            out,
            pid,
            rolled_back,
            dead_runs,
        }
    }

    /// Lets it commit.
    fn go_on(mut self) {
        self.child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills it, and waits until all its processes have ended.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Its output ends with its last process.
        let mut rest = String::new();
        while self.out.read_line(&mut rest).unwrap() > 0 {}
    }
}

#[test]
fn g6_processes_in_other_pid_namespaces_are_distinguished() {
    let mut tried = Command::new(UNSHARE[0]);
    tried.args(&UNSHARE[1..]).arg("true");
    if !tried.output().is_ok_and(|tried| tried.status.success()) {
        println!("skipped: there are no pid namespaces here");
        return;
    }
    let world = World::new();
    world.open().close().unwrap();
    let one = Lingering::start(&world, "build/one");
    let two = Lingering::start(&world, "build/two");
    assert_eq!((one.pid, two.pid), (1, 1), "their pids are not equal");
    assert_eq!((two.rolled_back, two.dead_runs), (0, 0), "one was alive");
    // Its own pid equals that of the killed process and that of the running one.
    one.kill();
    let three = Lingering::start(&world, "build/three");
    assert_eq!(three.pid, 1);
    assert_eq!((three.rolled_back, three.dead_runs), (1, 1), "one was dead");
    two.go_on();
    three.go_on();
    assert!(!world.exists("build/one"));
    assert_eq!(
        world.read("build/two") + &world.read("build/three"),
        "contentcontent"
    );
    let wrong = check_at_rest(&world);
    assert!(wrong.is_empty(), "{wrong:?}");
}
