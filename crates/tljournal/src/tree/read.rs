use super::look::unless_gone;
use super::near::Near;
use super::{Difference, DifferenceKind, Tick, TreeError};
use crate::disk::{Dir, SparseFile, each_piece};
use crate::model::{Entry, EntryKind, Hasher, Kind};

/// The size of the read buffer: it fits into a core's own cache.
const BUFFER_BYTES: usize = 128 * 1024;

/// Compares the content of files, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    near: Near,
    pub(super) found: Vec<(usize, Difference)>,
    pub(crate) hashed_bytes: u64,
}

impl Reader {
    /// Reads the file of an entry and returns how its content differs, if it does.
    pub(crate) fn compare(
        &mut self,
        root: &Dir,
        entry: &Entry,
        tick: Tick<'_>,
    ) -> Result<Option<DifferenceKind>, TreeError> {
        self.compare_while(root, entry, tick, &|| true)
    }

    /// The same, while `goes_on` holds; a file that was not read to its end has no difference.
    pub(crate) fn compare_while(
        &mut self,
        root: &Dir,
        entry: &Entry,
        tick: Tick<'_>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<DifferenceKind>, TreeError> {
        let EntryKind::File { digest, size, .. } = &entry.kind else {
            return Ok(None);
        };
        let opened = match self.near.of(root, &entry.path)? {
            Some((dir, name)) => unless_gone(dir.open_file(name))?,
            None => None,
        };
        let Some(file) = opened else {
            return Ok(Some(DifferenceKind::Missing));
        };
        self.buffer.resize(BUFFER_BYTES, 0);
        let stat = root.stat_open(&file)?;
        if stat.kind != Kind::File || stat.size != *size {
            return Ok(Some(DifferenceKind::Content));
        }
        let failed = |error| TreeError::read(root.path().join(&entry.path).as_str(), error);
        let mut content = SparseFile::new(&file, &stat).map_err(failed)?;
        let (mut hasher, mut read) = (Hasher::default(), 0);
        let ended = each_piece(
            &mut content,
            &mut self.buffer,
            |error| Some(failed(error)),
            |piece| {
                piece.add_to(&mut hasher);
                read += piece.bytes();
                tick(piece.bytes());
                match goes_on() {
                    true => Ok(()),
                    false => Err(None),
                }
            },
        );
        self.hashed_bytes += read;
        match ended {
            Ok(()) => Ok((hasher.finish() != *digest).then_some(DifferenceKind::Content)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }
}
