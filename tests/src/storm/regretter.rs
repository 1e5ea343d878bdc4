use std::time::Duration;

use tljournal::{
    ConflictKind, Error, Journal, Limits, RelPath, Retention, TxnFilter, TxnRecord, Undo,
    UndoOptions,
};
use tljournal_testkit::{Tell, tell};

use super::material::TREE;
use super::{Done, Worker};

impl Worker {
    /// Restores and undoes changes of the tree, and deletes retained content, until it is killed.
    ///
    /// # Errors
    /// When the journal refuses, or the storm has ended.
    pub fn regret(&mut self) -> Done {
        loop {
            let journal = self.open()?;
            for _ in 0..self.random.below(6) + 1 {
                match self.random.below(4) {
                    0 => self.collect(&journal)?,
                    _ => self.go_back(&journal)?,
                }
            }
            journal.close()?;
        }
    }

    /// Restores an earlier tree, by undo or restore.
    fn go_back(&mut self, journal: &Journal) -> Done {
        let Some(txn) = self.any_of_the_tree(journal)? else {
            return Ok(());
        };
        let options = UndoOptions {
            force: self.random.chance(1, 2),
            ..UndoOptions::default()
        };
        let path = RelPath::new(TREE)?;
        let (what, restores) = match self.random.chance(1, 2) {
            true => ("undo", false),
            false => ("restore", true),
        };
        let planned = match restores {
            true => journal.history().plan_restore(&path, &txn, &options),
            false => journal.history().plan_undo(&txn, &options),
        };
        account(what, planned)?;
        let done = match restores {
            true => journal.restore(&path, &txn, &options),
            false => journal.undo(&txn, &options),
        };
        account(what, done)
    }

    /// One of the latest transactions that changed only the tree.
    fn any_of_the_tree(&mut self, journal: &Journal) -> Result<Option<TxnRecord>, Error> {
        let mut filter = TxnFilter::latest(12);
        filter.path = Some(RelPath::new(TREE)?);
        let history = journal.history();
        let mut found = history.transactions(&filter)?;
        // Before the first one there was no tree, which other processes do not expect. Concurrent changes between
        // plan and execution may still lead there.
        let mut firsts = Vec::new();
        for txn in &found {
            let changes = history.changes(txn.number)?;
            if changes.iter().any(|change| change.before.is_none()) {
                firsts.push(txn.number);
            }
        }
        found.retain(|txn| !firsts.contains(&txn.number));
        // Transactions that only adopted content, or are unfinished, are included.
        match found.len() as u64 {
            0 => Ok(None),
            count => Ok(Some(found.swap_remove(self.random.below(count) as usize))),
        }
    }

    /// Deletes almost all retained content and history.
    fn collect(&mut self, journal: &Journal) -> Done {
        let some = |count: u64| Limits {
            count: count as u32,
            bytes: u64::MAX,
            age: Duration::from_secs(3600),
        };
        let retention = Retention {
            kept: some(self.random.below(8)),
            history: some(50 + self.random.below(50)),
            ..Retention::default()
        };
        match self.random.chance(1, 4) {
            true => journal.history().plan_gc(&retention)?,
            false => journal.gc(&retention)?,
        };
        Ok(())
    }
}

/// Retained content must be complete whichever process is killed; other refusals are permitted.
fn account(what: &str, done: Result<Undo, Error>) -> Done {
    let word = match done {
        Ok(undo) if undo.is_refused() => "refused".to_owned(),
        Ok(_) => return Ok(()),
        Err(Error::Conflict(conflict)) => {
            if matches!(conflict.kind, ConflictKind::KeptDamaged) {
                tell(&Tell::Violation(format!("G1: {what}: {conflict}")))?;
            }
            conflict.kind.to_string()
        }
        // Its history was deleted, or it has not ended.
        Err(Error::Usage(usage)) => usage.to_string().chars().take(20).collect(),
        Err(error) => return Err(error.into()),
    };
    Ok(tell(&Tell::Refused(format!("{what}: {word}")))?)
}
