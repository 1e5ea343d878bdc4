use std::collections::BTreeMap;

use tljournal::{Error, Journal, Payload, Prepared, Receipt, Transaction, TreeOptions};

use super::step::{Step, Steps};
use crate::world::explain;

/// How a transaction ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was committed: each path, and whether it was changed.
    Committed(BTreeMap<String, bool>),
    /// It was rolled back, as the script said.
    RolledBack,
    /// Something was not as expected, or in the way.
    Conflict(String),
    /// The call could never succeed.
    Usage(String),
    /// The journal or the system refused.
    Failed(Error),
}

impl Steps {
    /// Stages all changes and makes them durable.
    ///
    /// # Errors
    /// Whatever the journal says; the transaction is rolled back then.
    pub fn prepare(&self, journal: &Journal) -> Result<Prepared, Error> {
        let mut txn = journal.begin(&self.label);
        for step in &self.steps {
            step.add_to(&mut txn)?;
        }
        txn.prepare()
    }

    /// Runs the transaction to its commit.
    ///
    /// # Errors
    /// Whatever the journal says.
    pub fn try_commit(&self, journal: &Journal) -> Result<Receipt, Error> {
        self.prepare(journal)?.commit()
    }

    /// Runs the transaction to its commit, and says how it went.
    pub fn commit(&self, journal: &Journal) -> Outcome {
        match self.try_commit(journal) {
            Ok(receipt) => {
                let paths = receipt.paths();
                Outcome::Committed(paths.map(|(path, to)| (path.to_string(), to)).collect())
            }
            Err(error) => error.into(),
        }
    }

    /// Stages everything and gives it up.
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
    /// Whatever the journal says.
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
