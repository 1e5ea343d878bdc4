use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use super::guard::Guard;
use super::intent::{Intent, Wanted};
use crate::ambient;
use crate::apply::{self, Keep, discard};
use crate::catalog::{Sync, VoucherChange};
use crate::disk::Dir;
use crate::disk::{DiskError, NewFile};
use crate::engine::{Engine, Moment};
use crate::error::{Conflict, ConflictKind, Error, UsageError};
use crate::home::{STAGED_PATHS, Staging};
use crate::kept::KEY_MARK;
use crate::model::{Change, Digest, Expect, Manifest, Place, RelPath, TxnId, TxnState};
use crate::redact;

/// A transaction to which changes are being added.
///
/// Each change is staged when it is added; nothing is visible until [`Prepared::commit`]. Dropping the transaction
/// rolls it back.
///
/// [`Prepared::commit`]: super::Prepared::commit
#[derive(Debug)]
#[must_use = "a transaction that is dropped is rolled back; prepare and commit it"]
pub struct Transaction {
    pub(super) engine: Arc<Engine>,
    pub(super) label: String,
    pub(super) intents: Vec<Intent>,
    /// The places of the intents, with their paths and their indexes.
    taken: BTreeMap<Place, (RelPath, usize)>,
    /// The number of the next change; a change that failed keeps its number.
    pub(super) next: u32,
    pub(super) live: Option<Live>,
    /// The state of the catalog before the first read.
    pub(super) moment: Option<Moment>,
    /// Recorded with the commit.
    pub(crate) vouchers: Vec<VoucherChange>,
    /// The number of the transaction that it undoes.
    pub(crate) undoes: Option<i64>,
    pub(super) guard: Guard,
    /// Whether everything it replaces is set aside, whichever program wrote it.
    pub(super) keeps_evidence: bool,
}

/// The row and directory of a transaction, which exist from its first staged content on.
#[derive(Debug)]
pub(super) struct Live {
    engine: Arc<Engine>,
    pub(super) id: TxnId,
    pub(super) row: i64,
    pub(super) staging: Staging,
    /// Whether the transaction is past its commit point, so that there is nothing to roll back.
    pub(super) committed: bool,
    /// The staging slots next to targets that may hold something.
    pub(super) beside: Vec<Change>,
    /// The list of the target paths of its entries.
    paths: Option<NewFile>,
}

/// The largest number of changes of one transaction.
const CHANGES_MAX: u32 = 100_000;

impl Transaction {
    pub(crate) fn new(engine: Arc<Engine>, label: &str) -> Self {
        let label = redact::label(label);
        Self {
            engine,
            label,
            intents: Vec::new(),
            taken: BTreeMap::new(),
            next: 0,
            live: None,
            moment: None,
            vouchers: Vec::new(),
            undoes: None,
            guard: Guard::default(),
            keeps_evidence: false,
        }
    }

    /// Sets aside everything that is replaced or removed.
    pub(crate) fn keeping_evidence(mut self) -> Self {
        self.keeps_evidence = true;
        self
    }

    /// The digest of the file or tree that a path gets.
    pub(crate) fn digest_of(&self, path: &RelPath) -> Option<Digest> {
        let intent = self.intent_at(path)?;
        let found = intent.found.as_ref().and_then(|found| found.digest);
        found.or_else(|| intent.staged.as_ref().and_then(|staged| staged.digest))
    }

    fn intent_at(&self, path: &RelPath) -> Option<&Intent> {
        let place = self.engine.home.place(path).ok()?;
        let (_, at) = self.taken.get(&place)?;
        self.intents.get(*at)
    }

    /// The tree that is staged for a path, with its manifest.
    pub(crate) fn staged_tree(&self, path: &RelPath) -> Option<(Dir, Manifest)> {
        let intent = self.intent_at(path)?;
        let staged = intent.staged.as_ref()?;
        let tree = staged.tree.as_ref()?;
        Some((tree.pin.dir().clone(), tree.manifest.clone()))
    }

    /// The label that its caller gave it.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its id, once something is staged: the name of its directory, and the key of its row.
    #[must_use]
    pub fn id(&self) -> Option<TxnId> {
        self.live.as_ref().map(|live| live.id)
    }

    /// Its row, once something is staged.
    pub(super) fn row(&self) -> Option<i64> {
        self.live.as_ref().map(|live| live.row)
    }

    /// Rolls back: deletes everything that was staged. Needs no space.
    ///
    /// # Errors
    /// An error when what was staged cannot be removed; recovery removes it then.
    pub fn rollback(mut self) -> Result<(), Error> {
        // Staged trees are pinned, and a pinned tree is not deleted.
        self.intents.clear();
        match self.live.take() {
            Some(mut live) => live.roll_back(),
            None => Ok(()),
        }
    }

    /// Checks the place of a change, and that it does not overlap another change.
    pub(super) fn admit(
        &mut self,
        path: RelPath,
        expect: Expect,
        wanted: Wanted,
    ) -> Result<Intent, Error> {
        let place = self.admissible(&path)?;
        if self.moment.is_none() {
            self.moment = Some(self.engine.moment()?);
        }
        self.admit_at(path, place, expect, wanted)
    }

    /// The place of a change that is compatible with the others.
    pub(super) fn admissible(&self, path: &RelPath) -> Result<Place, Error> {
        self.engine.check_usable()?;
        let place = self.engine.home.place(path)?;
        if let Some((other, _)) = place.overlapping(&self.taken) {
            let (path, other) = (path.to_string(), other.to_string());
            return Err(UsageError::Overlap { path, other }.into());
        }
        match self.next >= CHANGES_MAX {
            true => Err(UsageError::TooManyChanges { max: CHANGES_MAX }.into()),
            false => Ok(place),
        }
    }

    /// Adds a change at an admissible place. The epoch has been noted.
    pub(super) fn admit_at(
        &mut self,
        path: RelPath,
        place: Place,
        expect: Expect,
        wanted: Wanted,
    ) -> Result<Intent, Error> {
        let n = self.next;
        self.next += 1;
        // Checked again under the lock; an early check saves work.
        let there = apply::stat_at(&self.engine, &place)?;
        if (expect == Expect::Absent) == there.is_some()
            && expect != Expect::Any
            && matches!(expect, Expect::Absent | Expect::Present)
        {
            let found = there
                .map_or("nothing", |stat| stat.kind.as_str())
                .to_owned();
            let kind = ConflictKind::Unexpected {
                expected: expect,
                found,
            };
            return Err(Conflict::at(&path, kind).into());
        }
        Ok(Intent {
            n,
            path,
            place,
            expect,
            wanted,
            found: None,
            staged: None,
            look: None,
        })
    }

    /// Adds a change.
    pub(super) fn keep(&mut self, intent: Intent) {
        let known = (intent.path.clone(), self.intents.len());
        self.taken.insert(intent.place.clone(), known);
        self.intents.push(intent);
    }

    /// Creates the row of the transaction, and then its directory, locked.
    pub(super) fn live(&mut self) -> Result<&mut Live, Error> {
        if self.live.is_none() {
            let id = ambient::fresh_txn_id();
            let label = &self.label;
            let row = self.engine.record_in_run(Sync::Normal, |catalog, run| {
                catalog.begin_txn(id, run, label)
            })?;
            let wait = self.engine.gives_up.within(self.engine.lock_wait);
            let staging = self.engine.home.make_staging(id, wait)?;
            tracing::debug!(txn = %id, label, "staging");
            let engine = self.engine.clone();
            let (committed, beside) = (false, Vec::new());
            self.live = Some(Live {
                engine,
                id,
                row,
                staging,
                committed,
                beside,
                paths: None,
            });
        }
        self.live.as_mut().ok_or_else(|| UsageError::Failed.into())
    }
}

impl Live {
    /// Writes the target path of a staged entry to the list, for use after this process was killed.
    pub(super) fn announce(&mut self, name: &str, path: &str) -> Result<(), Error> {
        if self.paths.is_none() {
            self.paths = Some(self.staging.dir.create_own_file(STAGED_PATHS)?);
        }
        if let Some(paths) = &mut self.paths {
            let mark = match self.engine.key_material.is_at(path) {
                true => KEY_MARK.to_string(),
                false => String::new(),
            };
            let line = format!("{name}{mark} {}\n", path.escape_debug());
            let failed = |error| DiskError::of_write(paths_of(&self.staging).as_str(), error);
            paths.write_all(line.as_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    /// Records a staging slot next to a target before it exists, so that recovery finds it.
    pub(super) fn announce_beside(&mut self, change: Change) -> Result<(), Error> {
        self.engine.record(Sync::Normal, |catalog| {
            catalog.insert_changes(self.row, std::slice::from_ref(&change))
        })?;
        self.beside.push(change);
        Ok(())
    }

    pub(super) fn roll_back(&mut self) -> Result<(), Error> {
        self.engine.check_process()?;
        self.committed = true;
        let none = BTreeMap::new();
        let keep = Keep::Nothing;
        discard(
            &self.engine,
            self.id,
            &self.staging,
            &self.beside,
            &none,
            keep,
        )?;
        let aborted = self.engine.record(Sync::Normal, |catalog| {
            catalog.move_txn(self.row, TxnState::Staging, TxnState::Aborted, None)
        });
        if let Err(error) = aborted {
            // Presumed abort: a staging row whose owner is not running has the same meaning.
            tracing::debug!(%error, "failed to record the rollback");
        }
        Ok(())
    }
}

fn paths_of(staging: &Staging) -> camino::Utf8PathBuf {
    staging.dir.path().join(STAGED_PATHS)
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.committed
            && let Err(error) = self.roll_back()
        {
            tracing::warn!(txn = %self.id, %error, "failed to delete staged content; recovery deletes it");
        }
    }
}
