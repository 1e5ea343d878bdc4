use std::ops::Range;

use super::HIDDEN;
use super::block::Block;
use super::patterns::{self, Search, What};

/// The longest line that is examined as a whole, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// How far a longer line is examined beyond the part that is written, so that no secret is split.
const AHEAD_BYTES: usize = 8 << 10;

/// The longest private key. Longer text is not treated as one.
const KEY_BYTES_MAX: usize = 64 << 10;

/// Possible continuations of an incomplete line that would show that a secret has begun.
const PROBES: [&str; 7] = [
    "x</",
    "xxxxxxxxxxxxxxxxxxxxxxxx",
    "\"x",
    ": \"x",
    "= \"x",
    "PRIVATE KEY-----",
    "KEY-----",
];

/// Hides secrets in a stream of bytes line by line and changes nothing else. The result does not depend on how the
/// stream is split into pieces.
#[derive(Debug, Default)]
pub struct Redactor {
    /// The start of a line.
    pending: Vec<u8>,
    /// How much of it has been written.
    told: usize,
    within: Within,
}

/// The state at the end of the last piece.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Text,
    /// In a private key, with the number of bytes so far.
    Key(usize),
    /// In a secret that was too long to be matched as a whole.
    Secret,
    /// In a block of secret lines, at the end of a line.
    Block(Block),
    /// In a line of a block whose end has not arrived.
    BlockLine(Block),
}

impl Redactor {
    /// Takes the next piece and appends the lines that are now complete to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.pending.is_empty() {
            let told = self.lines(bytes, out);
            self.pending.extend_from_slice(&bytes[told..]);
        } else {
            let mut pending = std::mem::take(&mut self.pending);
            pending.extend_from_slice(bytes);
            let told = self.lines(&pending, out);
            pending.drain(..told);
            self.pending = pending;
        }
    }

    /// Whether input has been taken that is not written yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.told < self.pending.len()
    }

    /// Appends what is safe of an incomplete line, after a pause in the input: everything but its last word, and
    /// anything that affects whether the next word is hidden.
    pub fn pause(&mut self, out: &mut Vec<u8>) {
        if let Within::Block(_) = self.within {
            // Only a complete line shows whether it belongs to the block.
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let most = safe(&pending).max(self.told);
        self.told = self.tell(&pending, self.told..most, out);
        self.pending = pending;
    }

    /// Appends the rest, because the input or this line ends.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let pending = std::mem::take(&mut self.pending);
        let told = std::mem::take(&mut self.told);
        self.tell(&pending, told..pending.len(), out);
    }

    /// Writes all complete lines, and of a line that is too long the part that is not near its end. Returns the
    /// number of bytes consumed.
    fn lines(&mut self, text: &[u8], out: &mut Vec<u8>) -> usize {
        let (mut begin, mut end) = (0, 0);
        let mut told = self.told;
        loop {
            let rest = &text[end..];
            let line = &rest[..rest.len().min(LINE_BYTES_MAX)];
            match line.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                Some(last) => end += last + 1,
                None if line.len() < LINE_BYTES_MAX => break,
                None => {
                    self.tell(&text[begin..end], told - begin..end - begin, out);
                    told = told.max(end);
                    let ends = self.tell(line, told - end..line.len() - AHEAD_BYTES, out);
                    if ends == line.len() {
                        self.within = Within::Secret;
                    }
                    told = told.max(end + ends);
                    (begin, end) = (told, told);
                }
            }
        }
        if begin < end {
            self.tell(&text[begin..end], told - begin..end - begin, out);
            told = end;
        }
        self.told = told - end;
        end
    }

    /// Writes a range of a text and a secret that extends beyond it; returns where that ends.
    fn tell(&mut self, text: &[u8], what: Range<usize>, out: &mut Vec<u8>) -> usize {
        let (mut at, most, mut search) = (what.start, what.end, Search::of(text));
        // A form may begin in the part of a line that is already written.
        let mut from = 0;
        while at < most {
            match self.within {
                Within::Key(passed) => {
                    at += self.pass_key(passed, &text[at..], most - at);
                    from = at;
                }
                Within::Secret => {
                    let rest = &text[at..];
                    let end = rest.iter().position(u8::is_ascii_whitespace);
                    at += end.unwrap_or(rest.len());
                    from = at;
                    if end.is_some() {
                        self.within = Within::Text;
                    }
                }
                Within::Block(block) => {
                    at += self.pass_block_line(block, &text[at..], out);
                    from = at;
                }
                Within::BlockLine(block) => {
                    let end = text[at..].iter().position(is_line_end);
                    at += end.unwrap_or(text.len() - at);
                    from = at;
                    if end.is_some() {
                        self.within = Within::Block(block);
                    }
                }
                Within::Text => {
                    let found = search.next(from);
                    let Some(found) = found.filter(|found| found.whole.start < most) else {
                        out.extend_from_slice(&text[at..most]);
                        return most;
                    };
                    let end = found.whole.end;
                    let hidden = match &found.what {
                        What::Secret(secret) => secret.clone(),
                        What::Key => end..end,
                        What::Block(block) => {
                            // Without a line end the line may continue.
                            if text.get(end).is_some_and(is_line_end) && end <= most {
                                self.within = Within::Block(*block);
                            }
                            out.extend_from_slice(&text[at..end.max(at).min(most)]);
                            at = end.max(at).min(most);
                            from = end;
                            continue;
                        }
                    };
                    from = hidden.end;
                    if hidden.end <= at {
                        continue;
                    }
                    if let What::Key = found.what {
                        self.within = Within::Key(0);
                    }
                    out.extend_from_slice(&text[at..hidden.start.max(at)]);
                    out.extend_from_slice(HIDDEN.as_bytes());
                    at = hidden.end;
                }
            }
        }
        at
    }

    /// Consumes one line of a block, or the end of a line; returns its length.
    fn pass_block_line(&mut self, block: Block, text: &[u8], out: &mut Vec<u8>) -> usize {
        let end = text.iter().position(is_line_end);
        let line = &text[..end.unwrap_or(text.len())];
        if line.trim_ascii().is_empty() {
            let passed = line.len() + usize::from(end.is_some());
            out.extend_from_slice(&text[..passed]);
            return passed;
        }
        let mut block = block;
        let Some(secret) = block.secret(line) else {
            self.within = Within::Text;
            return 0;
        };
        out.extend_from_slice(&line[..secret.start]);
        out.extend_from_slice(HIDDEN.as_bytes());
        self.within = match end {
            Some(_) => Within::Block(block),
            None => Within::BlockLine(block),
        };
        line.len()
    }

    /// How much of a text still belongs to a private key, after `passed` bytes of it.
    fn pass_key(&mut self, passed: usize, text: &[u8], most: usize) -> usize {
        let room = KEY_BYTES_MAX - passed;
        let end = patterns::key_end(text).unwrap_or(usize::MAX).min(room);
        self.within = match end <= most {
            true => Within::Text,
            false => Within::Key(passed + most),
        };
        end.min(most)
    }
}

fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// The length of the start of a line that holds no secret, whatever follows.
fn safe(line: &[u8]) -> usize {
    let word = line.iter().rposition(u8::is_ascii_whitespace);
    let words = word.map_or(0, |last| last + 1);
    let begun = PROBES.iter().filter_map(|probe| reaches_into(line, probe));
    begun.min().unwrap_or(words).min(words)
}

/// The start of a secret that would extend into what follows a line.
fn reaches_into(line: &[u8], next: &str) -> Option<usize> {
    let text = [line, next.as_bytes()].concat();
    let (mut at, mut search) = (0, Search::of(&text));
    while let Some(found) = search.next(at) {
        if found.whole.end > line.len() {
            return Some(found.whole.start);
        }
        at = found.whole.end.max(at + 1);
    }
    None
}
