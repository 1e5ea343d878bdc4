use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};
use tljournal::disk::{Call, Witness};

/// Before or after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// The call is not made.
    Before,
    /// The call is the last one that is made.
    After,
}

/// A moment before or after one mutating call of a run, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Moment {
    /// Before or after.
    pub when: When,
    /// The number of the call.
    pub call: u64,
}

impl Moment {
    /// The moments before and after every call, in order, without end.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..).flat_map(|call| [When::Before, When::After].map(|when| Self { when, call }))
    }
}

/// Kills the process with SIGKILL at a moment of its run.
///
/// If several threads make calls concurrently, calls are counted at their start and at their end.
///
/// No destructor runs and nothing is flushed, exactly as if another process killed it there.
#[derive(Debug)]
pub struct Kill {
    at: Moment,
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Kill {
    /// Kills the process at this moment.
    #[must_use]
    pub fn at(at: Moment) -> Self {
        let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { at, begun, ended }
    }

    fn strike(when: When, at: Moment, call: u64) {
        if at == (Moment { when, call }) {
            // Never reached, because the signal is delivered.
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}

impl Witness for Kill {
    fn before(&self, _: &Call<'_>) -> io::Result<()> {
        let call = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        Self::strike(When::Before, self.at, call);
        Ok(())
    }

    fn after(&self, _: &Call<'_>, _: Result<(), &io::Error>) {
        let call = self.ended.fetch_add(1, Ordering::AcqRel) + 1;
        Self::strike(When::After, self.at, call);
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.when {
            When::Before => "before",
            When::After => "after",
        };
        write!(f, "{when}-{}", self.call)
    }
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no moment: before-N or after-N");
        let (when, call) = text.split_once('-').ok_or_else(bad)?;
        let when = match when {
            "before" => When::Before,
            "after" => When::After,
            _ => return Err(bad()),
        };
        let call = call.parse().map_err(|_| bad())?;
        Ok(Self { when, call })
    }
}
