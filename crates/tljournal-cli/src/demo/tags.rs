//! Small files that are written together, and say themselves whether they are whole.

use tljournal::Digest;

/// The two files that always have one content.
pub(super) const PAIR: [&str; 2] = ["build/state/left", "build/state/right"];

/// The file that a worker counts its commits in.
pub(super) fn counter(role: &str) -> String {
    format!("build/state/count/{role}")
}

/// A text that says by its last line whether it is whole.
pub(super) fn sealed(text: &str) -> String {
    format!("{text}\n{}\n", Digest::of(text.as_bytes()))
}

/// The text of a whole file; `None` if it is empty, cut short or mixed up.
pub(super) fn unsealed(content: &str) -> Option<&str> {
    let (text, seal) = content.strip_suffix('\n')?.rsplit_once('\n')?;
    (Digest::of(text.as_bytes()).to_string() == seal).then_some(text)
}
