//! Compressed content of several members: pigz, pzstd, `cat` and tapes concatenate members and pad the last block.

use std::io::{self, BufRead, Read};

use flate2::bufread::{GzDecoder, ZlibDecoder};
use liblzma::stream::{Action, Status, Stream};
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::compression::{Unsupported, XZ_MEMORY_MAX};
use super::copy::read_some;
use super::formats::Format;
use super::header::BLOCK_BYTES;
use super::pax::damaged;

const BUFFER_BYTES: usize = 256 * 1024;
/// The length of the longest magic number.
const MAGIC_BYTES: usize = 6;
/// The longest header of a zstd frame.
pub(super) const ZSTD_HEADER_BYTES: usize = 18;
/// The largest amount of trailing data that is not a member.
const REST_BYTES_MAX: u64 = 64 << 20;

/// A reader with lookahead.
pub(super) struct Ahead<'a> {
    inner: Box<dyn Read + 'a>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(inner: Box<dyn Read + 'a>) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER_BYTES],
            at: 0,
            end: 0,
        }
    }

    /// At least `count` bytes of lookahead, unless the input ends before.
    pub(super) fn at_least(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.end - self.at < count {
            self.buffer.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
            while self.end < count {
                match read_some(&mut self.inner, &mut self.buffer[self.end..])? {
                    0 => break,
                    more => self.end += more,
                }
            }
        }
        Ok(&self.buffer[self.at..self.end])
    }
}

impl Read for Ahead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.end && buffer.len() >= BUFFER_BYTES {
            return read_some(&mut self.inner, buffer);
        }
        let there = self.fill_buf()?;
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Ahead<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.at_least(1)
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

/// The decompressed content of all members at the start of a stream.
pub(super) struct Members<'a> {
    format: Format,
    window_log_max: u32,
    member: Option<Member<'a>>,
    /// How many zeros the decompressed content ends with so far.
    zeros: usize,
}

enum Member<'a> {
    Gzip(GzDecoder<Ahead<'a>>),
    Zlib(ZlibDecoder<Ahead<'a>>),
    Zstd(Frame<'a, Decoder<'static>>),
    Xz(Frame<'a, Stream>),
}

impl<'a> Members<'a> {
    pub(super) fn new(format: Format, whole: Ahead<'a>, window_log_max: u32) -> io::Result<Self> {
        let mut members = Self {
            format,
            window_log_max,
            member: None,
            zeros: 0,
        };
        members.member = Some(members.begin(whole, None)?);
        Ok(members)
    }

    fn begin(&self, whole: Ahead<'a>, used: Option<Decoder<'static>>) -> io::Result<Member<'a>> {
        Ok(match self.format {
            Format::Gzip => Member::Gzip(GzDecoder::new(whole)),
            Format::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_MAX, 0)?;
                Member::Xz(Frame::new(whole, stream))
            }
            Format::Zstd => Member::Zstd(Frame::zstd(whole, self.window_log_max, used)?),
            Format::Zlib | Format::Plain | Format::Other(..) => {
                Member::Zlib(ZlibDecoder::new(whole))
            }
        })
    }

    /// The next member, if there is one.
    fn behind(&self, member: Member<'a>) -> io::Result<Option<Member<'a>>> {
        let (mut whole, used) = match member {
            Member::Gzip(member) => (member.into_inner(), None),
            Member::Zlib(member) => (member.into_inner(), None),
            Member::Xz(member) => (member.whole, None),
            Member::Zstd(member) => (member.whole, Some(member.decoder)),
        };
        if self.format == Format::Xz {
            skip_stream_padding(&mut whole)?;
        }
        if self.format.goes_on_with(whole.at_least(MAGIC_BYTES)?) {
            return self.begin(whole, used).map(Some);
        }
        match ignore(&mut whole)? {
            // Without the end marker of the tar archive, the ignored data may be the rest of it.
            Rest::Data if self.zeros < BLOCK_BYTES => Err(damaged(
                "the data after the compressed part, before the end of the archive,",
            )),
            _ => Ok(None),
        }
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = match member {
                Member::Gzip(member) => member.read(buffer),
                Member::Zlib(member) => member.read(buffer),
                Member::Zstd(member) => member.read(buffer),
                Member::Xz(member) => member.read(buffer),
            }?;
            if count > 0 || buffer.is_empty() {
                let read = &buffer[..count];
                let zeros = read.iter().rev().take_while(|byte| **byte == 0).count();
                self.zeros = match zeros == count {
                    true => self.zeros.saturating_add(count),
                    false => zeros,
                };
                return Ok(count);
            }
            self.member = match self.member.take() {
                Some(member) => self.behind(member)?,
                None => None,
            };
        }
        Ok(0)
    }
}

/// Skips the padding after an xz stream: a multiple of four zeros.
fn skip_stream_padding(whole: &mut Ahead<'_>) -> io::Result<()> {
    let mut bytes = 0;
    while whole.at_least(4)?.starts_with(&[0; 4]) {
        whole.consume(4);
        bytes += 4;
        if bytes > REST_BYTES_MAX {
            return Err(damaged("the data after the end, 64 MiB and more,"));
        }
    }
    Ok(())
}

/// The data after the last member.
#[derive(PartialEq, Eq)]
enum Rest {
    /// None, or zeros.
    Padding,
    /// Other data.
    Data,
}

/// Reads trailing data that is not a member: padding with zeros, or appended data.
fn ignore(rest: &mut Ahead<'_>) -> io::Result<Rest> {
    let (mut bytes, mut is_zero) = (0, true);
    loop {
        let there = rest.fill_buf()?;
        if there.is_empty() {
            break;
        }
        is_zero &= there.iter().all(|byte| *byte == 0);
        let count = there.len();
        rest.consume(count);
        bytes += count as u64;
        if bytes > REST_BYTES_MAX {
            return Err(damaged("the data after the end, 64 MiB and more,"));
        }
    }
    if is_zero {
        return Ok(Rest::Padding);
    }
    tracing::warn!(bytes, "the data after the compressed archive is ignored");
    Ok(Rest::Data)
}

/// One zstd frame or one xz stream.
struct Frame<'a, D> {
    whole: Ahead<'a>,
    decoder: D,
    has_ended: bool,
}

/// One step of decompression: bytes read, bytes written, and whether the end was reached.
trait Decode {
    fn step(&mut self, from: &[u8], to: &mut [u8]) -> io::Result<(usize, usize, bool)>;
}

impl Decode for Decoder<'_> {
    fn step(&mut self, from: &[u8], to: &mut [u8]) -> io::Result<(usize, usize, bool)> {
        let done = self.run_on_buffers(from, to)?;
        Ok((done.bytes_read, done.bytes_written, done.remaining == 0))
    }
}

impl Decode for Stream {
    fn step(&mut self, from: &[u8], to: &mut [u8]) -> io::Result<(usize, usize, bool)> {
        let (read, written) = (self.total_in(), self.total_out());
        let action = if from.is_empty() {
            Action::Finish
        } else {
            Action::Run
        };
        let status = self.process(from, to, action)?;
        let (read, written) = (self.total_in() - read, self.total_out() - written);
        Ok((read as usize, written as usize, status == Status::StreamEnd))
    }
}

impl<'a, D: Decode> Frame<'a, D> {
    fn new(whole: Ahead<'a>, decoder: D) -> Self {
        Self {
            whole,
            decoder,
            has_ended: false,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.has_ended && !buffer.is_empty() {
            let there = self.whole.fill_buf()?;
            let is_all = there.is_empty();
            let (read, written, has_ended) = self.decoder.step(there, buffer)?;
            self.whole.consume(read);
            self.has_ended = has_ended;
            if written > 0 {
                return Ok(written);
            }
            if is_all && !has_ended {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "it is cut short",
                ));
            }
        }
        Ok(0)
    }
}

impl<'a> Frame<'a, Decoder<'static>> {
    fn zstd(
        mut whole: Ahead<'a>,
        window_log_max: u32,
        used: Option<Decoder<'static>>,
    ) -> io::Result<Self> {
        let window = window_bytes(whole.at_least(ZSTD_HEADER_BYTES)?);
        if window > 1 << window_log_max {
            let (mib, max_mib) = (window >> 20, 1 << (window_log_max - 20));
            let what = format!(
                "zstd needs a window of {mib} MiB for it, and at most {max_mib} MiB are supported; \
                 compress it with `--long={window_log_max}` or less"
            );
            return Err(Unsupported(what).into());
        }
        let decoder = match used {
            Some(mut decoder) => {
                decoder.reinit()?;
                decoder
            }
            None => {
                let mut decoder = Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(window_log_max))?;
                decoder
            }
        };
        Ok(Self::new(whole, decoder))
    }
}

/// Whether a zstd frame holds no content, so that its header does not show how large a window the content needs.
pub(super) fn is_skippable(header: &[u8]) -> bool {
    matches!(header, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The window size in the header of a zstd frame; 0 if there is none.
pub(super) fn window_bytes(header: &[u8]) -> u64 {
    let [0x28, 0xb5, 0x2f, 0xfd, flags, fields @ ..] = header else {
        return 0;
    };
    let is_single = flags & 0x20 != 0;
    if !is_single {
        let described = u64::from(fields.first().copied().unwrap_or_default());
        let base = 1 << (10 + (described >> 3));
        return base + base / 8 * (described & 7);
    }
    // The content size is the window; it follows the dictionary id.
    let skipped = [0, 1, 2, 4][usize::from(flags & 3)];
    let length = fields.get(skipped..).unwrap_or_default();
    let number = |count: usize| {
        let bytes = length.iter().take(count).rev();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    match flags >> 6 {
        0 => number(1),
        1 => number(2) + 256,
        2 => number(4),
        _ => number(8),
    }
}
