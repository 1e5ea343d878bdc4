use std::io;
use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;
use tljournal::disk::{Call, Verb, Witness};

/// Records every mutating call.
#[derive(Debug, Default)]
pub struct Count {
    calls: Mutex<Vec<(Verb, Utf8PathBuf)>>,
}

impl Count {
    /// The number of calls.
    #[must_use]
    pub fn count(&self) -> usize {
        self.calls().len()
    }

    /// The verbs and paths of all calls, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<(Verb, Utf8PathBuf)> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Witness for Count {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        let seen = (call.verb, call.path.to_owned());
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
        Ok(())
    }
}
