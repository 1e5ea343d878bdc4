use std::fs::File;
use std::io::{self, Read};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// How long a wait for the first byte lasts before it is announced.
const NOTICE_AFTER: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// A pipe that was opened without waiting for its writer. The first read waits, and announces a long wait.
#[derive(Debug)]
pub struct Pipe {
    file: File,
    path: Utf8PathBuf,
    has_writer: bool,
}

impl Pipe {
    pub(super) fn new(file: File, path: &Utf8Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            has_writer: false,
        }
    }

    /// Waits until data is available, or a writer has opened and closed the pipe.
    fn wait_for_writer(&mut self) -> io::Result<()> {
        let mut limit = Some(NOTICE_AFTER);
        while !self.has_writer {
            // Before the first writer an end of file is not the end of the content.
            match poll(
                &mut [PollFd::new(&self.file, PollFlags::IN)],
                limit.as_ref(),
            ) {
                Ok(0) => {
                    limit = None;
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
