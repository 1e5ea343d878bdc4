use std::io;

use rustix::io::Errno;
use tljournal::disk::{Call, Lacks, Verb, Witness};

/// Simulates a kernel or filesystem without a feature: every such call is refused.
///
/// In front of a counting witness, refused calls are not counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lack {
    call: Option<(Verb, Errno)>,
    lacks: Lacks,
}

impl Lack {
    /// Returns this error for every call with this verb.
    #[must_use]
    pub fn of(verb: Verb, errno: Errno) -> Self {
        let call = Some((verb, errno));
        Self {
            call,
            ..Self::default()
        }
    }

    /// A filesystem that cannot exchange two entries.
    #[must_use]
    pub fn of_exchange() -> Self {
        Self::of(Verb::Exchange, Errno::INVAL)
    }

    /// A kernel without `openat2`.
    #[must_use]
    pub fn of_openat2() -> Self {
        let mut lack = Self::default();
        lack.lacks.openat2 = true;
        lack
    }

    /// A filesystem without birth times.
    #[must_use]
    pub fn of_birth_times() -> Self {
        let mut lack = Self::default();
        lack.lacks.birth_times = true;
        lack
    }

    /// A filesystem whose `syncfs` does nothing.
    #[must_use]
    pub fn of_syncfs() -> Self {
        let mut lack = Self::default();
        lack.lacks.syncfs = true;
        lack
    }

    /// A filesystem without `flock`.
    #[must_use]
    pub fn of_flock() -> Self {
        let mut lack = Self::default();
        lack.lacks.flock = true;
        lack
    }

    /// A filesystem without locks on bytes of a file.
    #[must_use]
    pub fn of_byte_locks() -> Self {
        let mut lack = Self::default();
        lack.lacks.byte_locks = true;
        lack
    }
}

impl Witness for Lack {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        match self.call {
            Some((verb, errno)) if call.verb == verb => Err(errno.into()),
            _ => Ok(()),
        }
    }

    fn lacks(&self) -> Lacks {
        self.lacks
    }
}
