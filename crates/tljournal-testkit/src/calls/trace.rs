use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};

use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::kernel::visible_call;
use crate::witness::{Moment, When};

/// The end of a process that was to be killed at a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// The call at which it was killed; `None` if it ended before.
    pub call: Option<&'static str>,
    /// Its exit status; `None` if it was killed.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs a program and kills it with SIGKILL at a moment, counted over its visible calls.
///
/// `start` spawns a shell that waits for its tracer before it executes the program.
///
/// # Errors
/// When it cannot be started or, as in some containers, cannot be traced.
pub fn kill_at_call(
    command: &Command,
    moment: Moment,
    start: impl FnOnce(&mut Command) -> io::Result<Child> + Send,
) -> io::Result<Traced> {
    let mut waiting = Command::new("sh");
    waiting.args(["-c", "read -r go && exec \"$0\" \"$@\" </dev/null"]);
    waiting.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => waiting.env(name, value),
            None => waiting.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        waiting.current_dir(dir);
    }
    waiting.stdin(Stdio::piped());
    waiting.stdout(Stdio::piped()).stderr(Stdio::piped());
    // The kernel identifies tracers by thread: this thread has no other children.
    std::thread::scope(|scope| {
        let traced = scope.spawn(|| trace(start(&mut waiting)?, moment));
        traced
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The state of the traced process.
#[derive(Debug)]
struct Trace {
    leader: Pid,
    moment: Moment,
    /// Whether it has executed the program, so that it is no longer the shell.
    begun: bool,
    calls_begun: u64,
    calls_ended: u64,
    /// The threads that are in a call, with its name if it is visible.
    within: BTreeMap<Pid, Option<&'static str>>,
    killed_at: Option<&'static str>,
}

fn trace(mut child: Child, moment: Moment) -> io::Result<Traced> {
    let leader = Pid::from_raw(child.id() as i32);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    let seized = ptrace::seize(leader, options).and_then(|()| ptrace::interrupt(leader));
    if let Err(errno) = seized {
        child.kill()?;
        child.wait()?;
        return Err(errno.into());
    }
    if let Some(mut input) = child.stdin.take() {
        input.write_all(b"go\n")?;
    }
    let mut trace = Trace {
        leader,
        moment,
        begun: false,
        calls_begun: 0,
        calls_ended: 0,
        within: BTreeMap::new(),
        killed_at: None,
    };
    let code = trace.run()?;
    let (mut out, mut err) = (String::new(), String::new());
    if let Some(mut from) = child.stdout.take() {
        from.read_to_string(&mut out)?;
    }
    if let Some(mut from) = child.stderr.take() {
        from.read_to_string(&mut err)?;
    }
    let call = trace.killed_at;
    Ok(Traced {
        call,
        code,
        out,
        err,
    })
}

impl Trace {
    /// Continues from stop to stop until the process has ended; returns its exit status, if it has one.
    fn run(&mut self) -> io::Result<Option<i32>> {
        let only_mine = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let (thread, signal) = match waitpid(None, Some(only_mine))? {
                WaitStatus::Exited(pid, code) if pid == self.leader => return Ok(Some(code)),
                WaitStatus::Signaled(pid, ..) if pid == self.leader => return Ok(None),
                WaitStatus::PtraceSyscall(thread) => {
                    self.at_call(thread)?;
                    (thread, None)
                }
                WaitStatus::PtraceEvent(thread, _, event) => {
                    self.begun |= event == Event::PTRACE_EVENT_EXEC as i32;
                    (thread, None)
                }
                WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
                _ => continue,
            };
            match ptrace::syscall(thread, signal) {
                // It was killed meanwhile; the next wait reports that.
                Err(nix::Error::ESRCH) => {}
                resumed => resumed?,
            }
        }
    }

    /// A thread is at the start or the end of a call.
    fn at_call(&mut self, thread: Pid) -> io::Result<()> {
        let (when, call, count) = match self.within.remove(&thread) {
            None => {
                let call = visible_call(thread)?.filter(|_| self.begun);
                self.within.insert(thread, call);
                (When::Before, call, &mut self.calls_begun)
            }
            Some(call) => (When::After, call, &mut self.calls_ended),
        };
        let Some(call) = call else { return Ok(()) };
        *count += 1;
        let now = Moment { when, call: *count };
        if now == self.moment && self.killed_at.is_none() {
            self.killed_at = Some(call);
            kill(self.leader, Signal::SIGKILL)?;
        }
        Ok(())
    }
}
