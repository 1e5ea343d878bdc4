use std::fmt;
use std::io;
use std::sync::Once;

use tljournal::disk::{Call, Verb, Witness};

/// Simulates another program that changes something right before the first call of a kind.
pub struct Meddle<F> {
    before: Verb,
    act: F,
    done: Once,
}

impl<F: Fn() + Send + Sync> Meddle<F> {
    /// Calls `act` once, before the first call with this verb.
    pub fn before_first(verb: Verb, act: F) -> Self {
        let (before, done) = (verb, Once::new());
        Self { before, act, done }
    }

    /// Whether `act` was called.
    pub fn is_done(&self) -> bool {
        self.done.is_completed()
    }
}

impl<F: Fn() + Send + Sync> Witness for Meddle<F> {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        if call.verb == self.before {
            self.done.call_once(|| (self.act)());
        }
        Ok(())
    }
}

impl<F> fmt::Debug for Meddle<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meddle")
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}
