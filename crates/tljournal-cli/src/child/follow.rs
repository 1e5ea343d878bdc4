use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::route::Output;

const CHUNK_BYTES: usize = 64 << 10;

/// Tells when a file is written to.
pub(super) struct Watched(OwnedFd);

/// Copies a file to an output of this process while somebody writes it.
pub(super) struct Follower {
    /// Closed when nobody writes any more.
    end: PipeWriter,
    thread: JoinHandle<()>,
}

impl Watched {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(inotify::init(
            CreateFlags::CLOEXEC | CreateFlags::NONBLOCK,
        )?))
    }

    fn watch(&self, file: &File) -> io::Result<()> {
        // The file that is held, whatever has its name.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        inotify::add_watch(&self.0, path, WatchFlags::MODIFY)?;
        Ok(())
    }

    /// Forgets what has been told until now.
    fn forget(&self) {
        let mut space = [MaybeUninit::uninit(); 1024];
        let mut told = inotify::Reader::new(&self.0, &mut space);
        while told
            .next()
            .is_ok_and(|event| !event.events().contains(ReadFlags::IGNORED))
        {}
    }
}

impl Follower {
    /// Begins to copy; what was written before counts too.
    pub(super) fn start(watched: Watched, file: File, to: Output) -> io::Result<Self> {
        watched.watch(&file)?;
        let (ended, end) = io::pipe()?;
        let follow = move || {
            let copied = Copy {
                file,
                to,
                watched,
                ended,
                at: 0,
                until: None,
            }
            .run();
            match copied {
                // Whoever read it has gone away, and the command does not need to know.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => tracing::warn!("the command's output is only in its log: {error}"),
                Ok(()) => {}
            }
        };
        let thread = std::thread::Builder::new()
            .name("tljournal-follow".to_owned())
            .spawn(follow)?;
        Ok(Self { end, thread })
    }

    /// Copies what there is until now, whoever goes on to write, and ends.
    pub(super) fn finish(self) {
        drop(self.end);
        // A panic has been told.
        let _ = self.thread.join();
    }
}

struct Copy {
    file: File,
    to: Output,
    watched: Watched,
    ended: PipeReader,
    at: u64,
    /// Where to stop, once the command has ended.
    until: Option<u64>,
}

impl Copy {
    fn run(mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            if self.until.is_none() && self.has_ended()? {
                self.until = Some(self.file.metadata()?.len());
            }
            match self.file.read_at(&mut chunk, self.at)? {
                // Somebody has cut it short, and what comes now is new.
                0 if self.file.metadata()?.len() < self.at => self.at = 0,
                0 if self.until.is_some() => return Ok(()),
                0 => self.wait()?,
                count => {
                    self.write(&chunk[..count])?;
                    self.at += count as u64;
                }
            }
            if self.until.is_some_and(|until| self.at >= until) {
                return Ok(());
            }
        }
    }

    fn has_ended(&self) -> io::Result<bool> {
        let mut ended = [PollFd::new(&self.ended, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        Ok(retry(|| poll(&mut ended, Some(&now)))? > 0)
    }

    /// Returns when there is more, or the command has ended.
    fn wait(&self) -> io::Result<()> {
        let mut either = [
            PollFd::new(&self.ended, PollFlags::IN),
            PollFd::new(&self.watched.0, PollFlags::IN),
        ];
        retry(|| poll(&mut either, None))?;
        self.watched.forget();
        Ok(())
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        self.to.with(|to| {
            while !bytes.is_empty() {
                match rustix::io::write(to, bytes) {
                    Ok(count) => bytes = &bytes[count..],
                    Err(Errno::INTR) => {}
                    // Somebody has made it so that it does not wait; this waits.
                    Err(Errno::AGAIN) => {
                        let mut room = [PollFd::new(&to, PollFlags::OUT)];
                        retry(|| poll(&mut room, None))?;
                    }
                    Err(errno) => return Err(errno.into()),
                }
            }
            Ok(())
        })
    }
}

fn retry<T>(act: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    Ok(rustix::io::retry_on_intr(act)?)
}
