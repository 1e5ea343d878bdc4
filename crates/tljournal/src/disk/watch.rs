use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::{Dir, DiskError};
use crate::workers::{self, NoThread};

/// Reports when a file that was open for writing is closed, until this is dropped.
#[derive(Debug)]
#[must_use = "events end when this is dropped"]
pub(crate) struct Watch {
    events: Arc<OwnedFd>,
    id: i32,
}

impl Dir {
    /// Calls `told`, from a thread of its own, whenever a file that was open for writing is closed, until it returns
    /// false.
    ///
    /// # Errors
    /// [`DiskError`] when the system's limit of watches is reached.
    pub(crate) fn watch(
        &self,
        name: &str,
        tell: impl Fn() -> bool + Send + 'static,
    ) -> Result<Watch, DiskError> {
        let failed = |errno| self.error_at("watch", name, errno);
        let events = Arc::new(inotify::init(CreateFlags::CLOEXEC).map_err(failed)?);
        let path = format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd());
        let id = inotify::add_watch(&events, path, WatchFlags::CLOSE_WRITE).map_err(failed)?;
        let watch = Watch { events, id };
        let listen = move |events: Arc<OwnedFd>| {
            let mut space = [MaybeUninit::uninit(); 4096];
            let mut told = Reader::new(&events, &mut space);
            loop {
                // Removing the watch is an event too, and the last one.
                let has_ended = match told.next() {
                    Err(Errno::INTR) => continue,
                    Err(_) => return,
                    Ok(event) => event.events().contains(ReadFlags::IGNORED),
                };
                if !tell() || has_ended {
                    return;
                }
            }
        };
        let events = watch.events.clone();
        let listening = workers::detached("tljournal-watch", events, listen);
        if let Err(NoThread { source, .. }) = listening {
            return Err(DiskError::new(
                "watch",
                self.path.join(name).as_str(),
                source,
            ));
        }
        Ok(watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Fails only if the file is gone, which has ended the watch.
        let _ = inotify::remove_watch(&self.events, self.id);
    }
}
