use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::disk::{Call, Lacks, Verb, Witness};
use tljournal::{Stat, Timestamp};

use super::image::{Body, Image, NodeId};
use super::lay::{self, Standing, stat_of};

/// What was done to the filesystem, in order, from an image of what was there before.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) start: Image,
    pub(super) ops: Vec<Op>,
    /// The state of everything that was made, which the end of the recording must agree with.
    pub(super) end: Image,
}

/// One thing that was done.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// A name was given to something new, or a further name to a file.
    Add {
        at: Name,
        node: NodeId,
        dir: Touched,
    },
    /// A name was taken away.
    Remove {
        at: Name,
        node: NodeId,
        dir: Touched,
    },
    /// Something got another name, and what had that name is gone.
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
        /// That the file got by it.
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
    /// The work under test said how far it is.
    Told { begun: u32, done: u32 },
}

impl Op {
    /// Whether it changes what is in a file.
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

/// The mtime that a directory got because a name in it changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touched {
    pub(super) dir: NodeId,
    pub(super) mtime: Timestamp,
}

/// How far the work is that is recorded.
///
/// A power cut may leave what was done when the last [`done`](Self::done) was told, or any later step up to
/// the last [`begin`](Self::begin).
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

    /// The next step begins: a cut may leave it done from now on.
    pub fn begin(&self) {
        self.tell(|(begun, _)| *begun += 1);
    }

    /// Every step that was begun is done, and promised to last.
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

/// A witness that writes everything down.
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
    /// Records what is done below `root`, which looks like this now.
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

    /// A path below the root; `..` leads back on the same way, as no link is on it.
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

    /// What a call did, if it was to something below the root.
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
                // The same number names it in every image.
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
            // The states that are made of the record have none.
            Verb::SetOwner | Verb::SetAttribute => return None,
            Verb::SyncFile | Verb::SyncDir => Op::Sync { node: there? },
            // One that makes nothing durable is nothing that a cut has to respect.
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
