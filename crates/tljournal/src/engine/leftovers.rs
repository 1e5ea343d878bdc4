//! Leftovers that could not be deleted: loaded from the database on opening, and written back.

use super::Engine;
use crate::ambient;
use crate::catalog::{LeftoverRow, Sync};
use crate::disk::unless_gone;
use crate::error::Error;
use crate::home::{Left, LeftoverChanges, TXN};
use crate::model::{EventKind, RelPath, TxnId};

impl Engine {
    /// Loads the leftovers. Those that were tried in this boot with the same rights are not tried again.
    pub(crate) fn know_leftovers(&self, rows: &[LeftoverRow]) {
        let boot = ambient::boot_id();
        let known = rows.iter().map(|row| {
            let tried_by = (row.boot == boot).then_some(row.uid);
            (row.path.clone(), tried_by)
        });
        self.home.leftovers.know(known);
    }

    /// Makes all leftovers eligible for another try.
    pub(crate) fn try_leftovers_again(&self) {
        self.home.leftovers.try_again();
    }

    /// Records new and deleted leftovers since the last call. A failure is harmless: an unrecorded leftover is tried
    /// again.
    pub(crate) fn record_leftovers(&self) {
        for path in self.home.leftovers.recorded() {
            if !self.is_left(&path) {
                self.home.leftovers.is_gone(&path);
            }
        }
        let changes = self.home.leftovers.take_changes();
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.write_leftovers(&changes) {
            tracing::warn!(%error, "leftovers are not recorded");
        }
    }

    /// Whether something is there; true if unknown.
    fn is_left(&self, path: &str) -> bool {
        let Ok(path) = RelPath::new(path) else {
            return false;
        };
        let state = &self.home.state;
        let parent = match path.parent() {
            Some(parent) => unless_gone(state.open_dir(parent.as_str())),
            None => Ok(Some(state.clone())),
        };
        match parent.map(|parent| parent.map(|parent| parent.stat(path.name()))) {
            Ok(Some(Ok(stat))) => stat.is_some(),
            Ok(None) => false,
            Ok(Some(Err(_))) | Err(_) => true,
        }
    }

    fn write_leftovers(&self, changes: &LeftoverChanges) -> Result<(), Error> {
        let run = self.run_row();
        self.record(Sync::Normal, |catalog| {
            for path in &changes.cleared {
                catalog.forget_leftover(path)?;
            }
            for Left { path, uid, reason } in &changes.left {
                let row = LeftoverRow {
                    path: path.clone(),
                    uid: *uid,
                    boot: ambient::boot_id().to_owned(),
                    reason: reason.clone(),
                };
                let txn = match id_of(path) {
                    Some(id) => catalog.txn(id)?.map(|txn| txn.row),
                    None => None,
                };
                if catalog.put_leftover(&row)? {
                    let shown = format!("{}/{path}", crate::home::STATE);
                    let about = (run, txn);
                    catalog.put_event(about, &EventKind::LeftBehind, Some(&shown), reason)?;
                }
            }
            Ok(())
        })
    }
}

/// The transaction that this directory belongs to.
fn id_of(path: &str) -> Option<TxnId> {
    path.strip_prefix(TXN)?.strip_prefix('/')?.parse().ok()
}
