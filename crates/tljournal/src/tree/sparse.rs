use std::io::{self, Read};

use super::header::{Header, more_pieces};
use super::pax::{damaged, number};
use super::tar_reader::TarReader;
use crate::disk::{HOLE_BYTES_MAX, Sparse};

/// The largest number of pieces of a sparse file.
const PIECES_MAX: u64 = 1 << 20;

/// The pieces of data of a sparse file, in order; everything else is holes.
#[derive(Debug, Default)]
pub(super) struct Map {
    pieces: Vec<(u64, u64)>,
    size: u64,
}

impl Map {
    /// Reads the map of the old GNU format, in the header and in the blocks after it.
    pub(super) fn from_header<R: Read>(
        header: &Header<'_>,
        reader: &mut TarReader<R>,
    ) -> io::Result<Self> {
        let (pieces, mut goes_on) = header.pieces()?;
        let mut map = Self::from_pieces(pieces, header.real_size()?)?;
        while goes_on {
            let (pieces, more) = more_pieces(&reader.block_before_content()?)?;
            map.add_all(pieces)?;
            goes_on = more;
        }
        Ok(map)
    }

    /// Reads the map of the latest pax format: decimal lines before the content.
    pub(super) fn from_content<R: Read>(reader: &mut TarReader<R>, size: u64) -> io::Result<Self> {
        let mut map = Self::from_pieces(Vec::new(), size)?;
        let mut lines = Lines::new(reader);
        let count = lines.next_number()?;
        for _ in 0..count {
            let offset = lines.next_number()?;
            map.add(offset, lines.next_number()?)?;
        }
        Ok(map)
    }

    /// The map of the older pax formats, from the extended header.
    pub(super) fn from_pieces(pieces: Vec<(u64, u64)>, size: u64) -> io::Result<Self> {
        let mut map = Self {
            size,
            ..Self::default()
        };
        map.add_all(pieces)?;
        Ok(map)
    }

    fn add_all(&mut self, pieces: Vec<(u64, u64)>) -> io::Result<()> {
        for (offset, length) in pieces {
            self.add(offset, length)?;
        }
        Ok(())
    }

    fn add(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let end_before = self.pieces.last().map_or(0, |(at, length)| at + length);
        let end = offset.checked_add(length);
        let fits = offset >= end_before && end.is_some_and(|end| end <= self.size);
        if !fits || self.pieces.len() as u64 >= PIECES_MAX {
            return Err(damaged("the map of a sparse file"));
        }
        match self.pieces.last_mut() {
            _ if length == 0 => {}
            Some((_, before)) if offset == end_before => *before += length,
            _ => self.pieces.push((offset, length)),
        }
        Ok(())
    }

    /// The number of bytes that are data.
    pub(super) fn held_bytes(&self) -> u64 {
        self.pieces.iter().map(|(_, length)| length).sum()
    }

    /// The number of bytes that are holes.
    pub(super) fn hole_bytes(&self) -> u64 {
        self.size - self.held_bytes()
    }

    /// The file with its holes, from the content of an archive member.
    pub(super) fn expand<R: Read>(self, inner: R) -> Expanded<R> {
        let mut pieces = self.pieces.into_iter();
        let end = (self.size, 0);
        Expanded {
            inner,
            at: 0,
            piece: pieces.next().unwrap_or(end),
            pieces,
            end,
        }
    }
}

/// See [`Map::expand`].
pub(super) struct Expanded<R> {
    inner: R,
    at: u64,
    /// The current or next piece: its offset, and how much of it is left.
    piece: (u64, u64),
    pieces: std::vec::IntoIter<(u64, u64)>,
    end: (u64, u64),
}

impl<R: Read> Read for Expanded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (offset, left) = self.piece;
        let left = if offset == self.at { left } else { 0 };
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.inner.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(damaged("a sparse file that is shorter than its map"));
        }
        self.at += count as u64;
        if wanted > 0 {
            self.piece = (self.at, left - count as u64);
        }
        Ok(count)
    }
}

impl<R: Read> Sparse for Expanded<R> {
    fn skip_hole(&mut self) -> io::Result<u64> {
        if self.piece == (self.at, 0) {
            self.piece = self.pieces.next().unwrap_or(self.end);
        }
        let skipped = (self.piece.0 - self.at).min(HOLE_BYTES_MAX);
        self.at += skipped;
        Ok(skipped)
    }
}

/// Decimal numbers, one per line, in whole blocks of a member's content.
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
