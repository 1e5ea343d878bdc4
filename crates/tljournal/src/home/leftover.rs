//! Leftovers: files of ended transactions that could not be deleted.
//!
//! After a transaction is applied a failed cleanup is not an error of the command. What the system refuses to delete
//! is recorded here once, stays where it is, and is not tried again by the same user in the same boot, except by
//! `recover`, `gc` and `fsck --repair`. `fsck` reports it with the command that deletes it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::layout::TXN;
use crate::disk::{self, Dir};
use crate::error::{Damage, Error, chain};
use crate::model::TxnId;
use crate::tree::TreeError;

/// The leftovers, as far as this handle knows them.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The recorded leftovers, of all users.
    recorded: BTreeSet<String>,
    /// The leftovers that are not tried again, with the user whose rights did not suffice.
    tried: BTreeSet<(String, u32)>,
    changes: LeftoverChanges,
}

/// The changes to record.
#[derive(Debug, Default)]
pub(crate) struct LeftoverChanges {
    /// The leftovers that could not be deleted.
    pub(crate) left: Vec<Left>,
    /// Paths that no longer exist.
    pub(crate) cleared: Vec<String>,
}

/// The leftovers that could not be deleted.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) path: String,
    /// The user whose rights did not suffice: the owner of the home, for a cleanup by root.
    pub(crate) uid: u32,
    pub(crate) reason: String,
}

impl LeftoverChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty() && self.cleared.is_empty()
    }
}

/// The path of a transaction's directory.
pub(crate) fn txn_path(id: TxnId) -> String {
    format!("{TXN}/{id}")
}

impl Leftovers {
    /// Loads the recorded leftovers, each with the user with whose rights it was tried in this boot, if it was.
    pub(crate) fn know(&self, recorded: impl IntoIterator<Item = (String, Option<u32>)>) {
        let mut state = self.state();
        for (path, tried_by) in recorded {
            if let Some(uid) = tried_by {
                state.tried.insert((path.clone(), uid));
            }
            state.recorded.insert(path);
        }
    }

    /// Makes all leftovers be tried again.
    pub(crate) fn try_again(&self) {
        self.state().tried.clear();
    }

    /// Whether a leftover is not tried again.
    pub(crate) fn is_tried(&self, path: &str) -> bool {
        let attempt = (path.to_owned(), disk::writer());
        self.state().tried.contains(&attempt)
    }

    /// All recorded leftovers.
    pub(crate) fn recorded(&self) -> Vec<String> {
        self.state().recorded.iter().cloned().collect()
    }

    /// Runs a cleanup of `path`. `None` if it was refused and recorded: that is not an error.
    ///
    /// # Errors
    /// Only errors of the database as a whole.
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

    /// Records that something stays where it is.
    pub(crate) fn note(&self, path: &str, (dir, name): (&Dir, &OsStr), error: &Error) {
        let mut reason = chain(error);
        if is_of_the_moment(error) {
            tracing::warn!(path, reason, "a cleanup failed and is tried again later");
            return;
        }
        let uid = disk::writer();
        let obstacles = dir.obstacles(name, uid);
        for obstacle in obstacles.iter().chain(dir.read_only().as_ref()) {
            reason.push_str("; ");
            reason.push_str(&obstacle.to_string());
        }
        let mut state = self.state();
        if state.tried.insert((path.to_owned(), uid)) && state.recorded.insert(path.to_owned()) {
            tracing::warn!(
                path,
                reason,
                "a leftover cannot be deleted; `tljournal fsck` shows the command that deletes it"
            );
        }
        if state.changes.left.iter().all(|left| left.path != path) {
            let path = path.to_owned();
            state.changes.left.push(Left { path, uid, reason });
        }
    }

    /// Records that something no longer exists.
    pub(crate) fn is_gone(&self, path: &str) {
        let mut state = self.state();
        state.tried.retain(|(tried, _)| tried != path);
        if state.recorded.remove(path) {
            state.changes.cleared.push(path.to_owned());
        }
    }

    /// The changes since the last call.
    pub(crate) fn take_changes(&self) -> LeftoverChanges {
        std::mem::take(&mut self.state().changes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the reason is a temporary state of the machine, not a property of the leftover.
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
        // Another process was faster.
        Errno::NOENT,
    ];
    match error {
        Error::Disk(error) | Error::Source(TreeError::Disk(error)) => {
            passing.iter().any(|errno| error.is(*errno))
        }
        Error::Catalog(_) | Error::Lock(_) | Error::Usage(_) => true,
        _ => false,
    }
}
