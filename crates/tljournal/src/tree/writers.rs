use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::copy::write;
use super::draft::{self, seal, unsigned};
use super::{Tick, TreeError};
use crate::disk::Dir;
use crate::model::{EntrySignature, Hasher, Timestamp};

/// How much content is on its way at most.
const BUDGET_BYTES: usize = 16 << 20;
/// Files up to this size are handed over whole, larger ones in pieces of it.
const PIECE_BYTES: usize = 256 * 1024;
/// Room that is made before a file is known to be larger.
const SMALL_BYTES: usize = 16 * 1024;
/// What a queued file costs besides its content.
const JOB_BYTES: usize = 1024;

/// Which written file is meant.
pub(super) type Slot = u32;

/// Threads that hash and write files that one thread reads; where there are none that one does it all.
pub(super) struct Writers<'a> {
    root: &'a Dir,
    tick: Tick<'a>,
    state: Mutex<State>,
    /// There may be a file to write, or none any more.
    more: Condvar,
    /// Bytes were written, or a file is done.
    less: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Content that is queued or held by a writer.
    bytes: usize,
    unfinished: usize,
    has_ended: bool,
    /// Whether a writer panicked: whoever waits for it goes on, and so does its panic.
    has_panicked: bool,
    failure: Option<TreeError>,
    contents: Vec<Option<draft::Content>>,
}

struct Job {
    slot: Slot,
    path: String,
    mode: u32,
    mtime: Timestamp,
    first: Vec<u8>,
    /// The pieces behind the first; nothing for a file that fits into one.
    rest: Option<Receiver<Vec<u8>>>,
}

/// What became of all files.
pub(super) struct Contents(Vec<Option<draft::Content>>);

impl Contents {
    pub(super) fn of(&self, slot: Slot) -> draft::Content {
        let content = self.0.get(slot as usize).copied().flatten();
        debug_assert!(content.is_some(), "drained writers have written every file");
        content.unwrap_or(draft::Content {
            size: 0,
            digest: Hasher::default().finish(),
            signature: unsigned(),
        })
    }
}

/// Tells the writers that nothing more will come.
pub(super) struct End<'a>(&'a Writers<'a>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.more.notify_all();
    }
}

/// Tells those who wait for a writer that it has panicked.
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
    /// Whether nobody has to wait any more.
    fn has_failed(&self) -> bool {
        self.failure.is_some() || self.has_panicked
    }

    fn failure(&mut self) -> Result<(), TreeError> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            // Nobody sees it: the panic goes on as soon as all threads have ended.
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

    /// Has a file written, by one of so many threads, and returns once its content was read.
    pub(super) fn write(
        &self,
        threads: usize,
        (path, mode, mtime): (&str, u32, Timestamp),
        reader: &mut dyn Read,
    ) -> Result<Slot, TreeError> {
        let fail = |error| TreeError::read(path, error);
        if threads == 0 {
            let next = || {
                let piece = read_piece(reader).map_err(fail)?;
                Ok((!piece.is_empty()).then_some(piece))
            };
            let content = self.write_pieces((path, mode, mtime), next)?;
            let mut state = self.lock();
            state.contents.push(Some(content));
            return Ok(state.contents.len() as Slot - 1);
        }
        self.charge(JOB_BYTES + PIECE_BYTES)?;
        let first = read_piece(reader).map_err(fail)?;
        let is_whole = first.len() < PIECE_BYTES;
        self.release(PIECE_BYTES - first.len());
        let (sender, rest) = channel();
        let slot = self.enqueue(|slot| Job {
            slot,
            path: path.to_owned(),
            mode,
            mtime,
            first,
            rest: (!is_whole).then_some(rest),
        });
        if !is_whole {
            self.send_rest(&sender, reader, path)?;
        }
        Ok(slot)
    }

    fn send_rest(
        &self,
        sender: &Sender<Vec<u8>>,
        reader: &mut dyn Read,
        path: &str,
    ) -> Result<(), TreeError> {
        loop {
            self.charge(PIECE_BYTES)?;
            let piece = read_piece(reader).map_err(|error| TreeError::read(path, error))?;
            self.release(PIECE_BYTES - piece.len());
            let is_last = piece.len() < PIECE_BYTES;
            // A writer that stopped listening has failed, which the next charge or drain tells.
            let _ = sender.send(piece);
            if is_last {
                return Ok(());
            }
        }
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

    /// Waits until so much more may be on its way, or tells that a writer failed.
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
            // What came before it is written.
            self.release(held);
            let rest = || job.rest.as_ref().and_then(|rest| rest.recv().ok());
            let piece = first.take().or_else(rest);
            held = piece.as_ref().map_or(0, Vec::len);
            Ok(piece)
        })
    }

    /// Writes a file of pieces, until there are no more.
    fn write_pieces(
        &self,
        (path, mode, mtime): (&str, u32, Timestamp),
        mut next: impl FnMut() -> Result<Option<Vec<u8>>, TreeError>,
    ) -> Result<draft::Content, TreeError> {
        let mut hasher = Hasher::default();
        let mut size = 0;
        let mut file = self.root.create_file(path, mode)?;
        while let Some(piece) = next()? {
            hasher.update(&piece);
            write(&mut file, &piece)?;
            size += piece.len() as u64;
            (self.tick)(piece.len() as u64);
        }
        let stat = seal(&file, mode, mtime)?;
        Ok(draft::Content {
            size,
            digest: hasher.finish(),
            signature: EntrySignature::of(&stat),
        })
    }
}

/// Reads a whole piece, less only at the end.
fn read_piece(reader: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(SMALL_BYTES);
    let mut limited = reader.take(PIECE_BYTES as u64);
    limited.read_to_end(&mut piece)?;
    // The budget counts what is in it, so it must not hold more.
    piece.shrink_to_fit();
    Ok(piece)
}
