use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::Regex;

/// First characters of noise: terminal colour sequences, and the zero bytes of UTF-16.
pub(super) const NOISE: [char; 2] = ['\u{1b}', '\0'];

/// A text without terminal colour sequences and zero bytes: `pass<ESC>[0mword` is a password.
pub(super) struct Plain<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// The position of each byte in the original, if anything was removed.
    at: Option<Vec<usize>>,
    original_len: usize,
}

impl<'a> Plain<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        let original_len = text.len();
        if !text.iter().any(|byte| NOISE.contains(&char::from(*byte))) {
            let bytes = Cow::Borrowed(text);
            let at = None;
            return Self {
                bytes,
                at,
                original_len,
            };
        }
        let (mut bytes, mut at) = (Vec::with_capacity(text.len()), Vec::new());
        let mut from = 0;
        let noise = noise().find_iter(text).map(|found| found.range());
        for found in noise.chain(std::iter::once(original_len..original_len)) {
            bytes.extend(&text[from..found.start]);
            at.extend(from..found.start);
            from = found.end;
        }
        Self {
            bytes: Cow::Owned(bytes),
            at: Some(at),
            original_len,
        }
    }

    /// The position in this text of a position in the original, or of what follows if it was removed.
    pub(super) fn plain(&self, original: usize) -> usize {
        match &self.at {
            Some(at) => at.partition_point(|at| *at < original),
            None => original,
        }
    }

    /// The range in the original of a range in this text.
    pub(super) fn original(&self, plain: Range<usize>) -> Range<usize> {
        let Some(at) = &self.at else {
            return plain;
        };
        let start = at.get(plain.start).copied().unwrap_or(self.original_len);
        let end = match plain.end.checked_sub(1) {
            Some(last) if last >= plain.start => at[last] + 1,
            _ => start,
        };
        start..end
    }
}

fn noise() -> &'static Regex {
    static NOISE: OnceLock<Regex> = OnceLock::new();
    NOISE.get_or_init(|| match Regex::new(r"(?-u)\x1b\[[0-9;:?]*[A-Za-z]|\x00") {
        Ok(built) => built,
        Err(error) => unreachable!("the pattern is a constant: {error}"),
    })
}
