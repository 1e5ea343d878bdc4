use std::collections::{BTreeMap, BTreeSet};

use super::begin::Transaction;
use super::intent::{Intent, Wanted};
use super::plan::Plan;
use super::prepare::Prepared;
use super::receipt::Receipt;
use super::stage_tree::OnPinned;
use crate::ambient;
use crate::apply::{self, Committed, Ending};
use crate::catalog::{CatalogError, Sync};
use crate::engine::{Engine, Moment};
use crate::error::{Conflict, ConflictKind, Error};
use crate::home::Parent;
use crate::lock::{Held, Mode};
use crate::model::{Change, EventKind, Kind, Op, Place, Timestamp};
use crate::pin::{self, Alone, Waiter};
use crate::recovery;

impl Prepared {
    /// Commits: afterwards every change is applied and durable, or none is.
    ///
    /// # Errors
    /// What is known after each error:
    ///
    /// - [`Error::Unfinished`]: committed but not applied; the next process that acquires the commit lock or opens
    ///   the journal for work applies it.
    /// - [`Error::Damaged`] with a stuck transaction: neither finished nor rolled back; the previous content is kept
    ///   at the path in the error.
    /// - [`Error::Replaced`]: not committed, or (if the directory was moved away at that very time) finished at its
    ///   new location; open the journal again.
    /// - All others: not committed, nothing was changed.
    pub fn commit(self) -> Result<Receipt, Error> {
        let (engine, txn) = (self.txn.engine.clone(), self.txn.row());
        self.try_commit().map_err(|error| {
            let error = engine.explain(error);
            note_conflict(&engine, txn, &error);
            error
        })
    }

    fn try_commit(mut self) -> Result<Receipt, Error> {
        let label = self.txn.label.clone();
        let span = tracing::info_span!("commit", label, changes = self.txn.intents.len());
        let _in_span = span.enter();
        self.txn.engine.check_usable()?;
        if self.txn.is_unchanged()? {
            self.txn.engine.home.check_in_place()?;
            self.txn.remove_moved();
            return Ok(self.txn.receipt(&Plan::default(), None));
        }
        let staged = ambient::now();
        loop {
            let mut alone = self.txn.respect_pins()?;
            let lock = self
                .txn
                .engine
                .commit_lock(Mode::Exclusive, &label, self.txn.row())?;
            let times = (staged, ambient::now());
            recovery::finish_unfinished(&self.txn.engine)?;
            self.txn.refuse_stuck()?;
            self.txn.settle_replaced()?;
            self.txn.guard.check(&self.txn.engine)?;
            let mut plan = self.txn.plan()?;
            if !plan.restage.is_empty() {
                drop((lock, alone));
                self.txn.restage(&plan.restage)?;
                self.txn.make_durable()?;
                continue;
            }
            if plan.changes.is_empty() {
                self.txn.remove_moved();
                return Ok(self.txn.receipt(&plan, None));
            }
            if !self.txn.still_alone(&alone)? {
                continue;
            }
            self.txn.fill_in_place(&mut plan, &mut alone)?;
            plan.known.kept = self.txn.kept_at_once(&plan);
            return self.carry_out(plan, lock, alone, times);
        }
    }

    /// Rolls back: deletes everything that was staged. Needs no space.
    ///
    /// # Errors
    /// The errors of [`Transaction::rollback`].
    pub fn rollback(self) -> Result<(), Error> {
        self.txn.rollback()
    }

    fn carry_out(
        mut self,
        plan: Plan,
        lock: Held,
        alone: BTreeMap<Place, Alone>,
        times: (Timestamp, Timestamp),
    ) -> Result<Receipt, Error> {
        self.txn.live()?;
        let engine = self.txn.engine.clone();
        let Some(live) = self.txn.live.as_mut() else {
            return Ok(self.txn.receipt(&plan, None));
        };
        let id = live.id;
        let vouchers = &self.txn.vouchers;
        let committed = engine.record(Sync::Full, |catalog| {
            for manifest in &plan.manifests {
                catalog.put_manifest(manifest)?;
            }
            catalog.insert_changes(live.row, &plan.changes)?;
            let committed = catalog.commit_txn(live.row, times, self.txn.undoes)?;
            if committed {
                catalog.change_vouchers(vouchers, Some(live.row))?;
            }
            Ok(committed)
        });
        if let Err(Error::Catalog(CatalogError::Sql { .. })) = &committed {
            // It is unknown whether the record reached the medium: recovery finds out, and until then nothing that it
            // may need is deleted.
            engine.fail();
            live.committed = true;
        }
        let committed = committed?;
        if !committed {
            // Another process considered this run ended and rolled the transaction back, because its lock file was
            // replaced.
            let path = engine.home.locks.path().join("runs").to_string();
            return Err(Error::Replaced { path });
        }
        // The commit point has passed: the transaction will be finished by this process or by recovery.
        live.committed = true;
        let unfinished = |source| Error::Unfinished {
            txn: id,
            source: Box::new(source),
        };
        engine
            .home
            .fence(lock.file(), engine.files)
            .map_err(unfinished)?;
        let work = Committed {
            row: live.row,
            id,
            changes: &plan.changes,
        };
        match work.finish(&engine, &plan.known) {
            Ok(Ending::Applied) => {}
            Ok(Ending::TakenBack(place)) => {
                let path = engine.home.shown(&place);
                return Err(Conflict::at(path, ConflictKind::Edited).into());
            }
            Err(error) => {
                let state = engine.look(|catalog| catalog.txn(id));
                let waits = matches!(state, Ok(Some(row)) if row.state.is_unfinished());
                return Err(if waits { unfinished(error) } else { error });
            }
        }
        drop((lock, alone));
        self.txn.pin_filled(&plan);
        self.txn.remove_moved();
        self.txn.tidy(&plan);
        Ok(self.txn.receipt(&plan, Some(id)))
    }
}

/// Records that a transaction was refused, and why.
fn note_conflict(engine: &Engine, txn: Option<i64>, error: &Error) {
    let (Error::Conflict(conflict), Some(_)) = (error, txn) else {
        return;
    };
    let (path, detail) = (Some(conflict.path.as_str()), conflict.kind.to_string());
    let noted = engine.record(Sync::Normal, |catalog| {
        catalog.put_event((None, txn), &EventKind::Conflict, path, &detail)
    });
    if let Err(error) = noted {
        tracing::debug!(%error, "failed to record a conflict");
    }
}

impl Transaction {
    /// Whether everything already was as wanted at one time, determined without a lock or a write: every place
    /// matched when it was read, and nothing was committed or being applied since the first read.
    fn is_unchanged(&self) -> Result<bool, Error> {
        use super::intent::Standing;
        let recorded = |found: &super::intent::Found| match found.standing {
            Standing::Recorded | Standing::Refreshable(..) => true,
            Standing::Unknown(_) => false,
        };
        if !self
            .intents
            .iter()
            .all(|intent| intent.found.as_ref().is_some_and(recorded))
        {
            return Ok(false);
        }
        let Some(mut since) = self.moment else {
            return Ok(true);
        };
        for _ in 0..3 {
            let now: Moment = self.engine.moment()?;
            if now == since && now.quiet {
                return self.check_all_expects().map(|()| true);
            }
            if !self.all_still_there()? {
                return Ok(false);
            }
            since = now;
        }
        Ok(false)
    }

    fn check_all_expects(&self) -> Result<(), Error> {
        for intent in &self.intents {
            let (Parent::There(parent)
            | Parent::Missing {
                nearest: parent, ..
            }) = self.engine.home.parent(&intent.place)?;
            let stat = intent.found.as_ref().and_then(|found| found.stat);
            self.check_expect(intent, stat.as_ref(), &parent)?;
        }
        Ok(())
    }

    fn all_still_there(&self) -> Result<bool, Error> {
        for intent in &self.intents {
            let now = apply::stat_at(&self.engine, &intent.place)?;
            let still = intent
                .found
                .as_ref()
                .is_some_and(|found| found.still_is(now.as_ref()));
            // A change inside a tree is not visible at its root.
            if !still || matches!(intent.wanted, Wanted::Tree(_)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stages what was found unchanged before but has changed since.
    fn restage(&mut self, indices: &[usize]) -> Result<(), Error> {
        for index in indices {
            let mut intent = self.intents.remove(*index);
            intent.found = None;
            let staged = match &intent.staged {
                // Staged from a source that can be read once, found equal, and therefore not synced.
                Some(_) => Ok(()),
                None => self.stage(&mut intent),
            };
            self.intents.insert(*index, intent);
            staged?;
        }
        Ok(())
    }

    /// Waits for pins, or refuses pinned trees, if the caller asked for that. Comes before every lock.
    fn respect_pins(&self) -> Result<BTreeMap<Place, Alone>, Error> {
        let mut alone = BTreeMap::new();
        'again: loop {
            for intent in self.intents.iter().filter(|intent| intent.found.is_none()) {
                let on_pinned = intent.wanted.on_pinned();
                if on_pinned == OnPinned::Exchange {
                    continue;
                }
                for place in self.trees_at(intent)? {
                    if alone.contains_key(&place) {
                        continue;
                    }
                    match pin::hold_alone(&self.engine, &place, None) {
                        Ok(held) => alone.extend(held.map(|held| (place, held))),
                        Err(Error::Conflict(_)) if on_pinned == OnPinned::Wait => {
                            // No process waits for a pin while it holds another one exclusively, because two such
                            // processes could deadlock.
                            alone.clear();
                            let (why, txn) = (self.label.as_str(), self.row());
                            let waiter = Waiter { why, txn };
                            drop(pin::hold_alone(&self.engine, &place, Some(waiter))?);
                            continue 'again;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            return Ok(alone);
        }
    }

    /// The trees at the place of a change that could be pinned; a removal includes the trees below it.
    fn trees_at(&self, intent: &Intent) -> Result<Vec<Place>, Error> {
        let mut places = vec![intent.place.clone()];
        if matches!(intent.wanted, Wanted::Nothing(_)) {
            let below = self
                .engine
                .look(|catalog| catalog.trees_below(&intent.place))?;
            places.extend(below);
        }
        Ok(places)
    }

    /// Whether the trees that are locked exclusively are still the ones that will be replaced.
    fn still_alone(&self, alone: &BTreeMap<Place, Alone>) -> Result<bool, Error> {
        for intent in self.intents.iter().filter(|intent| intent.found.is_none()) {
            if intent.wanted.on_pinned() == OnPinned::Exchange {
                continue;
            }
            let there = apply::stat_at(&self.engine, &intent.place)?;
            let there = there.filter(|stat| stat.kind == Kind::Dir);
            let held = alone.get(&intent.place);
            if !there.is_none_or(|stat| held.is_some_and(|held| held.is(stat.identity))) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Syncs a rebuildable tree before it is replaced: then the tree that it replaced is no longer needed, and it can
    /// itself be restored.
    fn settle_replaced(&self) -> Result<(), Error> {
        let waiting = self.engine.look(|catalog| catalog.unsettled())?;
        let replaced = |(place, _): &(Place, _)| {
            self.intents
                .iter()
                .any(|intent| intent.place.overlaps(place))
        };
        match waiting.iter().any(replaced) {
            true => recovery::settle_trees(&self.engine),
            false => Ok(()),
        }
    }

    /// Refuses paths of a stuck transaction, and those of a transaction of another root.
    fn refuse_stuck(&self) -> Result<(), Error> {
        let places: Vec<_> = self.intents.iter().map(|intent| &intent.place).collect();
        recovery::refuse_stuck(&self.engine, &places)
    }

    fn receipt(&mut self, plan: &Plan, txn: Option<crate::model::TxnId>) -> Receipt {
        let mut receipt = Receipt {
            txn,
            changed: BTreeMap::new(),
            pins: BTreeMap::new(),
            root: self.engine.home.root.clone(),
        };
        let made = |change: &&Change| !matches!(change.op, Op::Adopt | Op::Parent);
        let made: BTreeSet<_> = plan.changes.iter().filter(made).map(|one| one.n).collect();
        for intent in self.intents.drain(..) {
            let changed = made.contains(&intent.n);
            let staged = intent
                .staged
                .and_then(|staged| staged.tree)
                .map(|tree| tree.pin);
            let pin = match staged {
                Some(staged) if changed => Some(staged),
                _ => intent.found.and_then(|found| found.pin),
            };
            receipt
                .pins
                .extend(pin.map(|pin| (intent.path.clone(), pin)));
            receipt.changed.insert(intent.path, changed);
        }
        receipt
    }
}
