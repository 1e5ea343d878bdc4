use std::io::{self, Read};

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::pax::{damaged, number};
use super::tar_reader::TarReader;

/// Most pieces that a sparse file may have.
const PIECES_MAX: u64 = 1 << 20;

/// Where the pieces of a sparse file lie, in order; everything else is holes.
#[derive(Debug, Default)]
pub(super) struct Map {
    pieces: Vec<(u64, u64)>,
    size: u64,
}

impl Map {
    /// Reads the map of the old GNU format, which stands in the header and in blocks behind it.
    pub(super) fn from_header<R: Read>(
        header: &Header,
        reader: &mut TarReader<R>,
    ) -> io::Result<Self> {
        let gnu = header
            .as_gnu()
            .ok_or_else(|| damaged("a sparse file without a GNU header"))?;
        let mut map = Self {
            size: gnu.real_size()?,
            ..Self::default()
        };
        map.add_all(&gnu.sparse)?;
        let mut is_extended = gnu.is_extended();
        while is_extended {
            let mut block = GnuExtSparseHeader::new();
            reader.block_before_content(block.as_mut_bytes())?;
            map.add_all(block.sparse())?;
            is_extended = block.is_extended();
        }
        Ok(map)
    }

    /// Reads the map of the pax format, which stands as decimal lines in front of the content.
    pub(super) fn from_content<R: Read>(
        reader: &mut TarReader<R>,
        size: Option<u64>,
    ) -> io::Result<Self> {
        let size = size.ok_or_else(|| damaged("a sparse file without a size"))?;
        let mut map = Self {
            size,
            ..Self::default()
        };
        let mut lines = Lines::new(reader);
        let count = lines.next_number()?;
        for _ in 0..count {
            let offset = lines.next_number()?;
            map.add(offset, lines.next_number()?)?;
        }
        Ok(map)
    }

    fn add_all(&mut self, pieces: &[GnuSparseHeader]) -> io::Result<()> {
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            self.add(piece.offset()?, piece.length()?)?;
        }
        Ok(())
    }

    fn add(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let before = self.pieces.last().map_or(0, |(at, length)| at + length);
        let end = offset.checked_add(length);
        let fits = offset >= before && end.is_some_and(|end| end <= self.size);
        if !fits || self.pieces.len() as u64 >= PIECES_MAX {
            return Err(damaged("the map of a sparse file"));
        }
        self.pieces.push((offset, length));
        Ok(())
    }

    /// How long the file is with its holes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The file with its holes as zeros, from the content of an archive member.
    pub(super) fn expand<R: Read>(self, inner: R) -> Expanded<R> {
        Expanded {
            inner,
            pieces: self.pieces.into_iter(),
            piece: (0, 0),
            size: self.size,
            at: 0,
        }
    }
}

/// See [`Map::expand`].
pub(super) struct Expanded<R> {
    inner: R,
    pieces: std::vec::IntoIter<(u64, u64)>,
    /// The piece that is read now, or next: where it lies, and what is left of it.
    piece: (u64, u64),
    size: u64,
    at: u64,
}

impl<R: Read> Read for Expanded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.1 == 0 {
            self.piece = match self.pieces.next() {
                Some(piece) => piece,
                None => (self.size, u64::MAX),
            };
        }
        let in_hole = self.at < self.piece.0;
        let left = if in_hole {
            self.piece.0 - self.at
        } else if self.at >= self.size {
            0
        } else {
            self.piece.1
        };
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let buffer = &mut buffer[..wanted];
        let count = if in_hole {
            buffer.fill(0);
            wanted
        } else {
            let count = self.inner.read(buffer)?;
            if count == 0 && wanted > 0 {
                return Err(damaged("a sparse file that is shorter than its map"));
            }
            self.piece = (self.piece.0 + count as u64, self.piece.1 - count as u64);
            count
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// Decimal numbers, one on each line, in whole blocks of a member's content.
struct Lines<'a, R> {
    reader: &'a mut TarReader<R>,
    block: [u8; 512],
    at: usize,
}

impl<'a, R: Read> Lines<'a, R> {
    fn new(reader: &'a mut TarReader<R>) -> Self {
        Self {
            reader,
            block: [0; 512],
            at: 512,
        }
    }

    fn next_number(&mut self) -> io::Result<u64> {
        let mut digits = Vec::new();
        loop {
            if self.at == self.block.len() {
                self.reader.read_exact(&mut self.block)?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return number(&digits),
                _ if digits.len() < 20 => digits.push(byte),
                _ => return Err(damaged("the map of a sparse file")),
            }
        }
    }
}
