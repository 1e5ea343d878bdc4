//! Commands that run concurrently with the test. Their output and input are the only synchronization.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use tljournal::{Journal, RunRecord};

use crate::world::{Done, Project};

/// A process that was started. It is killed if the test fails first.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            out: BufReader::new(child.stdout.take().unwrap()),
            err: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line of its standard error.
    pub(crate) fn warning(&mut self) -> String {
        let mut line = String::new();
        self.err.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn tell(&mut self, text: &str) {
        self.input().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn input(&mut self) -> &mut ChildStdin {
        self.input.as_mut().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills only this process; its children can still be controlled and read.
    pub(crate) fn kill_it_alone(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills only this process. Returns its input, which its children still read.
    pub(crate) fn kill(mut self) -> ChildStdin {
        self.kill_it_alone();
        self.input.take().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Ends its input and waits for it: its code, or 1000 plus the signal that ended it.
    pub(crate) fn end(mut self) -> i32 {
        drop(self.input.take());
        self.ended()
    }

    /// Waits for its end, and returns its output.
    pub(crate) fn done(mut self) -> Done {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.err.read_to_string(&mut err).unwrap();
        let code = self.end_unread();
        Done { code, out, err }
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> i32 {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        self.end_unread()
    }

    /// Waits for its end without reading its output.
    pub(crate) fn end_unread(mut self) -> i32 {
        let status = self.child.wait().unwrap();
        status
            .code()
            .unwrap_or_else(|| 1000 + status.signal().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal from another process.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

impl Project {
    /// Starts the command.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(&mut self.command(args))
    }

    /// Starts a command that holds a lock, reports that, and ends with its input.
    pub(crate) fn holding(&self, args: &[&str]) -> Running {
        let held = ["--", "sh", "-c", "echo held; read x; exit 0"];
        let mut running = self.start(&[&["exec"], args, &held].concat());
        assert_eq!(running.line(), "held");
        running
    }

    /// Creates an executable script in the project.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        self.write(name, text);
        self.at(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn fifo(&self, name: &str) {
        let made = Command::new("mkfifo").arg(self.at(name)).status().unwrap();
        assert!(made.success());
    }

    /// The runs with rows, latest first.
    pub(crate) fn runs(&self) -> Vec<RunRecord> {
        let found = Journal::options(self.path().to_str().unwrap()).inspect();
        found
            .unwrap()
            .history()
            .runs(&tljournal::RunFilter::default())
            .unwrap()
    }

    /// Recovers until no other run is running: a child of a killed process may end after it.
    pub(crate) fn until_all_have_ended(&self) {
        let begun = std::time::Instant::now();
        loop {
            self.ok(&["recover"]);
            if self.runs().iter().all(|run| run.ended_at.is_some()) {
                return;
            }
            assert!(begun.elapsed().as_secs() < 30, "{:?}", self.runs());
        }
    }

    /// The content of the logs of a run by name: all files that begin with its id.
    pub(crate) fn logs(&self, run: &RunRecord) -> Vec<(String, String)> {
        let id = run.id.to_string();
        let mut logs: Vec<_> = self
            .log_names()
            .into_iter()
            .filter_map(|name| {
                let suffix = name.strip_prefix(&id)?.to_owned();
                Some((suffix, self.text(&format!("build/.state/log/{name}"))))
            })
            .collect();
        logs.sort();
        logs
    }

    pub(crate) fn log_names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.at("build/.state/log")).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

/// This program, for scripts.
pub(crate) const TLJOURNAL: &str = env!("CARGO_BIN_EXE_tljournal");
