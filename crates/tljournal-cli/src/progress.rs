//! Progress of long operations, on a terminal only.

use std::io::{self, IsTerminal, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tljournal::workers;

/// Nothing is shown for shorter operations.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
const REDRAWN_AFTER: Duration = Duration::from_millis(100);

/// The bar that is on the terminal now, so that messages can be written around it.
static ON_SCREEN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A long operation. Dropping it removes the bar from the terminal.
pub(crate) struct Progress {
    bytes: Arc<AtomicU64>,
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Shows `what` after a second, if `shown` and there is a terminal.
    pub(crate) fn start(what: &str, shown: bool) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = bytes.clone();
        Self::showing(what, shown, bytes, move || {
            (counted.load(Ordering::Relaxed), 0)
        })
    }

    /// The same with external counters: bytes done, and the total (0: unknown).
    pub(crate) fn watch(
        what: &str,
        shown: bool,
        far: impl Fn() -> (u64, u64) + Send + 'static,
    ) -> Self {
        Self::showing(what, shown, Arc::default(), far)
    }

    fn showing(
        what: &str,
        shown: bool,
        bytes: Arc<AtomicU64>,
        far: impl Fn() -> (u64, u64) + Send + 'static,
    ) -> Self {
        let running = if shown && io::stderr().is_terminal() {
            let (sender, ended) = channel();
            let what = crate::text::clean(what);
            let show = move |ended| show(what, &far, &ended);
            // Without a thread there is no bar, and the work continues.
            let thread = workers::detached("tljournal-progress", ended, show);
            thread.ok().map(|thread| (sender, thread))
        } else {
            None
        };
        Self { bytes, running }
    }

    /// Receives the number of further bytes read; `None` if no progress is shown.
    pub(crate) fn teller(&self) -> Option<Arc<dyn Fn(u64) + Send + Sync>> {
        self.running.as_ref()?;
        let bytes = self.bytes.clone();
        Some(Arc::new(move |more| {
            bytes.fetch_add(more, Ordering::Relaxed);
        }))
    }

    /// A reader that counts bytes.
    pub(crate) fn counting<R: Read>(&self, reader: R) -> Counting<R> {
        let bytes = self.bytes.clone();
        Counting { reader, bytes }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.running.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// Writes something while the bar is hidden.
pub(crate) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let on_screen = ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
    match &*on_screen {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

fn show(what: String, far: &dyn Fn() -> (u64, u64), ended: &Receiver<()>) {
    if ended.recv_timeout(SHOWN_AFTER) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let bar = ProgressBar::new_spinner().with_message(what);
    let style = |template| ProgressStyle::with_template(template).ok();
    let counting = style("{spinner} {msg}  {bytes} ({bytes_per_sec}), {elapsed}");
    let plain = style("{spinner} {msg}  {elapsed}");
    let of_all =
        style("{spinner} {msg}  {wide_bar} {bytes} of {total_bytes} ({bytes_per_sec}), {eta} left");
    let set_on_screen = |bar| *ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    set_on_screen(Some(bar.clone()));
    loop {
        let (read, total) = far();
        let style = match (read, total) {
            (0, _) => &plain,
            (_, 0) => &counting,
            _ => &of_all,
        };
        if let Some(style) = style {
            bar.set_style(style.clone());
        }
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(read);
        bar.tick();
        if ended.recv_timeout(REDRAWN_AFTER) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    set_on_screen(None);
    bar.finish_and_clear();
}

/// See [`Progress::counting`].
pub(crate) struct Counting<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buf)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
