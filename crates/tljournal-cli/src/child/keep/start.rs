//! The wrapper's side of the keeper.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use super::message::{self, ENDED, Losses};
use crate::child::OWN_PROGRAM;

/// One stream of the command.
pub(in crate::child) struct Kept<'a> {
    /// The pipe that it is read from.
    pub(in crate::child) from: PipeReader,
    pub(in crate::child) log: File,
    /// The output that it is copied to.
    pub(in crate::child) to: BorrowedFd<'a>,
}

/// The process that keeps the output.
pub(in crate::child) struct Keeper {
    control: UnixStream,
    streams: usize,
}

impl Keeper {
    /// Starts the keeper, and returns when signals no longer end it.
    pub(in crate::child) fn start(streams: &[Kept<'_>], despite_closed: bool) -> io::Result<Self> {
        let (mut control, other) = UnixStream::pair()?;
        let mut command = Command::new(OWN_PROGRAM);
        command.arg("keep");
        if despite_closed {
            command.arg("--despite-closed");
        }
        command.stdin(OwnedFd::from(other));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // It is reaped by the process that adopts it.
        drop(command.spawn()?);
        // Only the keeper holds its end of the socket, so that its end is noticed.
        drop(command);
        let fds: Vec<_> = streams
            .iter()
            .flat_map(|kept| [kept.from.as_fd(), kept.log.as_fd(), kept.to])
            .collect();
        message::send(&control, &fds)?;
        control.read_exact(&mut [0])?;
        let streams = streams.len();
        Ok(Self { control, streams })
    }

    /// Announces the end of the command, and returns when all its output has been copied. Output that other processes
    /// write afterwards goes to the logs only.
    pub(in crate::child) fn finish(mut self) -> io::Result<Vec<Losses>> {
        self.control.write_all(&[ENDED])?;
        let mut losses = Vec::new();
        for _ in 0..self.streams {
            let mut answer = [0; Losses::BYTES];
            self.control.read_exact(&mut answer)?;
            losses.push(Losses::from_bytes(answer));
        }
        Ok(losses)
    }
}
