//! Hides secrets in text that is stored: arguments, errors, labels, and the output of commands.
//!
//! The forms of secrets are one table, `patterns`. A secret in another form is not hidden, and an ordinary word may
//! be hidden by mistake. The text that is passed on to the terminal or to another program is never changed.

mod args;
mod block;
mod patterns;
mod plain;
mod stream;

use std::borrow::Cow;

pub use args::redacted;
pub use stream::Redactor;

/// The replacement of a secret.
const HIDDEN: &str = "[redacted]";

/// A text with its secrets hidden.
#[must_use]
pub fn redacted_text(text: &str) -> Cow<'_, str> {
    if !patterns::may_hold_secret(text) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut redactor) = (Vec::with_capacity(text.len()), Redactor::default());
    redactor.push(text.as_bytes(), &mut out);
    redactor.finish(&mut out);
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The longest label of a transaction or run that is stored.
const LABEL_CHARS_MAX: usize = 1000;

/// The label of a transaction or run, as it is stored.
pub(crate) fn label(text: &str) -> String {
    redacted_within(text, LABEL_CHARS_MAX)
}

/// A text as it is stored: redacted and truncated.
pub(crate) fn redacted_within(text: &str, chars_max: usize) -> String {
    cut(&redacted_text(text), chars_max)
}

/// The start of a text, with a mark if it was truncated.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod forms;
#[cfg(test)]
mod tests;
