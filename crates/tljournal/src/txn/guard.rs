use std::fmt;

use super::begin::Transaction;
use crate::engine::Engine;
use crate::error::Error;

/// A condition that must hold under the commit lock for the transaction to be committed.
#[derive(Default)]
pub(super) struct Guard(Option<Check>);

type Check = Box<dyn FnMut(&Engine) -> Result<(), Error> + Send>;

impl Transaction {
    /// Adds a check that runs under the commit lock, before anything is committed.
    pub(crate) fn guard(
        &mut self,
        check: impl FnMut(&Engine) -> Result<(), Error> + Send + 'static,
    ) {
        self.guard = Guard(Some(Box::new(check)));
    }
}

impl Guard {
    pub(super) fn check(&mut self, engine: &Engine) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |check| check(engine))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Guard" } else { "-" })
    }
}
