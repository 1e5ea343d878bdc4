use std::io;

use rustix::io::Errno;
use tljournal::disk::{Call, Verb, Witness};

/// Plays a filesystem that cannot do one thing: every such call is refused.
///
/// Put it in front of a witness that counts, which is then not told of what was refused.
#[derive(Debug, Clone, Copy)]
pub struct Lack {
    verb: Verb,
    errno: Errno,
}

impl Lack {
    /// Answers this to every call with this verb.
    #[must_use]
    pub fn of(verb: Verb, errno: Errno) -> Self {
        Self { verb, errno }
    }

    /// A filesystem that cannot exchange two entries.
    #[must_use]
    pub fn of_exchange() -> Self {
        Self::of(Verb::Exchange, Errno::INVAL)
    }
}

impl Witness for Lack {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        match call.verb == self.verb {
            true => Err(self.errno.into()),
            false => Ok(()),
        }
    }
}
