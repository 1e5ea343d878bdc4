use std::fs::File;
use std::io::{self, PipeReader};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionread, retry_on_intr};

use super::message::Losses;
use super::redacted::RedactedLog;

/// The capacity of a pipe.
const CHUNK_BYTES: usize = 64 << 10;

/// One stream of the command.
pub(super) struct Stream {
    from: File,
    log: RedactedLog,
    /// `None` after copying failed, or the command has ended.
    to: Option<File>,
    /// Whether the log continues after the output was closed.
    despite_closed: bool,
    losses: Losses,
    chunk: Vec<u8>,
}

/// Whether more output can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    More,
    Nothing,
}

impl Stream {
    pub(super) fn new(
        from: File,
        log: RedactedLog,
        to: File,
        despite_closed: bool,
    ) -> io::Result<Self> {
        // This description belongs to the keeper alone, so its flags affect no other process.
        fcntl_setfl(&from, fcntl_getfl(&from)? | OFlags::NONBLOCK)?;
        Ok(Self {
            from,
            log,
            to: Some(to),
            despite_closed,
            losses: Losses::default(),
            chunk: vec![0; CHUNK_BYTES],
        })
    }

    /// Copies until all writers have closed the pipe. When the command has ended it reports the losses so far, and
    /// copies the rest to the log only.
    pub(super) fn serve(mut self, ended: &PipeReader, tell: impl FnOnce(Losses)) {
        let mut left = Left::More;
        while left == Left::More && !self.wait(Some(ended)) {
            left = self.pass_on(CHUNK_BYTES);
        }
        // A background process that continues to write does not delay the end.
        let mut there = ioctl_fionread(&self.from).unwrap_or(0) as usize;
        while left == Left::More && there > 0 {
            let some = there.min(CHUNK_BYTES);
            left = self.pass_on(some);
            there -= some;
        }
        self.log.finish();
        tell(Losses {
            log: self.log.failure(),
            ..self.losses
        });
        self.to = None;
        while left == Left::More {
            self.wait(None);
            left = self.pass_on(CHUNK_BYTES);
        }
        self.log.finish();
    }

    /// Waits for input; returns whether the command has ended, if that is waited for too. Meanwhile an incomplete
    /// line is written to the log after a pause.
    fn wait(&mut self, ended: Option<&PipeReader>) -> bool {
        loop {
            let mut fds = vec![PollFd::new(&self.from, PollFlags::IN)];
            fds.extend(ended.map(|ended| PollFd::new(ended, PollFlags::IN)));
            let patience = self.log.patience();
            match retry_on_intr(|| poll(&mut fds, patience)) {
                Ok(0) if patience.is_some() => self.log.pause(),
                Ok(_) => return fds.get(1).is_some_and(|fd| !fd.revents().is_empty()),
                Err(_) => return false,
            }
        }
    }

    /// Copies what is available, up to `most` bytes.
    fn pass_on(&mut self, most: usize) -> Left {
        let count = match retry_on_intr(|| rustix::io::read(&self.from, &mut self.chunk[..most])) {
            Ok(0) => return Left::Nothing,
            Ok(count) => count,
            // Another process has read it.
            Err(Errno::AGAIN) => return Left::More,
            Err(_) => return Left::Nothing,
        };
        let bytes = &self.chunk[..count];
        self.log.append(bytes);
        let Some(to) = &self.to else {
            return Left::More;
        };
        match write(to, bytes) {
            Ok(()) => return Left::More,
            // The command detects a closed output as it would without a keeper: by its own next write.
            Err(Errno::PIPE) if !self.despite_closed => return Left::Nothing,
            Err(Errno::PIPE) => {}
            Err(errno) => self.losses.copy = Some(errno),
        }
        self.to = None;
        Left::More
    }
}

fn write(to: &File, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // The output is non-blocking: wait for it.
            Err(Errno::AGAIN) => {
                let mut room = [PollFd::new(to, PollFlags::OUT)];
                retry_on_intr(|| poll(&mut room, None))?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
