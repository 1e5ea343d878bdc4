//! The keeper: a separate process that copies a command's output to its logs and to the outputs of the wrapper.
//!
//! The command writes to pipes, which can be reopened (`/dev/stderr`) and which report a closed reader. They must not
//! break when the wrapper is killed, so the wrapper does not read them itself. Secrets are hidden in the logs, but not
//! in the copied output. The keeper has neither the locks nor the run of the wrapper. It ends when all writers have
//! closed the pipes.

mod log;
mod message;
mod redacted;
mod start;
mod stream;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tljournal::workers;

pub(super) use message::Losses;
pub(super) use start::{Keeper, Kept};

use log::Log;
use message::READY;
use redacted::RedactedLog;
use stream::Stream;

use super::signals;

/// Keeps the output of a command that another process runs, which sends the descriptors over standard input.
pub(crate) fn run(despite_closed: bool) -> io::Result<()> {
    // A terminal sends signals to all its processes, and the command's last output is still to come.
    for signal in signals::FORWARDED {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut fds = message::receive(&control)?.into_iter().map(File::from);
    let mut streams = Vec::new();
    while let (Some(from), Some(log), Some(to)) = (fds.next(), fds.next(), fds.next()) {
        streams.push(Stream::new(
            from,
            RedactedLog::new(Log::new(log)),
            to,
            despite_closed,
        )?);
    }
    serve(streams, &mut control)
}

/// Serves each stream in a thread, so that an unread one does not block the other. If no thread can be started, it
/// ends before reporting that it is ready.
fn serve(streams: Vec<Stream>, control: &mut UnixStream) -> io::Result<()> {
    let count = streams.len();
    let (ended, end) = io::pipe()?;
    let (give, given) = channel();
    let given = Mutex::new(given);
    let work = || {
        let next = given.lock().unwrap_or_else(PoisonError::into_inner).recv();
        if let Ok((at, stream, tell)) = next {
            let (stream, tell): (Stream, Sender<_>) = (stream, tell);
            stream.serve(&ended, |losses| {
                let _ = tell.send((at, losses));
            });
        }
    };
    // Kept if the wrapper is killed, because then no message announces the end of the command.
    let mut end = Some(end);
    workers::beside(count, work, |threads| {
        if threads < count {
            drop(give);
            return Err(io::Error::from(io::ErrorKind::WouldBlock));
        }
        let (tell, told) = channel();
        for (at, stream) in streams.into_iter().enumerate() {
            let _ = give.send((at, stream, tell.clone()));
        }
        drop(tell);
        control.write_all(&[READY])?;
        // One byte, or the end of the socket after the wrapper was killed.
        if control.read_exact(&mut [0]).is_ok() {
            end = None;
            let mut losses: Vec<(usize, Losses)> = told.iter().take(count).collect();
            losses.sort_by_key(|(at, _)| *at);
            let answer = losses.into_iter().flat_map(|(_, losses)| losses.to_bytes());
            // The wrapper may have been killed meanwhile.
            let _ = control.write_all(&answer.collect::<Vec<u8>>());
        }
        Ok(())
    })?;
    drop(end);
    Ok(())
}
