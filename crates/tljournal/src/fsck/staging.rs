use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::check::{Check, Stop};
use super::finding::Subject;
use super::{Code, Finding};
use crate::ambient;
use crate::catalog::{ScannedEntry, TxnRow};
use crate::disk::{Dir, DiskError, unless_gone};
use crate::error::Error;
use crate::home::{BESIDE_PREFIX, STAGED_PATHS, TXN, txn_path};
use crate::lock;
use crate::model::{Kind, Place, Stat, TxnId, TxnState};

impl Check<'_> {
    /// Checks the staging directories of transactions, and the staging slots next to targets.
    pub(super) fn staging(&mut self) -> Result<(), Stop> {
        if let Some(txns) = self.look.own_dir(TXN)? {
            for name in txns.names()? {
                let path = self.look.shown_own(TXN, &name.to_string_lossy());
                match name.to_str().map(str::parse::<TxnId>) {
                    Some(Ok(id)) => self.part(&path, |check| check.staged(&txns, id))?,
                    _ => self.stray_in_staging(&name)?,
                }
            }
        }
        self.beside()
    }

    /// Reports an entry among the directories of transactions that is not one.
    fn stray_in_staging(&mut self, name: &OsStr) -> Result<(), Stop> {
        let path = self.look.shown_own(TXN, &name.to_string_lossy());
        let finding = Finding::new(Code::StagingStray, path);
        self.tell(finding.about(Subject::own(TXN, name)))
    }

    /// Checks the directory of one transaction.
    fn staged(&mut self, txns: &Dir, id: TxnId) -> Result<(), Stop> {
        let look = self.look;
        let row = look.ask(|catalog| catalog.txn(id))?;
        if self.is_left_behind(&txn_path(id))? || is_closed_by_another(txns, id)? {
            return Ok(());
        }
        let is_dir = |stat: Stat| stat.kind == Kind::Dir;
        if txns.stat(id.to_string())?.is_some_and(|stat| !is_dir(stat)) {
            return self.stray_in_staging(id.to_string().as_ref());
        }
        if let Some(dir) = unless_gone(txns.open_dir(&id.to_string()))?
            && let Some(stat) = dir.stat(STAGED_PATHS)?
        {
            let path = look.shown_own(TXN, &format!("{id}/{STAGED_PATHS}"));
            self.must_be_own(path, &stat, Kind::File)?;
        }
        let code = match &row {
            None => Code::StagingOrphan,
            Some(row) if !is_over(row) || look.is_alive(row.run)? => return Ok(()),
            Some(row) if self.is_needed(row)? => return Ok(()),
            Some(_) => Code::StagingLeftover,
        };
        let Some(locked) = is_at_work(txns, id)? else {
            return Ok(());
        };
        let code = match code {
            // The row is written before the directory is created, and synced later.
            Code::StagingOrphan if locked || look.ask(|catalog| catalog.txn(id))?.is_some() => {
                return Ok(());
            }
            Code::StagingLeftover if locked => return Ok(()),
            Code::StagingLeftover if lock::is_locked_within(txns, id.to_string())? => {
                Code::KeptPinned
            }
            code => code,
        };
        if txns.stat(id.to_string())?.is_none() {
            return Ok(());
        }
        let finding = Finding::new(code, look.shown_own(TXN, &id.to_string()))
            .written_by(row.and_then(|row| look.txn(row.row)))
            .about(Subject::Txn(id));
        self.tell(finding)
    }

    /// Whether what a transaction left is still needed.
    fn is_needed(&self, row: &TxnRow) -> Result<bool, Error> {
        let look = self.look;
        Ok(look.ask(|catalog| catalog.is_unsettled(row.row))?
            || look.ask(|catalog| catalog.is_kept(row.row))?)
    }

    /// Checks the staging slots next to targets on other filesystems.
    fn beside(&mut self) -> Result<(), Stop> {
        let look = self.look;
        let mut seen = BTreeSet::new();
        let home = look.home.own_stat()?;
        for scanned in look.ask(|catalog| catalog.scan_entries())? {
            let ScannedEntry::Whole(place, _) = scanned else {
                continue;
            };
            if !seen.insert((place.anchor, place.path.parent())) {
                continue;
            }
            let path = look.shown(&place);
            self.part(&path, |check| check.beside_target(&place, &home))?;
        }
        Ok(())
    }

    /// Checks the staging slots next to one target.
    fn beside_target(&mut self, place: &Place, home: &Stat) -> Result<(), Stop> {
        let Some(parent) = self.look.parent(place)? else {
            return Ok(());
        };
        let there = parent.own_stat()?;
        if (there.dev, there.mount) == (home.dev, home.mount) && self.look.at_home {
            return Ok(());
        }
        for name in parent.names()? {
            let name = name.to_string_lossy();
            if name.starts_with(BESIDE_PREFIX) {
                self.one_beside(place, &name)?;
            }
        }
        Ok(())
    }

    fn one_beside(&mut self, near: &Place, name: &str) -> Result<(), Stop> {
        let look = self.look;
        let id = name.trim_start_matches(BESIDE_PREFIX);
        let id = id.rsplit_once('-').and_then(|(id, _)| id.parse().ok());
        let row = match id {
            Some(id) => look.ask(|catalog| catalog.txn(id))?,
            None => None,
        };
        let is_needed = match &row {
            None => false,
            Some(row) => !is_over(row) || look.is_alive(row.run)? || self.is_needed(row)?,
        };
        let path = match near.path.parent() {
            Some(parent) => parent.join(name),
            None => crate::model::RelPath::new(name),
        };
        let Ok(path) = path else { return Ok(()) };
        let anchor = near.anchor;
        let place = Place { anchor, path };
        let is_there = match look.parent(&place)? {
            Some(parent) => parent.stat(name)?.is_some(),
            None => false,
        };
        if is_needed || !is_there {
            return Ok(());
        }
        let finding = Finding::new(Code::BesideLeftover, look.shown(&place))
            .written_by(row.and_then(|row| look.txn(row.row)))
            .about(Subject::Beside(place));
        self.tell(finding)
    }
}

fn is_over(row: &TxnRow) -> bool {
    matches!(row.state, TxnState::Applied | TxnState::Aborted)
}

/// Whether another user closed the directory of a transaction to the group that shares the home, because of its
/// content.
pub(super) fn is_closed_by_another(txns: &Dir, id: TxnId) -> Result<bool, DiskError> {
    const FOR_GROUP: u32 = 0o070;
    let uid = ambient::uid();
    let is_shared = txns.own_stat()?.mode & FOR_GROUP != 0;
    let is_closed = |stat: &Stat| ![0, stat.uid].contains(&uid) && stat.mode & FOR_GROUP == 0;
    Ok(is_shared
        && txns
            .stat(id.to_string())?
            .is_some_and(|stat| is_closed(&stat)))
}

/// Whether another process has locked the directory of a transaction; `None` if it does not exist.
fn is_at_work(txns: &Dir, id: TxnId) -> Result<Option<bool>, DiskError> {
    let Some(dir) = crate::disk::unless_gone(txns.open_dir(&id.to_string()))? else {
        return Ok(None);
    };
    let free = lock::try_shared(&dir);
    let free = free.map_err(|errno| DiskError::new("lock", dir.path().as_str(), errno))?;
    Ok(Some(!free))
}
