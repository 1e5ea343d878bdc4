use rustix::io::Errno;

use super::Home;
use super::layout::BESIDE_PREFIX;
use crate::disk::{self, Dir, DiskError};
use crate::error::Error;
use crate::lock::{self, Mode, Wait};
use crate::model::{Anchor, Change, Place, RelPath, Spot, Stat, TxnId};

/// A list of the target path of each staged entry, for people and for retention: one line each. Not synced.
pub(crate) const STAGED_PATHS: &str = "paths";

/// The directory of a running transaction, locked while this exists.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) dir: Dir,
}

impl Staging {
    /// Locks the directory of a transaction exclusively. `None` if another process has locked it, or it does not
    /// exist.
    pub(crate) fn claim(txns: &Dir, id: TxnId) -> Result<Option<Self>, Error> {
        Self::locked(txns, id, |dir| {
            let free = lock::try_exclusive(dir);
            Ok(free.map_err(|errno| DiskError::new("lock", dir.path().as_str(), errno))?)
        })
    }

    /// Locks a transaction's directory shared, so that its content is not deleted; waits for a process that briefly
    /// checks whether it is free. `None` if it does not exist.
    pub(crate) fn share(txns: &Dir, id: TxnId, wait: Wait<'_>) -> Result<Option<Self>, Error> {
        Self::locked(txns, id, |dir| {
            lock::lock_dir(dir, Mode::Shared, wait)?;
            Ok(true)
        })
    }

    fn locked(
        txns: &Dir,
        id: TxnId,
        lock: impl Fn(&Dir) -> Result<bool, Error>,
    ) -> Result<Option<Self>, Error> {
        let dir = match txns.open_dir(&id.to_string()) {
            Ok(dir) => dir,
            // Anything else with this name is not a directory of a transaction.
            Err(error)
                if [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
                    .iter()
                    .any(|errno| error.is(*errno)) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if !lock(&dir)? {
            return Ok(None);
        }
        // The previous holder may have removed the directory: the lock is valid only if the name still leads to it.
        let there = txns.stat(id.to_string())?;
        let held = dir.own_stat()?.identity;
        Ok(there
            .filter(|stat| stat.identity == held)
            .map(|_| Self { dir }))
    }
}

impl Home {
    /// Creates and locks the directory of a transaction. Its row must exist already, because the sweep reads the row
    /// to find the run before it touches the directory.
    pub(crate) fn make_staging(&self, id: TxnId, wait: Wait<'_>) -> Result<Staging, Error> {
        self.txns.make_own_dir(&id.to_string())?;
        let dir = self.txns.open_dir(&id.to_string())?;
        lock::lock_dir(&dir, Mode::Exclusive, wait)?;
        Ok(Staging { dir })
    }

    /// Creates the directory of a transaction that is rolled back again, if a power cut lost it: what is moved out of
    /// its targets needs a place.
    pub(crate) fn remake_staging(&self, id: TxnId, changes: &[Change]) -> Result<(), Error> {
        if changes.iter().all(|change| change.spot != Spot::Home) {
            return Ok(());
        }
        self.txns.ensure_own_dir(&id.to_string())?;
        self.shield(id, changes)
    }

    /// See [`Staging::claim`]. If its owner made the directory inaccessible, it is made accessible for the cleanup.
    pub(crate) fn claim_staging(&self, id: TxnId) -> Result<Option<Staging>, Error> {
        let name = id.to_string();
        match Staging::claim(&self.txns, id) {
            Err(Error::Disk(error)) if error.is(Errno::ACCESS) => {
                match self.txns.stat(&name)?.filter(is_own) {
                    Some(stat) => self.txns.set_dir_mode(&name, stat.mode | 0o700)?,
                    None => return Err(error.into()),
                }
                Staging::claim(&self.txns, id)
            }
            claimed => claimed,
        }
    }

    /// The transactions of all runs that have a directory; other names are ignored.
    pub(crate) fn staged_ids(&self) -> Result<Vec<TxnId>, Error> {
        let parse = |name: std::ffi::OsString| name.to_str()?.parse().ok();
        Ok(self.txns.names()?.into_iter().filter_map(parse).collect())
    }

    /// The directory and name of a change's staging slot; `None` if the directory does not exist.
    pub(crate) fn spot(&self, id: TxnId, change: &Change) -> Result<Option<(Dir, String)>, Error> {
        let opened = match &change.spot {
            Spot::Home => self.txns.open_dir(&id.to_string()),
            Spot::Beside(dir) => self.beside(change.place.anchor, dir.as_ref()),
        };
        match opened {
            Ok(dir) => Ok(Some((dir, spot_name(&change.spot, id, change.n)))),
            Err(error) if error.is(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The directory of staging slots next to a target.
    pub(crate) fn beside(&self, anchor: Anchor, dir: Option<&RelPath>) -> Result<Dir, DiskError> {
        match dir {
            None => Ok(self.anchor(anchor).clone()),
            Some(dir) => self.anchor(anchor).open_dir(dir.as_str()),
        }
    }

    /// The staging slot for new content of a place, from which a rename can publish it: in the home, or next to the
    /// target if that is on another filesystem or mount.
    pub(crate) fn spot_for(&self, place: &Place) -> Result<(Spot, Dir), Error> {
        let (parent, path) = match self.parent(place)? {
            super::Parent::There(dir) => (dir, place.path.parent()),
            super::Parent::Missing {
                nearest,
                nearest_path,
                ..
            } => (nearest, nearest_path),
        };
        let (there, home) = (parent.own_stat()?, &self.state_stat);
        match there.dev == home.dev && there.mount == home.mount {
            true => Ok((Spot::Home, self.txns.clone())),
            false => Ok((Spot::Beside(path), parent)),
        }
    }
}

/// The name of a staged entry.
pub(crate) fn spot_name(spot: &Spot, id: TxnId, n: u32) -> String {
    match spot {
        Spot::Home => n.to_string(),
        Spot::Beside(_) => format!("{BESIDE_PREFIX}{id}-{n}"),
    }
}

/// The third name, for what was moved out of a target between the renames of an exchange.
pub(crate) fn out_name(spot_name: &str) -> String {
    format!("{spot_name}.out")
}

fn is_own(stat: &Stat) -> bool {
    stat.uid == disk::writer()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient;
    use crate::disk::Disk;

    /// The previous holder has removed the directory, and another one may have its name.
    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "reads the kernel's list of locks"
    )]
    fn g7_the_lock_of_a_removed_directory_does_not_count() {
        let temp = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
        let txns = Dir::open(&path, Disk::default()).unwrap();
        let id = ambient::fresh_txn_id();
        let name = id.to_string();
        txns.make_dir(&name, 0o755).unwrap();
        let held = Staging::claim(&txns, id).unwrap().unwrap();
        assert!(Staging::claim(&txns, id).unwrap().is_none());
        let waits = format!(":{} ", held.dir.own_stat().unwrap().identity.ino);
        let waiter = txns.clone();
        let waiting = std::thread::spawn(move || {
            Staging::share(&waiter, id, Wait::default())
                .unwrap()
                .is_some()
        });
        let is_waiting = |line: &str| line.contains("->") && line.contains(&waits);
        let locks = || std::fs::read_to_string("/proc/locks").unwrap();
        while !locks().lines().any(is_waiting) {
            assert!(!waiting.is_finished());
            std::thread::yield_now();
        }
        txns.rename_new(&name, &txns, "earlier").unwrap();
        txns.make_dir(&name, 0o755).unwrap();
        drop(held);
        assert!(
            !waiting.join().unwrap(),
            "it holds a lock that no other process sees"
        );
        assert!(
            Staging::share(&txns, id, Wait::default())
                .unwrap()
                .is_some()
        );
    }
}
