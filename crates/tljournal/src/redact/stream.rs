use std::ops::Range;

use super::HIDDEN;
use super::block::Block;
use super::patterns::{self, Search, What};

/// The longest line that is looked at as a whole, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// How much of a longer line is looked at beyond what is told of it, so that a secret is not cut in two.
const AHEAD_BYTES: usize = 8 << 10;

/// Longest private key. What does not end after that is none.
const KEY_BYTES_MAX: usize = 64 << 10;

/// What could follow on a line that is not ended yet, and show that a secret has begun.
const PROBES: [&str; 7] = [
    "x</",
    "xxxxxxxxxxxxxxxxxxxxxxxx",
    "\"x",
    ": \"x",
    "= \"x",
    "PRIVATE KEY-----",
    "KEY-----",
];

/// Hides the secrets in a stream of bytes, line by line; nothing else is changed. How the stream is cut into
/// pieces makes no difference.
#[derive(Debug, Default)]
pub struct Redactor {
    /// The beginning of a line.
    pending: Vec<u8>,
    /// How much of it has been told.
    told: usize,
    within: Within,
}

/// What the last piece ended in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Text,
    /// A private key, of which so much has gone by.
    Key(usize),
    /// A secret that was too long to be seen whole.
    Secret,
    /// Lines that are a secret, at the end of one of them.
    Block(Block),
    /// A line of them whose end has not been seen.
    BlockLine(Block),
}

impl Redactor {
    /// Takes the next piece, and adds to `out` whatever lines are whole by then.
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

    /// Whether something has been taken and not been told.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.told < self.pending.len()
    }

    /// Adds what can be told of a line that is not ended yet, because nothing has come for a while: all but
    /// its last word, and what would hide the next one.
    pub fn pause(&mut self, out: &mut Vec<u8>) {
        if let Within::Block(_) = self.within {
            // Only a whole line says whether it belongs to it.
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let most = safe(&pending).max(self.told);
        self.told = self.tell(&pending, self.told..most, out);
        self.pending = pending;
    }

    /// Adds what is left, because there will be no more, or none of this line.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let pending = std::mem::take(&mut self.pending);
        let told = std::mem::take(&mut self.told);
        self.tell(&pending, told..pending.len(), out);
    }

    /// Tells all lines that are whole, and of one that is too long what is not near its end. Returns how much
    /// that is.
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

    /// Tells so much of a text, and a secret that reaches further; returns where that ends.
    fn tell(&mut self, text: &[u8], what: Range<usize>, out: &mut Vec<u8>) -> usize {
        let (mut at, most, mut search) = (what.start, what.end, Search::of(text));
        // A form may begin in what has been told of a line.
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
                            // Without its end the line may go on.
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

    /// Passes one line of a block, or the end of a line; says how much that was.
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

    /// How much of a text is a private key still, of which so much has gone by.
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

/// How much of the beginning of a line holds no secret, whatever follows.
fn safe(line: &[u8]) -> usize {
    let word = line.iter().rposition(u8::is_ascii_whitespace);
    let words = word.map_or(0, |last| last + 1);
    let begun = PROBES.iter().filter_map(|probe| reaches_into(line, probe));
    begun.min().unwrap_or(words).min(words)
}

/// Where a secret begins that would reach into what follows a line.
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
