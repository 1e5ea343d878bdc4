//! Small files that are written together, each with a checksum.

use tljournal::Digest;

/// The two files that always have the same content.
pub(super) const PAIR: [&str; 2] = ["build/state/left", "build/state/right"];

/// The file in which a worker counts its commits.
pub(super) fn counter(role: &str) -> String {
    format!("build/state/count/{role}")
}

/// A text with a digest as its last line.
pub(super) fn sealed(text: &str) -> String {
    format!("{text}\n{}\n", Digest::of(text.as_bytes()))
}

/// The text of a complete file; `None` if it is empty, truncated or mixed.
pub(super) fn unsealed(content: &str) -> Option<&str> {
    let (text, seal) = content.strip_suffix('\n')?.rsplit_once('\n')?;
    (Digest::of(text.as_bytes()).to_string() == seal).then_some(text)
}
