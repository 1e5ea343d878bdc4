use std::collections::BTreeMap;

use tljournal::{Error, Journal, Payload, Prepared, Receipt, Transaction, TreeOptions};

use super::step::{Step, Steps};
use crate::world::explain;

/// The result of a transaction.
#[derive(Debug)]
pub enum Outcome {
    /// Committed: each path, and whether it was changed.
    Committed(BTreeMap<String, bool>),
    /// Rolled back, as the script requests.
    RolledBack,
    /// A precondition failed, or something was in the way.
    Conflict(String),
    /// The call can never succeed.
    Usage(String),
    /// An error of the journal or the system.
    Failed(Error),
}

impl Steps {
    /// Stages all changes and makes them durable.
    ///
    /// # Errors
    /// The journal's error; the transaction is rolled back then.
    pub fn prepare(&self, journal: &Journal) -> Result<Prepared, Error> {
        let mut txn = journal.begin(&self.label);
        for step in &self.steps {
            step.add_to(&mut txn)?;
        }
        txn.prepare()
    }

    /// Runs the transaction up to its commit.
    ///
    /// # Errors
    /// The journal's error.
    pub fn try_commit(&self, journal: &Journal) -> Result<Receipt, Error> {
        self.prepare(journal)?.commit()
    }

    /// Runs the transaction up to its commit, and returns the result.
    pub fn commit(&self, journal: &Journal) -> Outcome {
        match self.try_commit(journal) {
            Ok(receipt) => {
                let paths = receipt.paths();
                Outcome::Committed(paths.map(|(path, to)| (path.to_string(), to)).collect())
            }
            Err(error) => error.into(),
        }
    }

    /// Stages everything and rolls back.
    pub fn roll_back(&self, journal: &Journal) -> Outcome {
        match self.prepare(journal).and_then(Prepared::rollback) {
            Ok(()) => Outcome::RolledBack,
            Err(error) => error.into(),
        }
    }
}

impl Step {
    /// Adds the change to a transaction.
    ///
    /// # Errors
    /// The journal's error.
    pub fn add_to(&self, txn: &mut Transaction) -> Result<(), Error> {
        match self {
            Self::Put {
                path,
                content,
                mode,
                mtime,
                expect,
            } => {
                let payload = Payload::from(content.as_slice()).mode(*mode).mtime(*mtime);
                txn.put(path.as_str(), payload, *expect)
            }
            Self::Link {
                path,
                target,
                expect,
            } => txn.link(path.as_str(), target, *expect),
            Self::Remove { path, expect } => txn.remove(path.as_str(), *expect),
            Self::Tree {
                path,
                tree,
                durability,
                expect,
            } => {
                let options = TreeOptions {
                    durability: *durability,
                    expect: *expect,
                    ..TreeOptions::default()
                };
                txn.tree(path.as_str(), tree.source(), options)
            }
        }
    }
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict(_) => Self::Conflict(explain(&error)),
            Error::Usage(_) => Self::Usage(explain(&error)),
            error => Self::Failed(error),
        }
    }
}
