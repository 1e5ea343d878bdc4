use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::draft::{self, seal, unsigned};
use super::{Tick, TreeError};
use crate::disk::{self, Dir, Sparse};
use crate::model::{EntrySignature, Hasher, Timestamp};

/// The largest amount of content in memory.
const BUDGET_BYTES: usize = 16 << 20;
/// Files up to this size are handed over whole, larger ones in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;
/// The initial buffer size, before a file is known to be larger.
const SMALL_BYTES: usize = 16 * 1024;
/// The cost of a queued file besides its content.
const JOB_BYTES: usize = 1024;
/// The cost of a piece besides its bytes.
const PIECE_COST_BYTES: usize = 128;
/// The budget reserved for a piece before it is read.
const PIECE_COST_MAX: usize = PIECE_BYTES + PIECE_COST_BYTES;

/// The number of a written file.
pub(super) type Slot = u32;

/// Threads that hash and write files that one thread reads; without threads the reading thread does everything.
pub(super) struct Writers<'a> {
    root: &'a Dir,
    tick: Tick<'a>,
    state: Mutex<State>,
    /// Signalled when there is a file to write, or no more files will come.
    more: Condvar,
    /// Signalled when bytes were written or a file is done.
    less: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Bytes that are queued or held by a writer.
    bytes: usize,
    unfinished: usize,
    has_ended: bool,
    /// Whether a writer panicked: waiting threads then return, and the panic propagates.
    has_panicked: bool,
    failure: Option<TreeError>,
    contents: Vec<Option<draft::Content>>,
}

struct Job {
    slot: Slot,
    path: String,
    mode: u32,
    mtime: Timestamp,
    first: Piece,
    /// The pieces after the first one; `None` for a file of one piece.
    rest: Option<Receiver<Piece>>,
}

/// The next part of a file.
enum Piece {
    Bytes(Vec<u8>),
    Hole(u64),
}

impl Piece {
    /// Its cost while it is in memory. Many small pieces cost more than their bytes.
    fn cost(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len() + PIECE_COST_BYTES,
            Self::Hole(_) => PIECE_COST_BYTES,
        }
    }

    fn as_disk(&self) -> disk::Piece<'_> {
        match self {
            Self::Bytes(bytes) => disk::Piece::Bytes(bytes),
            Self::Hole(length) => disk::Piece::Hole(*length),
        }
    }
}

/// A file that is being read piece by piece.
struct Incoming<'a> {
    content: &'a mut dyn Sparse,
    /// A hole that follows the previous piece.
    hole: u64,
    has_ended: bool,
}

impl Incoming<'_> {
    /// The next piece: a hole, or a full buffer of bytes; shorter only before a hole and at the end.
    fn next(&mut self) -> io::Result<Option<Piece>> {
        if self.hole == 0 && !self.has_ended {
            let mut bytes = Vec::with_capacity(SMALL_BYTES);
            let mut limited = (&mut self.content).take(PIECE_BYTES as u64);
            limited.read_to_end(&mut bytes)?;
            if bytes.len() < PIECE_BYTES {
                self.hole = self.content.skip_hole()?;
                self.has_ended = self.hole == 0;
            }
            if !bytes.is_empty() {
                // The budget counts the length, so the capacity must not be larger.
                bytes.shrink_to_fit();
                return Ok(Some(Piece::Bytes(bytes)));
            }
        }
        let hole = std::mem::take(&mut self.hole);
        Ok((hole > 0).then_some(Piece::Hole(hole)))
    }
}

/// The results of all files.
pub(super) struct Contents(Vec<Option<draft::Content>>);

impl Contents {
    pub(super) fn of(&self, slot: Slot) -> draft::Content {
        let content = self.0.get(slot as usize).copied().flatten();
        debug_assert!(content.is_some(), "drained writers have written every file");
        content.unwrap_or(draft::Content {
            size: 0,
            digest: Hasher::default().finish(),
            signature: unsigned(),
            is_closed: false,
        })
    }
}

/// Tells the writers that no more files will come.
pub(super) struct End<'a>(&'a Writers<'a>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.more.notify_all();
    }
}

/// Wakes the threads that wait for a writer that has panicked.
struct Panicked<'a>(&'a Writers<'a>);

impl Drop for Panicked<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().has_panicked = true;
            self.0.less.notify_all();
        }
    }
}

impl State {
    /// Whether waiting is pointless because a writer failed.
    fn has_failed(&self) -> bool {
        self.failure.is_some() || self.has_panicked
    }

    fn failure(&mut self) -> Result<(), TreeError> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            // Never visible: the panic propagates as soon as all threads have ended.
            None if self.has_panicked => Err(TreeError::read("", ErrorKind::Interrupted.into())),
            None => Ok(()),
        }
    }
}

impl<'a> Writers<'a> {
    pub(super) fn new(root: &'a Dir, tick: Tick<'a>) -> Self {
        Self {
            root,
            tick,
            state: Mutex::default(),
            more: Condvar::new(),
            less: Condvar::new(),
        }
    }

    pub(super) fn end_on_drop(&self) -> End<'_> {
        End(self)
    }

    pub(super) fn into_contents(self) -> Contents {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Contents(state.contents)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a file to one of the writers; returns once its content was read.
    pub(super) fn write(
        &self,
        threads: usize,
        (path, mode, mtime): (&str, u32, Timestamp),
        content: &mut dyn Sparse,
    ) -> Result<Slot, TreeError> {
        let mut incoming = Incoming {
            content,
            hole: 0,
            has_ended: false,
        };
        if threads == 0 {
            let fail = |error| TreeError::read(path, error);
            let next = || incoming.next().map_err(fail);
            let content = self.write_pieces((path, mode, mtime), next)?;
            let mut state = self.lock();
            state.contents.push(Some(content));
            return Ok(state.contents.len() as Slot - 1);
        }
        self.charge(JOB_BYTES)?;
        let first = match self.next_of(&mut incoming, path)? {
            Some(piece) => piece,
            None => {
                self.charge(PIECE_COST_BYTES)?;
                Piece::Bytes(Vec::new())
            }
        };
        let (sender, rest) = channel();
        let slot = self.enqueue(|slot| Job {
            slot,
            path: path.to_owned(),
            mode,
            mtime,
            first,
            rest: (!incoming.has_ended).then_some(rest),
        });
        while !incoming.has_ended
            && let Some(piece) = self.next_of(&mut incoming, path)?
        {
            // A writer that stopped receiving has failed, which the next charge or drain reports.
            let _ = sender.send(piece);
        }
        Ok(slot)
    }

    /// Reads the next piece once the budget allows it.
    fn next_of(&self, incoming: &mut Incoming<'_>, path: &str) -> Result<Option<Piece>, TreeError> {
        self.charge(PIECE_COST_MAX)?;
        let piece = incoming
            .next()
            .map_err(|error| TreeError::read(path, error))?;
        let cost = piece.as_ref().map_or(0, Piece::cost);
        self.release(PIECE_COST_MAX - cost);
        Ok(piece)
    }

    fn enqueue(&self, job: impl FnOnce(Slot) -> Job) -> Slot {
        let mut state = self.lock();
        let slot = state.contents.len() as Slot;
        state.contents.push(None);
        state.queue.push_back(job(slot));
        state.unfinished += 1;
        drop(state);
        self.more.notify_one();
        slot
    }

    /// Waits until the budget allows this many bytes, or returns a writer's failure.
    fn charge(&self, bytes: usize) -> Result<(), TreeError> {
        let too_much = |state: &mut State| {
            !state.has_failed() && state.bytes > 0 && state.bytes + bytes > BUDGET_BYTES
        };
        let waited = self.less.wait_while(self.lock(), too_much);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.bytes += bytes;
        state.failure()
    }

    fn release(&self, bytes: usize) {
        self.lock().bytes -= bytes;
        self.less.notify_one();
    }

    /// Waits until everything is written.
    pub(super) fn drain(&self) -> Result<(), TreeError> {
        let unfinished = |state: &mut State| !state.has_failed() && state.unfinished > 0;
        let waited = self.less.wait_while(self.lock(), unfinished);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.failure()
    }

    /// Writes files until there are no more.
    pub(super) fn work(&self) {
        let _panicked = Panicked(self);
        loop {
            let idle = |state: &mut State| state.queue.is_empty() && !state.has_ended;
            let waited = self.more.wait_while(self.lock(), idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            let Some(job) = state.queue.pop_front() else {
                return;
            };
            drop(state);
            let slot = job.slot;
            let written = self.write_job(job);
            let mut state = self.lock();
            state.bytes -= JOB_BYTES;
            state.unfinished -= 1;
            match written {
                Ok(content) => state.contents[slot as usize] = Some(content),
                Err(error) if state.failure.is_none() => state.failure = Some(error),
                Err(_) => {}
            }
            drop(state);
            self.less.notify_one();
        }
    }

    fn write_job(&self, job: Job) -> Result<draft::Content, TreeError> {
        let (mut first, mut held) = (Some(job.first), 0);
        self.write_pieces((&job.path, job.mode, job.mtime), || {
            // The previous piece is written.
            self.release(held);
            let rest = || job.rest.as_ref().and_then(|rest| rest.recv().ok());
            let piece = first.take().or_else(rest);
            held = piece.as_ref().map_or(0, Piece::cost);
            Ok(piece)
        })
    }

    /// Writes a file of several pieces.
    fn write_pieces(
        &self,
        (path, mode, mtime): (&str, u32, Timestamp),
        mut next: impl FnMut() -> Result<Option<Piece>, TreeError>,
    ) -> Result<draft::Content, TreeError> {
        let mut hasher = Hasher::default();
        let mut size = 0;
        let mut file = self.root.create_file(path, mode)?;
        while let Some(piece) = next()? {
            let piece = piece.as_disk();
            piece.add_to(&mut hasher);
            file.append(piece)?;
            size += piece.bytes();
            (self.tick)(piece.bytes());
        }
        let stat = seal(&file, mode, mtime)?;
        Ok(draft::Content {
            size,
            digest: hasher.finish(),
            signature: EntrySignature::of(&stat),
            is_closed: false,
        })
    }
}
