use std::fs::File;
use std::io::{self, PipeReader};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionread, retry_on_intr};

use super::message::Losses;
use super::redacted::RedactedLog;

/// As much as a pipe has room for.
const CHUNK_BYTES: usize = 64 << 10;

/// One stream of the command, on its way.
pub(super) struct Stream {
    from: File,
    log: RedactedLog,
    /// Nothing once copying has failed, or the command has ended.
    to: Option<File>,
    /// Whether the log goes on when nobody reads the output any more.
    despite_closed: bool,
    losses: Losses,
    chunk: Vec<u8>,
}

/// Whether there can be more.
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
        // This description is the keeper's own: nobody else notices.
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

    /// Copies until nobody can write any more. When the command has ended it tells, after all that came
    /// until then, and copies the rest to the log only.
    pub(super) fn serve(mut self, ended: &PipeReader, tell: impl FnOnce(Losses)) {
        let mut left = Left::More;
        while left == Left::More && !self.wait(Some(ended)) {
            left = self.pass_on(CHUNK_BYTES);
        }
        // Somebody who stayed behind and goes on to write does not put off the end.
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

    /// Returns when there is something; says whether that is the end of the command, if that is waited for too.
    /// Meanwhile the beginning of a line is written to the log if its end takes long.
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

    /// Passes on what is there, at most so much.
    fn pass_on(&mut self, most: usize) -> Left {
        let count = match retry_on_intr(|| rustix::io::read(&self.from, &mut self.chunk[..most])) {
            Ok(0) => return Left::Nothing,
            Ok(count) => count,
            // Somebody else has read it.
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
            // The command is to find out as it would without a keeper: by its own next write.
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
            // Somebody has made it so that it does not wait; this waits.
            Err(Errno::AGAIN) => {
                let mut room = [PollFd::new(to, PollFlags::OUT)];
                retry_on_intr(|| poll(&mut room, None))?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
