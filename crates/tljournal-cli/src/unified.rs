//! Differences between small texts, in the format of diff(1).

use similar::{ChangeTag, TextDiff};

use crate::text::clean;

/// The largest file that is compared line by line.
pub(crate) const TEXT_BYTES_MAX: u64 = 256 << 10;
/// The longest line of a file that counts as text.
const LINE_BYTES_MAX: usize = 4096;
/// The number of context lines.
const CONTEXT: usize = 3;

/// The kind of a line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// A position.
    Place,
    /// In both texts.
    Same,
    /// Added.
    Added,
    /// Removed.
    Removed,
}

/// The text of a file, if it is readable text.
pub(crate) fn text(content: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(content).ok()?;
    let readable = !text.contains('\0') && text.lines().all(|line| line.len() <= LINE_BYTES_MAX);
    readable.then_some(text)
}

/// The lines that differ between two texts, with context.
pub(crate) fn lines(old: &str, new: &str) -> Vec<(Line, String)> {
    let diff = TextDiff::from_lines(old, new);
    let mut found = Vec::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        found.push((Line::Place, hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let (line, sign) = match change.tag() {
                ChangeTag::Equal => (Line::Same, ' '),
                ChangeTag::Insert => (Line::Added, '+'),
                ChangeTag::Delete => (Line::Removed, '-'),
            };
            let value = change.value();
            let text = value.strip_suffix('\n').unwrap_or(value);
            found.push((line, format!("{sign}{}", legible(text))));
            if change.missing_newline() {
                found.push((Line::Place, "\\ No newline at end of file".to_owned()));
            }
        }
    }
    found
}

/// A line with control characters escaped, except tabs.
fn legible(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(clean).collect();
    parts.join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> Vec<String> {
        lines(old, new).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn differences_are_shown_with_context() {
        let old: String = (1..=9).map(|line| format!("{line}\n")).collect();
        let new = old.replace("8\n", "acht\n");
        let expected = ["@@ -5,5 +5,5 @@", " 5", " 6", " 7", "-8", "+acht", " 9"];
        assert_eq!(shown(&old, &new), expected);
        assert!(shown(&old, &old).is_empty());
    }

    #[test]
    fn a_missing_line_end_and_tabs_are_shown_and_escapes_are_not_sent() {
        let expected = [
            "@@ -1 +1 @@",
            "-a",
            "+\tb\\u{1b}[m",
            "\\ No newline at end of file",
        ];
        assert_eq!(shown("a\n", "\tb\u{1b}[m"), expected);
    }

    #[test]
    fn binary_content_is_not_text() {
        assert_eq!(text(b"a\n"), Some("a\n"));
        assert_eq!(text(b"a\0b"), None);
        assert_eq!(text(b"\xff"), None);
        assert_eq!(text(&[b'x'; LINE_BYTES_MAX + 1]), None);
    }
}
