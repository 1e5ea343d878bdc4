//! Hides secrets in what is going to be stored: arguments, errors, labels, and the output of commands.
//!
//! What a secret looks like is one table, `patterns`. Whoever prints a secret in a form that is not there is not
//! saved by this; what is hidden too much is a word in a log. Nothing here is asked when a secret is passed on
//! to where it was going anyway.

mod args;
mod block;
mod patterns;
mod plain;
mod stream;

use std::borrow::Cow;

pub use args::redacted;
pub use stream::Redactor;

/// What stands in the place of a secret.
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

/// How long the name of a transaction or run may be: more than anybody reads of one.
const LABEL_CHARS_MAX: usize = 1000;

/// The name of a transaction or run, as it is stored.
pub(crate) fn label(text: &str) -> String {
    redacted_within(text, LABEL_CHARS_MAX)
}

/// A text as it is stored: its secrets hidden, and no longer than this.
pub(crate) fn redacted_within(text: &str, chars_max: usize) -> String {
    cut(&redacted_text(text), chars_max)
}

/// The beginning of a text, with a mark where it was cut.
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
