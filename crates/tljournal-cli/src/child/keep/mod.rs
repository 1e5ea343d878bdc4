//! The keeper: a process of its own that a command's output goes through, into its logs and on to the
//! outputs of the wrapper.
//!
//! The command writes to pipes, which can be opened again (`/dev/stderr`) and which tell it when nobody
//! reads any more. They must not break when the wrapper is killed, so that it is not the wrapper who reads
//! them. What looks like a secret is hidden in the logs, and in them only. The keeper has nothing else of the wrapper: neither its locks nor its run. It ends when nobody can
//! write to the pipes any more.

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

/// Keeps the output of a command that another process runs, which says at standard input what to keep.
pub(crate) fn run(despite_closed: bool) -> io::Result<()> {
    // A terminal sends them to everybody, and the command's last output is still to come.
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

/// Serves each stream in a thread, so that one that is not read does not hold up the other. Where there is no
/// room for them it ends before it has said that it is ready.
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
    // If the wrapper is killed this is kept: nobody says then when the command has ended.
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
        // One byte, or the end because the wrapper has been killed.
        if control.read_exact(&mut [0]).is_ok() {
            end = None;
            let mut losses: Vec<(usize, Losses)> = told.iter().take(count).collect();
            losses.sort_by_key(|(at, _)| *at);
            let answer = losses.into_iter().flat_map(|(_, losses)| losses.to_bytes());
            // Whoever asked may have been killed meanwhile.
            let _ = control.write_all(&answer.collect::<Vec<u8>>());
        }
        Ok(())
    })?;
    drop(end);
    Ok(())
}
