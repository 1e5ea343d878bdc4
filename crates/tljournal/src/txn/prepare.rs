use std::time::Duration;

use super::begin::Transaction;
use super::intent::{Found, Intent, Staged, Standing, Trust, Wanted};
use crate::ambient;
use crate::apply::RACY_NANOS;
use crate::disk::{Dir, Unsynced};
use crate::error::Error;
use crate::home::{Parent, spot_name};
use crate::model::{Change, Durability, Kind, Op, Place, Spot, TxnId};
use crate::recovery;
use crate::tree::{self, Depth, TreeError};

/// A transaction whose content is on the medium: it can be committed at any time.
///
/// [`Transaction::prepare`] is the only way to create one, so nothing unsynced is ever committed (T2). Dropping it
/// rolls it back.
#[derive(Debug)]
#[must_use = "a prepared transaction that is dropped is rolled back; commit it"]
pub struct Prepared {
    pub(super) txn: Transaction,
}

/// The number of files that are synced one by one; more are synced with their whole filesystem, which includes other
/// programs' dirty data.
pub(super) const FILES_ONE_BY_ONE_MAX: usize = 16;

impl Transaction {
    /// Makes everything that was staged durable.
    ///
    /// # Errors
    /// [`Error::Disk`] when a sync fails. It is not retried, because a second sync would prove nothing: the
    /// transaction is rolled back.
    pub fn prepare(mut self) -> Result<Prepared, Error> {
        let made = self.make_durable();
        made.map_err(|error| self.engine.explain(error))?;
        Ok(Prepared { txn: self })
    }

    /// Syncs everything that is staged or adopted and not synced yet.
    pub(super) fn make_durable(&mut self) -> Result<(), Error> {
        let span = tracing::debug_span!("prepare", changes = self.intents.len());
        let _in_span = span.enter();
        if self.live.is_some() {
            recovery::settle_trees(&self.engine)?;
        }
        self.sync_home()?;
        let mut intents = std::mem::take(&mut self.intents);
        let beside: Result<(), Error> = intents
            .iter_mut()
            .filter(|intent| intent.found.is_none())
            .try_for_each(|intent| match &mut intent.staged {
                Some(staged) if !staged.synced => {
                    if needs_sync(&intent.wanted) {
                        self.sync_beside(&intent.place, staged)?;
                    }
                    staged.synced = true;
                    Ok(())
                }
                _ => Ok(()),
            });
        self.intents = intents;
        beside?;
        for intent in &self.intents {
            if let Some(found) = &intent.found {
                let synced = self.sync_found(intent, found);
                if let (Err(_), Some(stat)) = (&synced, &found.stat) {
                    self.engine.note_failed_sync(&intent.place, stat.identity);
                }
                synced?;
            }
        }
        self.let_signatures_age();
        self.refuse_still_written()
    }

    /// Refuses a tree that a process left behind by its caller still writes to: it is not what was hashed.
    fn refuse_still_written(&self) -> Result<(), Error> {
        for intent in &self.intents {
            let staged = intent.staged.as_ref();
            let (Wanted::Tree(wanted), Some(tree)) = (
                &intent.wanted,
                staged.and_then(|staged| staged.tree.as_ref()),
            ) else {
                continue;
            };
            if !wanted.source.is_filled() || intent.found.is_some() {
                continue;
            }
            let (dir, signature) = (tree.pin.dir(), Some(&tree.signature));
            let depth = Depth::Signature;
            let verdict = tree::verify(dir, &tree.manifest, signature, depth, &|_| {})?;
            // The root gets its mode when it is published.
            let mut differences = verdict.differences.into_iter();
            if let Some(difference) = differences.find(|one| !one.is_root()) {
                let entry = difference.path;
                return Err(TreeError::Changed { entry }.into());
            }
        }
        Ok(())
    }

    /// Syncs what is staged in the home: few files one by one, many with their whole filesystem.
    fn sync_home(&mut self) -> Result<(), Error> {
        let Some(live) = &self.live else {
            return Ok(());
        };
        let waiting = |intent: &Intent| match &intent.staged {
            Some(staged) => {
                staged.spot == Spot::Home
                    && !staged.synced
                    && intent.found.is_none()
                    && needs_sync(&intent.wanted)
            }
            None => false,
        };
        let home = &self.engine.home;
        let staged: Vec<_> = self
            .intents
            .iter()
            .filter(|intent| waiting(intent))
            .collect();
        let files = || {
            staged
                .iter()
                .filter_map(|intent| intent.staged.as_ref()?.file.as_ref())
        };
        let trees = staged
            .iter()
            .filter_map(|intent| intent.staged.as_ref())
            .filter(|staged| staged.tree.is_some());
        // Removed or replaced content is moved into the transaction's directory, which must be durable before, even
        // for a tree that is not synced itself.
        let takes_out = |intent: &Intent| {
            let staged = intent.staged.as_ref();
            let at_home = staged.is_some_and(|staged| staged.spot == Spot::Home && !staged.synced);
            intent.found.is_none() && (at_home || matches!(intent.wanted, Wanted::Nothing(_)))
        };
        if !self.intents.iter().any(takes_out) {
            return Ok(());
        }
        let is_file = |intent: &&&Intent| matches!(intent.wanted, Wanted::File(_));
        let count = staged.iter().filter(is_file).count();
        let one_by_one = trees.clone().count() == 0 && count <= FILES_ONE_BY_ONE_MAX;
        if one_by_one || !home.syncfs_reaches_medium {
            for tree in trees.filter_map(|staged| staged.tree.as_ref()) {
                let _synced = tree.pin.dir().sync_tree()?;
            }
            // The names too: those in the transaction's directory, and its own.
            let names = [Unsynced::Dir(&live.staging.dir), Unsynced::Dir(&home.txns)];
            let together: Vec<_> = files().map(Unsynced::File).chain(names).collect();
            let _synced = home.dir.disk().sync_together(&together)?;
        } else {
            let _synced = home.dir.sync_filesystem()?;
        }
        for intent in &mut self.intents {
            let wanted = intent.found.is_none() && needs_sync(&intent.wanted);
            match &mut intent.staged {
                Some(staged) if wanted && staged.spot == Spot::Home => {
                    staged.synced = true;
                    staged.file = None;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Syncs a staging slot next to its target.
    fn sync_beside(&self, place: &Place, staged: &mut Staged) -> Result<(), Error> {
        if let Some(file) = staged.file.take() {
            let _synced = file.sync()?;
        }
        if let Some(tree) = &staged.tree {
            let _synced = tree.pin.dir().sync_tree()?;
        }
        let _synced = self.staged_dir(place, &staged.spot)?.sync()?;
        Ok(())
    }

    /// Makes existing content of another program as durable as the journal's own.
    fn sync_found(&self, intent: &Intent, found: &Found) -> Result<(), Error> {
        match &found.standing {
            Standing::Recorded | Standing::Refreshable(_, Trust::Untouched) => return Ok(()),
            Standing::Refreshable(_, Trust::Rewritten) | Standing::Unknown(_) => {}
        }
        let Parent::There(parent) = self.engine.home.parent(&intent.place)? else {
            return Ok(());
        };
        match &found.pin {
            Some(pin) => {
                let _synced = pin.dir().sync_tree()?;
            }
            None if found.stat.is_some_and(|stat| stat.kind == Kind::File) => {
                parent.sync_file(intent.place.path.name())?;
            }
            None => {}
        }
        let _synced = parent.sync()?;
        Ok(())
    }

    /// Waits until a later change of a staged tree would show in its signature: at most one tick of the filesystem's
    /// clock, and the sync usually takes longer.
    fn let_signatures_age(&self) {
        let trees = self
            .intents
            .iter()
            .filter_map(|intent| intent.staged.as_ref()?.tree.as_ref());
        let Some(newest) = trees.filter_map(|tree| tree.signature.newest()).max() else {
            return;
        };
        let age = ambient::now().as_nanos() - newest.as_nanos();
        if let Ok(missing) = u64::try_from(RACY_NANOS + 4_000_000 - age) {
            ambient::let_clock_advance(Duration::from_nanos(missing.min(24_000_000)));
        }
    }
}

/// A rebuildable tree is not synced, by its caller's choice.
fn needs_sync(wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Tree(tree) => tree.options.durability == Durability::Durable,
        Wanted::File(_) | Wanted::Link(_) | Wanted::Nothing(_) => true,
    }
}

/// Syncs the slots of parts of trees, where `syncfs` does not reach the medium.
pub(super) fn sync_parts(changes: &[Change], (id, spots): (TxnId, &Dir)) -> Result<(), Error> {
    for change in changes.iter().filter(|change| change.op == Op::Part) {
        let name = spot_name(&change.spot, id, change.n);
        match change.new.map(|new| new.kind) {
            Some(Kind::Dir) => _ = spots.open_dir(&name)?.sync_tree()?,
            Some(Kind::File) => _ = spots.sync_file(&name)?,
            Some(Kind::Link | Kind::Other) | None => {}
        }
    }
    Ok(())
}
