//! Tools of the regression tests: a witness that calls back, one that records, small trees, time limits, mounts, and
//! processes that are killed at a given call.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use tljournal::disk::{Call, Verb, Witness};
use tljournal::{
    Because, EventFilter, EventKind, EventRecord, Journal, Limits, Retention, Timestamp, Undo,
    UndoAction,
};
use tljournal_testkit::{Steps, TreeSpec, When, World};

/// The limit for operations that must not hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs something in a thread, and fails if it does not end.
///
/// # Panics
/// When it hangs, or panics.
pub fn within<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(act()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(done) => done,
        Err(RecvTimeoutError::Timeout) => panic!("{what} hangs"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what} panicked"),
    }
}

/// Calls back before and after every mutating call; an error is returned instead of making the call.
#[derive(Debug)]
pub struct Hook<F>(pub F);

impl<F: Fn(When, &Call<'_>) -> io::Result<()> + Send + Sync> Witness for Hook<F> {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        (self.0)(When::Before, call)
    }

    fn after(&self, call: &Call<'_>, _: Result<(), &io::Error>) {
        let _ = (self.0)(When::After, call);
    }
}

/// A call that was made.
pub type Seen = (Verb, Utf8PathBuf, Option<Utf8PathBuf>);

/// Records every mutating call with both of its paths.
#[derive(Debug, Default)]
pub struct Record(Mutex<Vec<Seen>>);

impl Record {
    /// The calls since the last request, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Witness for Record {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        let seen = (call.verb, call.path.to_owned(), call.other.clone());
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(seen);
        Ok(())
    }
}

/// What was synced before the entry with this path was published.
///
/// # Panics
/// When it was never published.
#[must_use]
pub fn synced_before_publishing(calls: &[Seen], path: &str) -> Vec<Seen> {
    let publishes = |(verb, from, to): &Seen| {
        let named = |at: &Utf8Path| at.as_str().ends_with(path);
        matches!(verb, Verb::Exchange | Verb::RenameNew)
            && (named(from) || to.as_deref().is_some_and(named))
    };
    let end = calls.iter().position(publishes);
    let end = end.unwrap_or_else(|| panic!("{path} was not published: {calls:#?}"));
    let syncs = |(verb, ..): &&Seen| matches!(verb, Verb::SyncFile | Verb::SyncFilesystem);
    calls[..end].iter().filter(syncs).cloned().collect()
}

/// A tree of two files in a directory, with this version as content.
#[must_use]
pub fn small(version: &str) -> TreeSpec {
    let at = |nanos| Timestamp::new(1_600_000_000, nanos);
    TreeSpec::new(0o755, at(1))
        .dir("sub", 0o755, at(2))
        .file("sub/f1", 0o644, at(3), version)
        .file("sub/f2", 0o644, at(4), version.repeat(1000))
}

/// Empties the files of a small tree as a power cut does: their metadata stays.
///
/// # Panics
/// When it does not exist.
pub fn tear(world: &World, tree: &str) {
    for name in ["sub/f1", "sub/f2"] {
        let path = world.path(tree).join(name);
        let mtime = path.metadata().and_then(|meta| meta.modified());
        let file = std::fs::File::options().write(true).open(&path);
        let file = file.unwrap_or_else(|error| panic!("{path}: {error}"));
        file.set_len(0).expect("an empty file");
        file.set_modified(mtime.expect("an mtime"))
            .expect("its old mtime");
    }
}

/// The files below a directory with this content.
#[must_use]
pub fn holding(dir: &Utf8Path, content: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::from(dir)];
    while let Some(at) = left.pop() {
        let Ok(entries) = std::fs::read_dir(&at) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let read = std::fs::read(entry.path());
                    if read.is_ok_and(|read| read == content.as_bytes()) {
                        found.push(entry.path());
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// The events of this kind.
///
/// # Panics
/// When the journal cannot be read.
#[must_use]
pub fn events(journal: &Journal, kind: &EventKind) -> Vec<EventRecord> {
    let events = journal.history().events(&EventFilter {
        limit: Some(100),
        ..EventFilter::default()
    });
    let mut events = events.expect("events");
    events.retain(|event| event.kind == *kind);
    events
}

/// The names in quarantine.
#[must_use]
pub fn aside(world: &World) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(world.path("build/.state/aside")) else {
        return Vec::new();
    };
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.flatten().map(name).collect()
}

/// A mounted filesystem, until this is dropped.
#[derive(Debug)]
pub struct Mounted {
    /// A handle that is valid even if it was moved.
    root: std::fs::File,
}

impl Mounted {
    /// An empty filesystem in memory; `None` if mounting is not permitted, which is reported.
    #[must_use]
    pub fn tmpfs(at: Utf8PathBuf) -> Option<Self> {
        Self::tmpfs_with(at, c"size=16m")
    }

    /// The same with other options.
    #[must_use]
    pub fn tmpfs_with(at: Utf8PathBuf, options: &CStr) -> Option<Self> {
        let done = mount("tmpfs", at.as_str(), "tmpfs", MountFlags::empty(), options);
        Self::done(at, done)
    }

    /// A bind mount of a directory; `None` if mounting is not permitted, which is reported.
    #[must_use]
    pub fn bind(from: &Utf8Path, at: Utf8PathBuf) -> Option<Self> {
        let done = mount_bind(from.as_str(), at.as_str());
        Self::done(at, done)
    }

    /// An overlay over the directory `lower`, with an empty upper layer in `scratch`. `None` if mounting is not
    /// permitted, which is reported.
    ///
    /// # Panics
    /// When the directories cannot be made.
    #[must_use]
    pub fn overlay(lower: &Utf8Path, scratch: &Utf8Path, at: Utf8PathBuf) -> Option<Self> {
        let (upper, work) = (scratch.join("upper"), scratch.join("work"));
        for dir in [&upper, &work, &at] {
            std::fs::create_dir_all(dir).unwrap_or_else(|error| panic!("{dir}: {error}"));
        }
        let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let layers = CString::new(layers).expect("no NUL in a path");
        let done = mount(
            "overlay",
            at.as_str(),
            "overlay",
            MountFlags::empty(),
            layers.as_c_str(),
        );
        Self::done(at, done)
    }

    /// A new filesystem of this kind in a sparse file of this size, with these options of mkfs. `None` if it cannot
    /// be created or mounted, which is reported.
    ///
    /// # Panics
    /// When the file cannot be made.
    #[must_use]
    pub fn image(kind: &str, options: &[&str], bytes: u64, at: Utf8PathBuf) -> Option<Self> {
        let image = at.with_extension("image");
        let file = std::fs::File::create(&image).unwrap_or_else(|error| panic!("{image}: {error}"));
        file.set_len(bytes).expect("a sparse file");
        std::fs::create_dir_all(&at).unwrap_or_else(|error| panic!("{at}: {error}"));
        let run = |program: &str, arguments: &[&str]| {
            let ran = Command::new(program).args(arguments).output()?;
            match ran.status.success() {
                true => Ok(()),
                false => Err(io::Error::other(
                    String::from_utf8_lossy(&ran.stderr).into_owned(),
                )),
            }
        };
        let made = run(
            &format!("mkfs.{kind}"),
            &[options, &["-q", image.as_str()]].concat(),
        );
        let mounted =
            made.and_then(|()| run("mount", &["-o", "loop", image.as_str(), at.as_str()]));
        match mounted {
            Ok(()) => Self::done(at, Ok(())),
            Err(error) => {
                let text = format!("skipped: no {kind} at {at}: {error}\n");
                let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
                None
            }
        }
    }

    fn done(at: Utf8PathBuf, done: rustix::io::Result<()>) -> Option<Self> {
        match done {
            Ok(()) => {
                let root = std::fs::File::open(&at);
                let root = root.unwrap_or_else(|error| panic!("{at}: {error}"));
                Some(Self { root })
            }
            Err(error) => {
                let text = format!("skipped: nothing can be mounted at {at}: {error}\n");
                let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let root = format!("/proc/self/fd/{}", self.root.as_raw_fd());
        let _ = unmount(root, UnmountFlags::DETACH);
    }
}

/// The call at which a process is killed: the first of this kind whose paths contain a text.
#[derive(Debug, Clone)]
pub struct Strike {
    /// Before or after the call.
    pub when: When,
    /// The kind of the call.
    pub verb: Verb,
    /// The text in one of its paths.
    pub part: &'static str,
}

impl Strike {
    /// Before the call is made.
    #[must_use]
    pub fn before(verb: Verb, part: &'static str) -> Self {
        let when = When::Before;
        Self { when, verb, part }
    }

    /// When the call was made.
    #[must_use]
    pub fn after(verb: Verb, part: &'static str) -> Self {
        let when = When::After;
        Self { when, verb, part }
    }
}

/// Runs the actor for one transaction, and kills it at the call.
///
/// # Panics
/// When it is not killed.
pub fn kill_at(program: &str, world: &World, strike: &Strike, steps: &[&str]) {
    use std::os::unix::process::ExitStatusExt;
    let when = match strike.when {
        When::Before => "before",
        When::After => "after",
    };
    let verb = format!("{:?}", strike.verb);
    let ran = Command::new(program)
        .args(["kill-when", world.root().as_str(), when, &verb, strike.part])
        .args(steps)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert_eq!(
        ran.status.signal(),
        Some(9),
        "{strike:?} was not met: {} {}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// The steps in the arguments of the part `kill-when`: `put=PATH=TEXT`, `rm=PATH`, `tree=PATH=VERSION`,
/// `quick=PATH=VERSION`.
///
/// # Panics
/// When an argument is invalid.
#[must_use]
pub fn steps(said: &[String]) -> Steps {
    let mut steps = Steps::new("said");
    for said in said {
        let parts: Vec<_> = said.split('=').collect();
        steps = match parts[..] {
            ["put", path, text] => steps.put(path, text),
            ["rm", path] => steps.remove(path),
            ["tree", path, version] => steps.tree(path, small(version)),
            ["quick", path, version] => steps.rebuildable(path, small(version)),
            _ => panic!("`{said}` is no step"),
        };
    }
    steps
}

/// Retains nothing except history and logs.
#[must_use]
pub fn nothing_kept() -> Retention {
    Retention {
        kept: Limits::NOTHING,
        ..Retention::default()
    }
}

/// The action and reason of an undo with one path.
///
/// # Panics
/// When it does not have exactly one path.
#[must_use]
pub fn only(undo: &Undo) -> (UndoAction, Option<Because>) {
    let [step] = &undo.steps[..] else {
        panic!("{undo:?}")
    };
    (step.action, step.because.clone())
}
