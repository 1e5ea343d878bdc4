use std::ops::Range;

/// The largest size of a block; longer text is not treated as one.
const BYTES_MAX: usize = 64 << 10;
/// The shortest line of a private key.
const KEY_LINE_BYTES_MIN: usize = 16;

/// Lines that hold a secret because of the line before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    kind: Kind,
    /// The indentation of the line before them.
    indent: usize,
    /// The number of bytes read so far.
    passed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All lines that are indented further (`password: |`).
    Text,
    /// The items of a list (`passwords:`).
    List,
    /// Lines of base64 (`Private-Lines: 2`).
    Key,
}

impl Block {
    /// The block that a line starts.
    pub(super) fn begun_by(line: &[u8]) -> Option<Self> {
        if line.starts_with(b"-----") {
            return None;
        }
        let line = line.trim_ascii_end();
        let is_key = |line: &[u8]| {
            line.to_ascii_lowercase()
                .windows(14)
                .any(|part| part == b"private-lines:")
        };
        let kind = match line.last() {
            Some(b':') => Kind::List,
            Some(_) if is_key(line) => Kind::Key,
            _ => Kind::Text,
        };
        let of_indent = |byte: &u8| matches!(byte, b' ' | b'\t' | b'-');
        let indent = line.iter().take_while(|byte| of_indent(byte)).count();
        let passed = 0;
        Some(Self {
            kind,
            indent,
            passed,
        })
    }

    /// The secret part of a non-blank line; `None` if the block is over.
    pub(super) fn secret(&mut self, line: &[u8]) -> Option<Range<usize>> {
        self.passed += line.len();
        if self.passed > BYTES_MAX {
            return None;
        }
        let text = line.trim_ascii_start();
        let indent = line.len() - text.len();
        match self.kind {
            Kind::Text => (indent > self.indent).then_some(indent..line.len()),
            Kind::List => {
                let item = text.strip_prefix(b"- ").filter(|_| indent >= self.indent)?;
                let is_map = item.ends_with(b":") || item.windows(2).any(|part| part == b": ");
                let begin = line.len() - item.trim_ascii_start().len();
                (!is_map).then_some(begin..line.len())
            }
            Kind::Key => {
                let of_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
                let text = text.trim_ascii_end();
                let is_it = text.len() >= KEY_LINE_BYTES_MIN && text.iter().all(of_key);
                is_it.then_some(indent..line.len())
            }
        }
    }
}
