//! What is over and cannot be cleared away.
//!
//! After a transaction is applied nothing that goes wrong is an error of a command. What the system refuses is
//! noted here once, stays where it is, and is not tried again by the same user in the same boot, unless
//! that is asked for (`recover`, `gc`, `fsck --repair`). `fsck` shows it with the command that deletes it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::layout::TXN;
use crate::ambient;
use crate::disk::Dir;
use crate::error::{Damage, Error, chain};
use crate::model::TxnId;

/// What cannot be cleared away, as far as this handle knows.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What is recorded, whoever tried it.
    recorded: BTreeSet<String>,
    /// What is not to be tried again.
    tried: BTreeSet<String>,
    changes: LeftoverChanges,
}

/// What is to be recorded.
#[derive(Debug, Default)]
pub(crate) struct LeftoverChanges {
    /// What could not be cleared away, below `.state`, and why.
    pub(crate) left: Vec<(String, String)>,
    /// What is not there any more.
    pub(crate) cleared: Vec<String>,
}

impl LeftoverChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty() && self.cleared.is_empty()
    }
}

/// What the directory of a transaction is called here.
pub(crate) fn txn_path(id: TxnId) -> String {
    format!("{TXN}/{id}")
}

impl Leftovers {
    /// Learns what is recorded, and which of that this user has tried in this boot.
    pub(crate) fn know(&self, recorded: impl IntoIterator<Item = (String, bool)>) {
        let mut state = self.state();
        for (path, is_tried) in recorded {
            if is_tried {
                state.tried.insert(path.clone());
            }
            state.recorded.insert(path);
        }
    }

    /// Has everything be tried again.
    pub(crate) fn try_again(&self) {
        self.state().tried.clear();
    }

    /// Whether something is not to be tried.
    pub(crate) fn is_tried(&self, path: &str) -> bool {
        self.state().tried.contains(path)
    }

    /// Everything that is recorded.
    pub(crate) fn recorded(&self) -> Vec<String> {
        self.state().recorded.iter().cloned().collect()
    }

    /// Clears something away that is over; `path` is what it is called here. `None` if it was left where it
    /// is: that is noted, and is nobody's error.
    ///
    /// # Errors
    /// Only what is wrong with the database as a whole.
    pub(crate) fn attempt<T>(
        &self,
        path: &str,
        (dir, name): (&Dir, &OsStr),
        clear: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match clear() {
            Ok(done) => Ok(Some(done)),
            Err(error @ (Error::Damaged(Damage::Catalog { .. }) | Error::Replaced { .. })) => {
                Err(error)
            }
            Err(error) => {
                self.note(path, (dir, name), &error);
                Ok(None)
            }
        }
    }

    /// Notes that something is left where it is.
    pub(crate) fn note(&self, path: &str, (dir, name): (&Dir, &OsStr), error: &Error) {
        let mut reason = chain(error);
        if is_of_the_moment(error) {
            tracing::warn!(
                path,
                reason,
                "something that is over stays until the next time"
            );
            return;
        }
        let obstacles = dir.obstacles(name, ambient::uid());
        for obstacle in obstacles.iter().chain(dir.read_only().as_ref()) {
            reason.push_str("; ");
            reason.push_str(&obstacle.to_string());
        }
        let mut state = self.state();
        if state.tried.insert(path.to_owned()) && state.recorded.insert(path.to_owned()) {
            tracing::warn!(
                path,
                reason,
                "something that is over cannot be cleared away; `tljournal fsck` says what does that"
            );
        }
        if state.changes.left.iter().all(|(other, _)| other != path) {
            state.changes.left.push((path.to_owned(), reason));
        }
    }

    /// Notes that something is not there any more.
    pub(crate) fn is_gone(&self, path: &str) {
        let mut state = self.state();
        state.tried.remove(path);
        if state.recorded.remove(path) {
            state.changes.cleared.push(path.to_owned());
        }
    }

    /// What was noted since this was asked last.
    pub(crate) fn take_changes(&self) -> LeftoverChanges {
        std::mem::take(&mut self.state().changes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the reason is what the machine lacks at this moment, and not what is to be cleared away.
fn is_of_the_moment(error: &Error) -> bool {
    let passing = [
        Errno::IO,
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::INTR,
        Errno::AGAIN,
        // Somebody else was faster.
        Errno::NOENT,
    ];
    match error {
        Error::Disk(error) => passing.iter().any(|errno| error.is(*errno)),
        Error::Catalog(_) | Error::Lock(_) | Error::Usage(_) => true,
        _ => false,
    }
}
