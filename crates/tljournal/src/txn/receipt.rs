use std::collections::BTreeMap;

use crate::disk::Dir;
use crate::home::named_below;
use crate::model::{RelPath, TxnId};
use crate::pin::Pin;

/// The result of a commit for each path.
#[derive(Debug)]
pub struct Receipt {
    pub(super) txn: Option<TxnId>,
    pub(super) changed: BTreeMap<RelPath, bool>,
    pub(super) pins: BTreeMap<RelPath, Pin>,
    /// The root, for absolute paths.
    pub(super) root: Dir,
}

impl Receipt {
    /// The transaction that made the changes; `None` if nothing had to be changed.
    #[must_use]
    pub fn txn(&self) -> Option<TxnId> {
        self.txn
    }

    /// Whether anything was changed.
    #[must_use]
    pub fn changed_anything(&self) -> bool {
        self.changed.values().any(|changed| *changed)
    }

    /// Whether this path was changed; false also for a path that is not in the transaction.
    #[must_use]
    pub fn changed(&self, path: &str) -> bool {
        named_below(&self.root, path)
            .is_ok_and(|path| self.changed.get(&path).copied().unwrap_or(false))
    }

    /// Every path of the transaction, and whether it was changed.
    pub fn paths(&self) -> impl Iterator<Item = (&RelPath, bool)> {
        self.changed.iter().map(|(path, changed)| (path, *changed))
    }

    /// The pin on a tree that was installed or found unchanged, taken before it was published or verified: it holds
    /// exactly that tree, whatever is installed there later.
    pub fn take_pin(&mut self, path: &str) -> Option<Pin> {
        self.pins.remove(&named_below(&self.root, path).ok()?)
    }
}
