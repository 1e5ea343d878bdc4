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
    /// Where it is read.
    pub(in crate::child) from: PipeReader,
    pub(in crate::child) log: File,
    /// What it is copied to.
    pub(in crate::child) to: BorrowedFd<'a>,
}

/// The process that keeps the output.
pub(in crate::child) struct Keeper {
    control: UnixStream,
    streams: usize,
}

impl Keeper {
    /// Starts it, and returns when no signal can end it any more.
    pub(in crate::child) fn start(streams: &[Kept<'_>], despite_closed: bool) -> io::Result<Self> {
        let (mut control, other) = UnixStream::pair()?;
        let mut command = Command::new(OWN_PROGRAM);
        command.arg("keep");
        if despite_closed {
            command.arg("--despite-closed");
        }
        command.stdin(OwnedFd::from(other));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // It is waited for by whoever adopts it.
        drop(command.spawn()?);
        // Its end of the socket is its own: that it ends is heard.
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

    /// Says that the command has ended, and returns when all that it wrote has been copied. What others
    /// write from now on goes to the logs only.
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
