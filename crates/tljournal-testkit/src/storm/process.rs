use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

/// A message from a process of the storm.
#[derive(Debug)]
pub(super) struct News {
    /// The slot and generation.
    pub(super) from: (usize, u64),
    /// A line; `None` at the end of the output.
    pub(super) line: Option<String>,
}

/// One running process.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) generation: u64,
    /// When it is to be killed, if at all.
    pub(super) dies: Option<Instant>,
    /// When it is to be stopped, or continued if it is stopped.
    pub(super) turns: Option<Instant>,
    pub(super) stopped: bool,
    /// The time of its last report, or when it was continued.
    pub(super) heard: Instant,
    errors: JoinHandle<String>,
}

/// How much of a process's standard error is kept.
const COMPLAINT_BYTES_MAX: u64 = 4096;

impl Process {
    pub(super) fn start(
        mut command: Command,
        from: (usize, u64),
        (dies, turns): (Option<Instant>, Option<Instant>),
        news: &Sender<News>,
    ) -> io::Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(out) = child.stdout.take() {
            let news = news.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    let line = Some(line);
                    if news.send(News { from, line }).is_err() {
                        return;
                    }
                }
                let _ = news.send(News { from, line: None });
            });
        }
        let complaints = child.stderr.take();
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut complaints) = complaints {
                let _ = (&mut complaints)
                    .take(COMPLAINT_BYTES_MAX)
                    .read_to_end(&mut text);
                let _ = io::copy(&mut complaints, &mut io::sink());
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let generation = from.1;
        Ok(Self {
            child,
            generation,
            dies,
            turns,
            stopped: false,
            heard: Instant::now(),
            errors,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops or continues it.
    pub(super) fn set_stopped(&mut self, stopped: bool) {
        let signal = if stopped { Signal::STOP } else { Signal::CONT };
        // It may have ended already; until it is waited for it exists as a zombie.
        let _ = kill_process(Pid::from_child(&self.child), signal);
        self.stopped = stopped;
        self.heard = Instant::now();
    }

    pub(super) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
    }

    /// Waits for its end; returns its status and its standard error.
    pub(super) fn end(mut self) -> (io::Result<ExitStatus>, String) {
        let status = self.child.wait();
        (status, self.errors.join().unwrap_or_default())
    }
}
