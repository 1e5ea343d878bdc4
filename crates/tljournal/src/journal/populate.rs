use std::time::Duration;

use super::work::{Installed, Journal};
use crate::ambient;
use crate::catalog::{Sync, TxnRow};
use crate::engine::OwnHold;
use crate::error::{Conflict, ConflictKind, Error};
use crate::lineage::{Holding, Thing};
use crate::lock::KeyByte;
use crate::model::{Digest, EventKind, RelPath, Timestamp, TxnId};
use crate::redact::redacted_text;
use crate::tree::{Fingerprint, TreeSource};
use crate::txn::{PopulateOptions, WantedTree};

impl Journal {
    /// Installs a tree that is identified by a key, as its own transaction, and pins it. Of several concurrent
    /// callers one creates the tree from its source, and the others wait for it.
    ///
    /// If the tree at the path was populated with this key, and the signature of every entry matches, nothing is
    /// touched and the source is not opened. Otherwise the first caller creates the tree. If it fails or is killed,
    /// the next waiting caller creates it from the beginning.
    ///
    /// # Errors
    /// As for [`Journal::install`]; [`Error::Lock`] when another caller worked for longer than the limit;
    /// [`Error::Conflict`] instead of a deadlock, if the holder waits for what is held here, or this thread populates
    /// the same tree.
    pub fn populate(
        &self,
        path: &str,
        key: impl AsRef<[u8]>,
        source: TreeSource,
        options: PopulateOptions,
    ) -> Result<Installed, Error> {
        let rel = self.engine.home.below_root(path)?;
        let path = rel.as_str();
        let label = redacted_text(&format!("populate {rel}")).into_owned();
        let wanted = WantedTree {
            source: source.known_as(key.as_ref()),
            options: options.tree,
        };
        let mut look = self.begin(&label).look_for(rel.clone(), wanted)?;
        if look.has_found() {
            return Ok(Self::put_in_place(look.bring(None)?, path)?.0);
        }
        let _held = self.take_key(&rel, Digest::of(key.as_ref()), &label, options.wait)?;
        look.again()?;
        let (installed, txn) = Self::put_in_place(look.bring(options.accept.as_ref())?, path)?;
        if let Some(txn) = txn {
            self.note_populated(path, txn)?;
        }
        Ok(installed)
    }

    /// Records that a tree was created, on behalf of all callers with this key.
    fn note_populated(&self, path: &str, txn: TxnId) -> Result<(), Error> {
        let row = self
            .engine
            .look(|catalog| catalog.txn(txn))?
            .map(|row| row.row);
        self.engine.record(Sync::Normal, |catalog| {
            let detail = "made once, for all that want it with this key";
            catalog.put_event((None, row), &EventKind::Populated, Some(path), detail)
        })
    }

    /// Takes the lock of a key at a place; the tree at the place may have changed during the wait.
    fn take_key(
        &self,
        path: &RelPath,
        key: Digest,
        label: &str,
        limit: Option<Duration>,
    ) -> Result<TakenKey, Error> {
        let would_deadlock = || Conflict::at(path, ConflictKind::WouldDeadlock).into();
        if self.engine.is_reading() {
            // Refused before the work is done, and not only at the commit.
            return Err(would_deadlock());
        }
        let locks = &self.engine.home.locks;
        let key = Fingerprint::of_key(key, &self.engine.home.place(path)?).digest;
        if let Some(run) = self.engine.held_above(&Thing::Key(key))? {
            return Err(Conflict::at(path, ConflictKind::PopulatedAbove { run }).into());
        }
        if self.engine.own_mode(&Thing::Key(key)).is_some() {
            return Err(would_deadlock());
        }
        let taken = |byte| TakenKey {
            _byte: byte,
            _own: self.engine.note_own(Holding::of_key(key)),
        };
        if let Some(byte) = KeyByte::try_take(locks, key)? {
            return Ok(taken(byte));
        }
        if let Some(worker) = self.worker(label)
            && self.engine.is_started_by(worker.run)?
        {
            return Err(would_deadlock());
        }
        let holder = || self.who_works(label);
        let what = (path.as_str(), label);
        let byte = self
            .engine
            .waiting(&Thing::Key(key), what, (None, limit), |wait| {
                KeyByte::take(locks, key, label, wait, holder)
            });
        byte.map(taken)
    }

    /// The staging transaction with this label of a live run.
    fn worker(&self, label: &str) -> Option<TxnRow> {
        let rows = self.engine.look(|catalog| catalog.staging()).ok()?;
        let is_alive = |run| self.engine.runs.is_alive(run).unwrap_or(false);
        let mut rows = rows.into_iter();
        rows.find(|row| row.label == label && is_alive(row.run))
    }

    /// A description of that run.
    fn who_works(&self, label: &str) -> String {
        let row = self.worker(label).map(|worker| worker.row);
        let record =
            row.and_then(|row| self.engine.look(|catalog| catalog.txn_record(row)).ok()?);
        let Some(record) = record else {
            return "a process that has not begun to write".to_owned();
        };
        let (pid, host) = (record.run.pid, record.run.host);
        format!("process {pid} on {host}, for {}", since(record.began_at))
    }
}

/// The lock of a key, noted as held by this thread.
struct TakenKey {
    _byte: KeyByte,
    _own: OwnHold,
}

fn since(began: Timestamp) -> String {
    let nanos = ambient::now().as_nanos() - began.as_nanos();
    let past = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    format!("{:.1} s", past.as_secs_f64())
}
