use camino::{Utf8Path, Utf8PathBuf};
use tljournal::{Conflict, ConflictKind, Expect, LockMode, OnPinned};

use super::LOCK;
use crate::{Error, State};

/// The name of the link to the latest outputs.
pub const LATEST: &str = "latest";

impl State {
    /// Removes everything at these paths below the project, in one transaction; returns for each path whether it
    /// existed. Content is moved away and deleted afterwards, including read-only directories; a pinned tree is kept
    /// for its readers, waited for, or refused.
    ///
    /// # Errors
    /// The errors of [`Transaction::remove_with`](tljournal::Transaction::remove_with) and of a commit.
    pub fn clean<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a str>,
        on_pinned: OnPinned,
    ) -> Result<Vec<Utf8PathBuf>, Error> {
        let mut paths: Vec<_> = paths.into_iter().map(Utf8Path::new).collect();
        paths.sort_unstable();
        // A path inside another one is removed with it.
        paths.dedup_by(|path, above| path.starts_with(above));
        let mut txn = self.journal.begin("clean");
        for path in &paths {
            txn.remove_with(path.as_str(), Expect::Any, on_pinned)?;
        }
        let prepared = txn.prepare()?;
        // The wait for a pin must not hold a lock.
        let _lock = match on_pinned {
            OnPinned::Wait => None,
            _ => Some(
                self.journal
                    .lock(LOCK, LockMode::Exclusive, "clean", None)?,
            ),
        };
        let receipt = prepared.commit()?;
        paths.retain(|path| receipt.changed(path.as_str()));
        Ok(paths.into_iter().map(Utf8Path::to_owned).collect())
    }

    /// Points the link `latest` in a directory below the project to one of its entries; the link is never missing
    /// meanwhile. Returns whether it was changed.
    ///
    /// A directory of that name, as older versions left it, is removed first in a transaction of its own.
    ///
    /// # Errors
    /// The errors of [`Transaction::link`](tljournal::Transaction::link) and of a commit.
    pub fn flip_latest(&self, dir: &str, target: &str) -> Result<bool, Error> {
        let path = Utf8Path::new(dir).join(LATEST);
        let flip = || {
            let mut txn = self.journal.begin(&format!("flip {path}"));
            txn.link(path.as_str(), target, Expect::Any)?;
            txn.prepare()?.commit()
        };
        match flip() {
            Err(tljournal::Error::Conflict(Conflict {
                kind: ConflictKind::Kind { .. },
                ..
            })) => {
                self.clean([path.as_str()], OnPinned::Exchange)?;
                Ok(flip()?.changed_anything())
            }
            done => Ok(done?.changed_anything()),
        }
    }
}
