//! Forwards signals to the command.
//!
//! Signals are caught, not blocked: a caught signal has its default action in the command, whose mask is that of this
//! process's start. A signal that was ignored from the start (`nohup`) stays ignored.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::low_level::emulate_default_handler;

/// The signals that are forwarded.
pub(super) const FORWARDED: [i32; 6] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2];

/// `SI_KERNEL`: sent by a terminal, to the command as well as to this process.
const OF_TERMINAL: i32 = 0x80;

/// Caught signals, which are queued until there is a command. When this is dropped they affect this process again.
pub(super) struct Caught {
    signals: SignalDelivery<UnixStream, WithRawSiginfo>,
    over: Arc<AtomicBool>,
}

/// Catches the signals to forward from now on.
pub(super) fn catch() -> io::Result<Caught> {
    let ignored = ignored();
    let is_ignored = |signal: i32| ignored >> (signal - 1) & 1 == 1;
    let mut wanted: Vec<_> = FORWARDED.to_vec();
    wanted.retain(|signal| !is_ignored(*signal));
    let over = Arc::new(AtomicBool::new(false));
    for signal in &wanted {
        signal_hook::flag::register_conditional_default(*signal, over.clone())?;
    }
    if is_ignored(SIGCHLD) {
        // Otherwise a child could not be waited for.
        wanted.push(SIGCHLD);
    }
    let (read, write) = UnixStream::pair()?;
    let signals = SignalDelivery::with_pipe(read, write, WithRawSiginfo, wanted)?;
    Ok(Caught { signals, over })
}

impl Caught {
    /// Waits for the end of the command, and forwards the queued and new signals until then.
    pub(super) fn wait_for(mut self, child: &mut Child) -> io::Result<ExitStatus> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // The pidfd never refers to another process, because the child has not been waited for yet.
        let opened = pid
            .ok_or(Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        match opened {
            Ok(command) => self.forward(&command)?,
            Err(error) => tracing::warn!(%error, "signals are not passed on to the command"),
        }
        child.wait()
    }

    fn forward(&mut self, command: &OwnedFd) -> io::Result<()> {
        loop {
            for info in self.signals.pending() {
                let of_terminal = info.si_code == OF_TERMINAL;
                let by_terminal = of_terminal && [SIGINT, SIGQUIT].contains(&info.si_signo);
                let signal = Signal::from_named_raw(info.si_signo);
                if let Some(signal) = signal.filter(|_| !by_terminal && info.si_signo != SIGCHLD) {
                    // It may have just ended.
                    let _ = pidfd_send_signal(command, signal);
                }
            }
            let mut fds = [
                PollFd::new(command, PollFlags::IN),
                PollFd::new(self.signals.get_read(), PollFlags::IN),
            ];
            retry_on_intr(|| poll(&mut fds, None))?;
            if !fds[0].revents().is_empty() {
                return Ok(());
            }
        }
    }
}

impl Drop for Caught {
    /// Applies the default action for signals that were not forwarded, and for later ones.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        for info in self.signals.pending() {
            if info.si_signo != SIGCHLD {
                let _ = emulate_default_handler(info.si_signo);
            }
        }
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
