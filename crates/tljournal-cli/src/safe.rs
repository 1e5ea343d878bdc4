//! The last step before a terminal. Callers escape what they print with `text::clean`; what a caller or a library
//! (such as the parser of the command line) misses is escaped here. All human-readable output and all JSON goes
//! through [`Safe`].

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::text::is_unsafe;

/// Passes lines on, and escapes everything that could control a terminal or change the writing direction. Colours
/// stay. A line is passed on when it is complete, or on `flush`.
pub(crate) struct Safe<W> {
    inner: W,
    form: Form,
    held: Vec<u8>,
}

/// How a character is escaped.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// As in a Rust string.
    Text,
    /// As in a JSON string, the only place where such a character can be.
    Json,
}

impl<W: Write> Safe<W> {
    /// For human-readable text.
    pub(crate) fn text(inner: W) -> Self {
        let (form, held) = (Form::Text, Vec::new());
        Self { inner, form, held }
    }

    /// For JSON, which keeps its meaning.
    pub(crate) fn json(inner: W) -> Self {
        let (form, held) = (Form::Json, Vec::new());
        Self { inner, form, held }
    }

    fn pass(&mut self, end: usize) -> io::Result<()> {
        let rest = self.held.split_off(end);
        let lines = std::mem::replace(&mut self.held, rest);
        self.inner.write_all(escaped(&lines, self.form).as_bytes())
    }
}

impl<W: Write> Write for Safe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let held = self.held.len();
        self.held.extend(bytes);
        if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
            self.pass(held + last + 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass(self.held.len())?;
        self.inner.flush()
    }
}

/// The escaped text.
pub(crate) fn escaped_text(text: &str) -> String {
    escaped(text.as_bytes(), Form::Text)
}

/// The escaped JSON.
pub(crate) fn escaped_json(json: &str) -> String {
    escaped(json.as_bytes(), Form::Json)
}

fn escaped(bytes: &[u8], form: Form) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(c) = rest.chars().next() {
            let own = own_sequence(rest, form);
            let taken = own.max(c.len_utf8());
            match own > 0 || matches!(c, '\n' | '\t') || !is_unsafe(c) {
                true => out.push_str(&rest[..taken]),
                false => escape(c, form, &mut out),
            }
            rest = &rest[taken..];
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = match form {
                Form::Text => write!(out, "\\x{byte:02x}"),
                Form::Json => write!(out, "\u{fffd}"),
            };
        }
    }
    out
}

fn escape(c: char, form: Form, out: &mut String) {
    match form {
        Form::Text => out.extend(c.escape_default()),
        Form::Json => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

/// The length of the escape sequence at the start of a text, if this program writes it: a colour, or the one that
/// clears the line of a progress display.
fn own_sequence(text: &str, form: Form) -> usize {
    const CLEARED: &str = "\r\u{1b}[K";
    if matches!(form, Form::Json) {
        return 0;
    }
    if text.starts_with(CLEARED) {
        return CLEARED.len();
    }
    let Some(colour) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let end = colour.find(|c: char| !c.is_ascii_digit() && c != ';');
    match end.map(|end| (end, &colour[end..])) {
        Some((end, rest)) if rest.starts_with('m') => "\u{1b}[m".len() + end,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{1b}[2J\rb\u{7f}";

    #[test]
    fn g8_nothing_but_colours_reaches_a_terminal_raw() {
        let shown = escaped_text(&format!("\u{1b}[1;31m{HOSTILE}\u{1b}[0m\tü\n"));
        let expected =
            "\u{1b}[1;31ma\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{202e}\\u{1b}[2J\\rb\\u{7f}\u{1b}[0m\tü\n";
        assert_eq!(shown, expected);
        assert_eq!(escaped(b"a\xffb\x9b", Form::Text), "a\\xffb\\x9b");
        assert_eq!(escaped_text(&shown), shown);
    }

    #[test]
    fn g8_json_is_the_same_json_without_control_characters() {
        let value = serde_json::json!({"text": HOSTILE, "n": [1, null]});
        let line = escaped_json(&value.to_string());
        assert!(
            line.is_ascii() && !line.chars().any(char::is_control),
            "{line}"
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn the_result_does_not_depend_on_how_a_stream_is_split() {
        let mut out = Vec::new();
        let mut safe = Safe::text(&mut out);
        for byte in format!("{HOSTILE}ü\n{HOSTILE}").bytes() {
            safe.write_all(&[byte]).unwrap();
        }
        safe.flush().unwrap();
        let whole = escaped_text(&format!("{HOSTILE}ü\n{HOSTILE}"));
        assert_eq!(String::from_utf8(out).unwrap(), whole);
    }
}
