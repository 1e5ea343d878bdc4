use std::ffi::{OsStr, OsString};
use std::fmt;

use super::{Code, Severity};
use crate::catalog::{RunRecord, TxnRecord};
use crate::model::{Place, RelPath, TxnId};

/// One problem or piece of information.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// Its path, as the caller knows it; not escaped, and possibly hostile.
    pub path: String,
    /// The expected state.
    pub expected: Option<String>,
    /// The actual state.
    pub actual: Option<String>,
    /// The transaction that wrote it last, or that the finding is about, with its run.
    pub txn: Option<Box<TxnRecord>>,
    /// The run that the finding is about, if it is not the run of the transaction.
    pub run: Option<Box<RunRecord>>,
    /// What to do.
    pub advice: String,
    /// What to repair.
    pub(crate) subject: Subject,
}

/// The subject of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Nothing that can be repaired.
    None,
    /// The entry at a place; for a tree, all of it.
    Entry(Place),
    /// A transaction.
    Txn(TxnId),
    /// A name in a directory of the journal, given below `.state`.
    Own { dir: String, name: OsString },
    /// A leftover that could not be deleted, below `.state`.
    Left(RelPath),
    /// A name next to a target.
    Beside(Place),
    /// A manifest, by its key.
    Manifest(Vec<u8>),
}

impl Finding {
    pub(super) fn new(code: Code, path: impl Into<String>) -> Self {
        Self {
            code,
            path: path.into(),
            expected: None,
            actual: None,
            txn: None,
            run: None,
            advice: code.advice().to_owned(),
            subject: Subject::None,
        }
    }

    pub(super) fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.expected = Some(expected.to_string());
        self
    }

    pub(super) fn actual(mut self, actual: impl fmt::Display) -> Self {
        self.actual = Some(actual.to_string());
        self
    }

    pub(super) fn written_by(mut self, txn: Option<Box<TxnRecord>>) -> Self {
        self.txn = txn;
        self
    }

    pub(super) fn about(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Its severity.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

impl Subject {
    pub(super) fn own(dir: &str, name: &OsStr) -> Self {
        let (dir, name) = (dir.to_owned(), name.to_owned());
        Self::Own { dir, name }
    }
}
