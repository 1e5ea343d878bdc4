//! The common parts of the demo's processes.

use std::io;

use camino::Utf8PathBuf;
use tljournal::{Error, Journal};
use tljournal_testkit::{Random, Tell, tell};

use super::plan::{PROJECT, Plan};
use super::{Child, hear, reader, worker};
use crate::exit::Exit;
use crate::failure::Failure;

/// One of the demo's processes.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) role: String,
    pub(super) place: Utf8PathBuf,
    pub(super) plan: Plan,
    pub(super) random: Random,
    /// The number that was last made durable.
    pub(super) last: u64,
}

/// Why a process ends.
#[derive(Debug)]
pub(super) enum End {
    /// The demo has ended.
    Alone,
    /// A call failed that must succeed.
    Refused(Failure),
}

/// Works or reads until it is killed, or the demo ends.
pub(super) fn run(child: &Child, seed: u64) -> Result<Exit, Failure> {
    hear::start();
    let mut life = Life {
        role: child.role.clone(),
        place: child.place.clone(),
        plan: Plan::read(&child.place)?,
        random: Random::new(seed),
        last: child.last,
    };
    let ended = match child.role.starts_with("reader") {
        true => reader::live(&mut life),
        false => worker::live(&mut life),
    };
    match ended {
        Err(End::Refused(failure)) => Err(failure),
        Ok(()) | Err(End::Alone) => Ok(Exit::Done),
    }
}

impl Life {
    pub(super) fn root(&self) -> Utf8PathBuf {
        self.place.join(PROJECT)
    }

    pub(super) fn open(&self) -> Result<Journal, End> {
        let journal = Journal::open(self.root())?;
        let rolled_back = journal.recovery().rolled_back;
        if rolled_back > 0 {
            let finished = 0;
            tell(&Tell::Recovered {
                finished,
                rolled_back,
            })?;
        }
        Ok(journal)
    }

    /// Reports a violated guarantee.
    pub(super) fn violation(&self, text: impl Into<String>) -> Result<(), End> {
        Ok(tell(&Tell::Violation(text.into()))?)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Alone
    }
}
