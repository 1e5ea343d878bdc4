use std::ffi::{OsStr, OsString};
use std::fmt;

use super::{Code, Severity};
use crate::catalog::{RunRecord, TxnRecord};
use crate::model::{Place, RelPath, TxnId};

/// One thing that is not as it should be, or is worth knowing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// The path that it is about, as the caller knows it; not escaped, and of anybody's making.
    pub path: String,
    /// What should be.
    pub expected: Option<String>,
    /// What is.
    pub actual: Option<String>,
    /// The transaction that wrote it last, or that it is about, with its run.
    pub txn: Option<Box<TxnRecord>>,
    /// The run that it is about, where that is not the run of the transaction.
    pub run: Option<Box<RunRecord>>,
    /// What to do.
    pub advice: String,
    /// What is to be repaired.
    pub(crate) subject: Subject,
}

/// What a repair would be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Nothing that a repair could name.
    None,
    /// What is recorded at a place; for a tree, all of it.
    Entry(Place),
    /// A transaction.
    Txn(TxnId),
    /// A name in a directory of the journal, given below `.state`.
    Own { dir: String, name: OsString },
    /// Something that could not be cleared away, below `.state`.
    Left(RelPath),
    /// A name beside a target.
    Beside(Place),
    /// A manifest, by what it is called.
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

    /// How bad it is.
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
