use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::disk::{Call, Lacks, Verb, Witness};
use tljournal::{Stat, Timestamp};

use super::image::{Body, Image, NodeId};
use super::lay::{self, Standing, stat_of};

/// The changes of the filesystem, in order, starting from an image.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) start: Image,
    pub(super) ops: Vec<Op>,
    /// The final state, which the end of the recording must equal.
    pub(super) end: Image,
}

/// One change.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Something new got a name, or a file another name.
    Add {
        at: Name,
        node: NodeId,
        dir: Touched,
    },
    /// A name was removed.
    Remove {
        at: Name,
        node: NodeId,
        dir: Touched,
    },
    /// Something was renamed, over whatever had the new name.
    Move {
        from: Name,
        to: Name,
        node: NodeId,
        dirs: [Touched; 2],
    },
    /// Two names were swapped.
    Exchange {
        names: [Name; 2],
        nodes: [NodeId; 2],
        dirs: [Touched; 2],
    },
    /// Bytes were written to a file.
    Write {
        node: NodeId,
        offset: u64,
        data: Arc<[u8]>,
        /// The resulting mtime of the file.
        mtime: Timestamp,
    },
    /// The length of a file was set.
    Truncate { node: NodeId, size: u64 },
    /// Permission bits were set.
    Mode { node: NodeId, mode: u32 },
    /// The mtime was set.
    Mtime { node: NodeId, mtime: Timestamp },
    /// A file, or the names in a directory, became durable.
    Sync { node: NodeId },
    /// Everything became durable.
    SyncAll,
    /// Nothing, in place of a sync that was sabotaged.
    Nothing,
    /// The work reported its progress.
    Told { begun: u32, done: u32 },
}

impl Op {
    /// Whether it changes the content of a file.
    pub(super) fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Truncate { .. })
    }

    /// Whether it makes something durable.
    pub(super) fn is_sync(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::SyncAll)
    }

    /// Whether it is a change of names.
    pub(super) fn changes_names(&self) -> bool {
        match self {
            Self::Add { .. } | Self::Remove { .. } | Self::Move { .. } | Self::Exchange { .. } => {
                true
            }
            Self::Write { .. }
            | Self::Truncate { .. }
            | Self::Mode { .. }
            | Self::Mtime { .. }
            | Self::Sync { .. }
            | Self::SyncAll
            | Self::Nothing
            | Self::Told { .. } => false,
        }
    }
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    pub(super) dir: NodeId,
    pub(super) name: String,
}

/// The mtime of a directory after a name in it changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touched {
    pub(super) dir: NodeId,
    pub(super) mtime: Timestamp,
}

/// The progress of the recorded work.
///
/// A power cut may leave the state at the last call of [`done`](Self::done), or any later step up to the last
/// [`begin`](Self::begin).
#[derive(Debug)]
pub struct Progress {
    recorder: Arc<Recorder>,
    told: Mutex<(u32, u32)>,
}

impl Progress {
    pub(super) fn new(recorder: Arc<Recorder>) -> Self {
        let told = Mutex::default();
        Self { recorder, told }
    }

    /// The next step begins: from now on a cut may leave it done.
    pub fn begin(&self) {
        self.tell(|(begun, _)| *begun += 1);
    }

    /// Every step that was begun is done and durable.
    pub fn done(&self) {
        self.tell(|(begun, done)| *done = *begun);
    }

    fn tell(&self, change: impl FnOnce(&mut (u32, u32))) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut told);
        let (begun, done) = *told;
        self.recorder.lock().ops.push(Op::Told { begun, done });
    }
}

/// A witness that records everything.
#[derive(Debug)]
pub(super) struct Recorder {
    root: Utf8PathBuf,
    standing: Arc<Standing>,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    start: Image,
    ops: Vec<Op>,
    now: Image,
}

impl Recorder {
    /// Records changes below `root`, starting from this state.
    pub(super) fn new(root: &Utf8Path, standing: Arc<Standing>, start: Image) -> Self {
        let log = Log {
            now: start.clone(),
            start,
            ops: Vec::new(),
        };
        Self {
            root: root.to_owned(),
            standing,
            log: Mutex::new(log),
        }
    }

    /// What was recorded.
    pub(super) fn finish(&self) -> Recording {
        let log = self.lock();
        Recording {
            start: log.start.clone(),
            ops: log.ops.clone(),
            end: log.now.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A path below the root; `..` is resolved lexically, because no link is involved.
    fn inside(&self, path: &Utf8Path) -> Option<String> {
        let mut parts = Vec::new();
        for part in path.strip_prefix(&self.root).ok()?.components() {
            match part.as_str() {
                ".." => drop(parts.pop()?),
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }

    fn touched(&self, log: &Log, path: &str) -> Option<(Name, Touched)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = log.now.find(parent)?;
        let meta = self.root.join(parent).symlink_metadata().ok()?;
        let mtime = Timestamp::new(meta.mtime(), meta.mtime_nsec() as u32);
        let name = name.to_owned();
        Some((Name { dir, name }, Touched { dir, mtime }))
    }

    /// The recorded form of a call, if it is about something below the root.
    fn op(&self, log: &mut Log, call: &Call<'_>) -> Option<Op> {
        let path = &*self.inside(call.path)?;
        let other = call.other.as_deref().and_then(|other| self.inside(other));
        let other = other.as_deref();
        let there = log.now.find(path);
        Some(match call.verb {
            Verb::CreateFile | Verb::MakeDir | Verb::MakeLink => {
                if there.is_some() {
                    return None;
                }
                let (at, dir) = self.touched(log, path)?;
                let stat = stat_of(&self.root.join(path))?;
                let body = match call.verb {
                    Verb::MakeDir => Body::Dir(BTreeMap::new()),
                    Verb::MakeLink => Body::Link(String::from_utf8_lossy(call.data).into_owned()),
                    _ => Body::File(Arc::default()),
                };
                let node = log
                    .now
                    .insert(lay::node(&stat, &self.standing, body.clone()));
                // The same number identifies it in both images.
                let same = log.start.insert(lay::node(&stat, &self.standing, body));
                assert_eq!(node, same, "both images number what is made alike");
                Op::Add { at, node, dir }
            }
            Verb::HardLink => {
                let (at, dir) = self.touched(log, other?)?;
                let node = there?;
                Op::Add { at, node, dir }
            }
            Verb::RemoveFile | Verb::RemoveDir => {
                let (at, dir) = self.touched(log, path)?;
                let node = there?;
                Op::Remove { at, node, dir }
            }
            Verb::RenameNew | Verb::RenameOver => {
                let (from, left) = self.touched(log, path)?;
                let (to, entered) = self.touched(log, other?)?;
                let (node, dirs) = (there?, [left, entered]);
                Op::Move {
                    from,
                    to,
                    node,
                    dirs,
                }
            }
            Verb::Exchange => {
                let (one, first) = self.touched(log, path)?;
                let (two, second) = self.touched(log, other?)?;
                Op::Exchange {
                    nodes: [there?, log.now.find(other?)?],
                    names: [one, two],
                    dirs: [first, second],
                }
            }
            Verb::Write => Op::Write {
                node: there?,
                offset: call.offset,
                data: call.data.into(),
                mtime: match stat_of(&self.root.join(path)) {
                    Some(stat) => stat.mtime,
                    None => log.now.nodes[there?].mtime,
                },
            },
            Verb::Truncate => Op::Truncate {
                node: there?,
                size: call.offset,
            },
            Verb::SetMode => Op::Mode {
                node: there?,
                mode: call.offset as u32,
            },
            Verb::SetTimes => Op::Mtime {
                node: there?,
                mtime: stat_of(&self.root.join(path))?.mtime,
            },
            // The states built from the recording have none.
            Verb::SetOwner | Verb::SetAttribute => return None,
            Verb::SyncFile | Verb::SyncDir => Op::Sync { node: there? },
            // A `syncfs` without effect is not recorded.
            Verb::SyncFilesystem if self.lacks().syncfs => return None,
            Verb::SyncFilesystem => Op::SyncAll,
        })
    }
}

impl Witness for Recorder {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        self.standing.before(call)
    }

    fn lacks(&self) -> Lacks {
        self.standing.lacks()
    }

    fn after(&self, call: &Call<'_>, made: Result<(), &io::Error>) {
        if made.is_err() {
            return;
        }
        let mut log = self.lock();
        if let Some(op) = self.op(&mut log, call) {
            log.now.apply(&op);
            log.ops.push(op);
        }
    }

    fn found(&self, stat: &mut Stat) {
        self.standing.found(stat);
    }
}
