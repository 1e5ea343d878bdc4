//! Differences between small texts, as diff(1) writes them.

use similar::{ChangeTag, TextDiff};

use crate::text::clean;

/// Longer files are not compared line by line.
pub(crate) const TEXT_BYTES_MAX: u64 = 256 << 10;
/// What has no line ends is no text that anybody reads.
const LINE_BYTES_MAX: usize = 4096;
/// Lines around a difference.
const CONTEXT: usize = 3;

/// A line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// Where it is.
    Place,
    /// It is in both.
    Same,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
}

/// The text of a file, if it is one that people read.
pub(crate) fn text(content: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(content).ok()?;
    let readable = !text.contains('\0') && text.lines().all(|line| line.len() <= LINE_BYTES_MAX);
    readable.then_some(text)
}

/// What differs between two texts, line by line, with what lies around it.
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

/// A line without what would move the cursor; tabs are what they are.
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
    fn what_differs_is_shown_with_its_surroundings() {
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
    fn what_nobody_reads_is_no_text() {
        assert_eq!(text(b"a\n"), Some("a\n"));
        assert_eq!(text(b"a\0b"), None);
        assert_eq!(text(b"\xff"), None);
        assert_eq!(text(&[b'x'; LINE_BYTES_MAX + 1]), None);
    }
}
