use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// How long a wait for the first byte lasts before it is announced.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// A pipe that was opened without waiting for its writer. The first read waits, and announces a long wait.
#[derive(Debug)]
pub struct Pipe {
    file: File,
    path: Utf8PathBuf,
    has_writer: bool,
    /// The limit of the wait for its writer.
    limit: Option<Duration>,
}

impl Pipe {
    pub(super) fn new(file: File, path: &Utf8Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            has_writer: false,
            limit: None,
        }
    }

    /// Limits the wait for its writer.
    #[must_use]
    pub fn waits_at_most(self, limit: Option<Duration>) -> Self {
        Self { limit, ..self }
    }

    /// Waits until data is available, or a writer has opened and closed the pipe.
    fn wait_for_writer(&mut self) -> io::Result<()> {
        let (begun, mut is_announced) = (Instant::now(), false);
        while !self.has_writer {
            let left = self
                .limit
                .map(|limit| limit.saturating_sub(begun.elapsed()));
            let until_notice =
                (!is_announced).then(|| NOTICE_AFTER.saturating_sub(begun.elapsed()));
            let timeout = [left, until_notice].into_iter().flatten().min();
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            // Before the first writer an end of file is not the end of the content.
            let polled = poll(
                &mut [PollFd::new(&self.file, PollFlags::IN)],
                timeout.as_ref(),
            );
            match polled {
                Ok(0) if self.limit.is_some_and(|limit| begun.elapsed() >= limit) => {
                    let why = "no writer has opened the pipe";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
                Ok(0) => {
                    is_announced = true;
                    tracing::warn!(
                        "waiting for a writer of the pipe `{}`",
                        self.path.as_str().escape_debug()
                    );
                }
                Ok(_) => self.has_writer = true,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        // From now on a read blocks.
        Ok(rustix::fs::fcntl_setfl(&self.file, OFlags::empty())?)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.has_writer {
            self.wait_for_writer()?;
        }
        self.file.read(buffer)
    }
}
