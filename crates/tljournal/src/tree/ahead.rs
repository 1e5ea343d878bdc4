use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::TreeError;
use super::archive::{BEGINNING, damaged};
use super::compression::Encoded;
use super::copy::read_some;
use super::layers::Layer;
use super::memory::{Memory, Turn};
use super::spread::cores;
use crate::disk::Disk;
use crate::model::Hasher;
use crate::workers;

/// The largest amount of decompressed content in memory, of all layers together.
const BUDGET_BYTES: usize = 32 << 20;
/// The largest amount of memory for decompressors.
const DECODERS_BYTES: u64 = 160 << 20;
/// The size of one piece of content.
const PIECE_BYTES: usize = 256 << 10;

type Piece = Result<Vec<u8>, TreeError>;

/// Passes the content of each layer to `take` in order, decompressed, while other cores decompress the following
/// layers. Without threads each layer is decompressed as it is read.
pub(super) fn read_ahead(
    layers: &[Layer],
    disk: &Disk,
    mut take: impl FnMut(&Layer, &mut Pieces) -> Result<(), TreeError>,
) -> Result<(), TreeError> {
    let threads = cores().min(layers.len()).max(1);
    // The largest number of layers in progress: one for each thread, and the one that is being read.
    let waiting = (BUDGET_BYTES / PIECE_BYTES / (threads + 1)).max(2);
    let (senders, receivers): (Vec<_>, Vec<_>) = layers
        .iter()
        .map(|_| sync_channel(waiting))
        .map(|(sender, receiver)| (Mutex::new(Some(sender)), receiver))
        .unzip();
    let (pace, memory) = (Pace::default(), Memory::new(DECODERS_BYTES));
    let work = || {
        let _abandoned = Abandoned(&senders);
        // Layers start in order, so the one that is being read has always started.
        while let Some(index) = pace.next_within(threads)
            && let (Some(layer), Some(sender)) = (layers.get(index), senders.get(index))
        {
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(sender) = sender else { return };
            let turn = memory.turn(index);
            if let Err(error) = send(layer, disk, &sender, turn) {
                // A receiver that is gone has failed already.
                let _ = sender.send(Err(error));
            }
        }
    };
    let here = |workers| {
        let reading = Reading(&pace);
        for (layer, receiver) in layers.iter().zip(receivers) {
            match workers {
                0 => decode(layer, disk, None, |decoded| {
                    take(layer, &mut Pieces::new(Content::Here(layer, decoded)))?;
                    Ok(ControlFlow::Continue(()))
                })?,
                _ => take(layer, &mut Pieces::new(Content::Sent(receiver)))?,
            }
            reading.has_read_one();
        }
        Ok(())
    };
    workers::beside(threads, work, here)
}

/// The sending ends of the layers.
type Senders = [Mutex<Option<SyncSender<Piece>>>];

/// Closes the channels of layers that a panicked thread did not start, so that no reader waits for them.
struct Abandoned<'a>(&'a Senders);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        for sender in self.0.iter().filter(|_| std::thread::panicking()) {
            sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

/// How many layers have been started and read.
#[derive(Default)]
struct Pace {
    state: Mutex<Paces>,
    moved: Condvar,
}

#[derive(Default)]
struct Paces {
    begun: usize,
    read: usize,
    has_ended: bool,
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, Paces> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next layer to start, once it is at most `ahead` layers ahead of the reader; `None` when the reader has
    /// ended.
    fn next_within(&self, ahead: usize) -> Option<usize> {
        let too_far = |paces: &mut Paces| !paces.has_ended && paces.begun > paces.read + ahead;
        let waited = self.moved.wait_while(self.lock(), too_far);
        let mut paces = waited.unwrap_or_else(PoisonError::into_inner);
        paces.begun += 1;
        (!paces.has_ended).then(|| paces.begun - 1)
    }
}

/// The reader of the layers. When it is dropped no further layer starts.
struct Reading<'a>(&'a Pace);

impl Reading<'_> {
    fn has_read_one(&self) {
        self.0.lock().read += 1;
        self.0.moved.notify_all();
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.moved.notify_all();
    }
}

/// Sends the content of a layer, and at the end whether its digest is the expected one.
fn send(
    layer: &Layer,
    disk: &Disk,
    sender: &SyncSender<Piece>,
    turn: Turn<'_>,
) -> Result<(), TreeError> {
    decode(layer, disk, Some(turn), |decoded| {
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = (&mut *decoded)
                .take(PIECE_BYTES as u64)
                .read_to_end(&mut piece);
            let failed = |error| damaged(&layer.shown(), BEGINNING, error);
            if read.map_err(failed)? == 0 {
                return Ok(ControlFlow::Continue(()));
            }
            if sender.send(Ok(piece)).is_err() {
                // A receiver that is gone has failed already.
                return Ok(ControlFlow::Break(()));
            }
        }
    })
}

/// Decompresses the content of a layer and checks its digest, unless the receiver is gone.
fn decode(
    layer: &Layer,
    disk: &Disk,
    turn: Option<Turn<'_>>,
    read: impl FnOnce(&mut dyn Read) -> Result<ControlFlow<()>, TreeError>,
) -> Result<(), TreeError> {
    let file = layer.open(disk)?;
    let look = || disk.stat_open(&file, &layer.shown());
    let before = look()?;
    let failed = |error| damaged(&layer.shown(), BEGINNING, error);
    let mut raw = Hashing {
        file: &file,
        hasher: layer.digest.map(|_| Hasher::default()),
    };
    let mut encoded = Encoded::recognise(&mut raw).map_err(failed)?;
    let memory = encoded.limit_memory().map_err(failed)?;
    let share = turn.map(|turn| turn.take(memory));
    let mut decoded = encoded.decoded().map_err(failed)?;
    if read(&mut decoded)?.is_break() {
        return Ok(());
    }
    drop(decoded);
    drop(share);
    // The digest covers the bytes after the compressed content too.
    io::copy(&mut raw, &mut io::sink()).map_err(failed)?;
    if let Some(hasher) = raw.hasher {
        layer.refuse_other(hasher.finish())?;
    }
    let after = look()?;
    if (before.size, before.mtime, before.ctime) != (after.size, after.mtime, after.ctime) {
        let entry = layer.path.as_str().escape_debug().to_string();
        return Err(TreeError::Changed { entry });
    }
    Ok(())
}

/// Hashes the bytes that are read through it.
struct Hashing<'a> {
    file: &'a File,
    hasher: Option<Hasher>,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = read_some(&mut self.file, buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// The source of a layer's content: a thread that decompresses it, or the decompressor itself.
enum Content<'a> {
    Sent(Receiver<Piece>),
    Here(&'a Layer, &'a mut dyn Read),
}

/// The content of one layer, as a reader.
pub(super) struct Pieces<'a> {
    content: Content<'a>,
    piece: Vec<u8>,
    at: usize,
    failure: Option<TreeError>,
}

impl<'a> Pieces<'a> {
    fn new(content: Content<'a>) -> Self {
        Self {
            content,
            piece: Vec::new(),
            at: 0,
            failure: None,
        }
    }

    /// An error of the layer that reading did not return.
    pub(super) fn failure(&mut self) -> Option<TreeError> {
        self.failure.take()
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let receiver = match &mut self.content {
            Content::Here(layer, decoded) => {
                return read_some(decoded, buffer).map_err(|error| {
                    self.failure = Some(damaged(&layer.shown(), BEGINNING, error));
                    io::ErrorKind::InvalidData.into()
                });
            }
            Content::Sent(receiver) => receiver,
        };
        while self.at == self.piece.len() {
            match receiver.recv() {
                Ok(Ok(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(Err(failure)) => {
                    self.failure = Some(failure);
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
