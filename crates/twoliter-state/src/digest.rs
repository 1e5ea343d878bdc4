use std::io::{self, BufRead, BufReader, Read};

use sha2::{Digest as _, Sha256};
use tljournal::Digest;

const BUFFER_BYTES: usize = 256 * 1024;

/// The digest of the content of a reader.
pub(crate) fn digest_of(reader: impl Read) -> io::Result<Digest> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    let mut hasher = Sha256::new();
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(Digest::from_bytes(hasher.finalize().into()));
        }
        hasher.update(piece);
        let read = piece.len();
        reader.consume(read);
    }
}
