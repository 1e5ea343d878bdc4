//! Signals that are meant for the command.
//!
//! They are caught, not blocked: what is caught is back at its default in the command, whose mask is the
//! one that this process was started with. What was ignored from the beginning (`nohup`) stays so.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;

/// The signals that are for the command.
pub(super) const FORWARDED: [i32; 6] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2];

/// `SI_KERNEL`: a terminal has sent it, to the command as well as to this process.
const OF_TERMINAL: i32 = 0x80;

/// Signals are caught, and wait until there is a command.
pub(super) struct Caught {
    command: Sender<OwnedFd>,
    ended: Arc<AtomicBool>,
}

/// Signals go on to the command, until it has ended.
pub(super) struct Forwarding(Arc<AtomicBool>);

/// Catches what is meant for the command from now on.
pub(super) fn catch() -> io::Result<Caught> {
    let ignored = ignored();
    let is_ignored = |signal: i32| ignored >> (signal - 1) & 1 == 1;
    let mut wanted: Vec<_> = FORWARDED.to_vec();
    wanted.retain(|signal| !is_ignored(*signal));
    if is_ignored(SIGCHLD) {
        // Nobody could wait for a child otherwise.
        wanted.push(SIGCHLD);
    }
    let signals = SignalsInfo::new(wanted)?;
    let (sender, receiver) = channel();
    let ended = Arc::new(AtomicBool::new(false));
    std::thread::Builder::new()
        .name("tljournal-signals".to_owned())
        .spawn({
            let ended = ended.clone();
            move || forward(signals, receiver.recv().ok(), &ended)
        })?;
    Ok(Caught {
        command: sender,
        ended,
    })
}

/// Sends each signal on to the command. Where there is none, any more or at all, it is for this process,
/// and does what it does by default.
fn forward(mut signals: SignalsInfo<WithRawSiginfo>, command: Option<OwnedFd>, ended: &AtomicBool) {
    for info in signals.forever() {
        let signal = info.si_signo;
        if signal == SIGCHLD {
            continue;
        }
        let Some(command) = command.as_ref().filter(|_| !ended.load(Ordering::Acquire)) else {
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            continue;
        };
        let by_terminal = info.si_code == OF_TERMINAL && [SIGINT, SIGQUIT].contains(&signal);
        if let Some(signal) = Signal::from_named_raw(signal).filter(|_| !by_terminal) {
            // It may have ended at this moment.
            let _ = pidfd_send_signal(command, signal);
        }
    }
}

impl Caught {
    /// Sends on what has come and what will.
    pub(super) fn forward_to(self, child: &Child) -> Forwarding {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // The handle never names another process, and the child is not waited for yet.
        let opened = pid
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match opened {
            // Who is to hear of it never ends before this.
            Ok(command) => drop(self.command.send(command)),
            Err(error) => tracing::warn!(%error, "signals are not passed on to the command"),
        }
        Forwarding(self.ended)
    }
}

impl Forwarding {
    /// From now on a signal is for this process.
    pub(super) fn command_ended(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The signals that this process was started to ignore, one bit each.
fn ignored() -> u64 {
    let status = crate::files::own_status();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or(0)
}
