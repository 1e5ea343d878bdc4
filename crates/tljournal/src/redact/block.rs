use std::ops::Range;

/// How much may be in one: what goes on for longer is none.
const BYTES_MAX: usize = 64 << 10;
/// The shortest line of a private key.
const KEY_LINE_BYTES_MIN: usize = 16;

/// Lines that are a secret, because of the line in front of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    kind: Kind,
    /// How far the line in front of them is indented.
    indent: usize,
    /// How many bytes have gone by.
    passed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All that is indented further (`password: |`).
    Text,
    /// The items of a list (`passwords:`).
    List,
    /// Lines of base64 (`Private-Lines: 2`).
    Key,
}

impl Block {
    /// The block that a line begins.
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

    /// What is to be hidden of a line, which is not blank; `None` if the block is over.
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
