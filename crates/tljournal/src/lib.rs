//! A transactional filesystem journal engine.
//!
//! A [`Journal`] makes every change of a directory a transaction: files, links, removals and whole trees are staged,
//! committed in a SQLite catalog, and put in place by renames. If a process is killed at any point, each transaction
//! is applied completely or not at all, and no reader ever sees a partial file, link or directory.
//!
//! ```
//! use tljournal::{Expect, Journal, Payload};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let project = tempfile::tempdir()?;
//! # let project = project.path().to_str().ok_or("not UTF-8")?;
//! let journal = Journal::open(project)?;
//! let mut txn = journal.begin("publish 1.2.3");
//! txn.put("build/version", Payload::from("1.2.3\n").mode(0o644), Expect::Absent)?;
//! txn.link("build/latest", "1.2.3", Expect::Any)?;
//! let receipt = txn.prepare()?.commit()?;
//! assert!(receipt.changed("build/version"));
//! journal.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! The protocol is described at the top of the module `txn`; `ARCHITECTURE.md` has the map.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("tljournal needs openat2, renameat2 and OFD locks: it runs on Linux only");

mod ambient;
mod apply;
mod catalog;
pub mod disk;
mod engine;
mod error;
mod fsck;
mod home;
mod journal;
mod kept;
mod lineage;
mod lock;
mod look;
mod model;
mod pin;
mod recovery;
mod redact;
mod tree;
mod txn;
mod undo;
mod voucher;
pub mod workers;

pub use catalog::{
    CatalogError, ChangeRecord, EventFilter, EventRecord, RunFilter, RunRecord, TxnFilter,
    TxnRecord,
};
pub use error::{Conflict, ConflictKind, Damage, Error, Unsupported, UsageError};
pub use fsck::{
    Code, Finding, FsckDepth, FsckOptions, FsckReport, FsckWatch, Mend, RebuildOptions, Rebuilt,
    Repair, RepairOptions, Severity,
};
pub use home::{GcLog, below_root};
pub use journal::{
    EntryDiff, EntryView, History, Inspection, Installed, Journal, LogEnd, NamedLock, Options,
    PathDiff, Reading, Run, Status, Wrote,
};
pub use kept::{Gc, GcTxn};
pub use lock::{LockError, Mode as LockMode};
pub use model::{
    Digest, Durability, Entry, EntryKind, EventKind, Expect, Identity, Image, KeyMaterial, Kind,
    Limits, Manifest, ManifestError, NamedPath, Op, ParseDigestError, ParseExpectError,
    ParseIdError, ParseTimestampError, PathError, RelPath, Retention, RunId, Stat, Timestamp,
    TxnId, TxnState, Version, holds_private_key,
};
pub use pin::Pin;
pub use recovery::Recovery;
pub use redact::{Redactor, redacted, redacted_text};
pub use tree::{
    Difference, DifferenceKind, Layer, SourceContent, SourceEntry, TreeError, TreeSource, decoded,
};
pub use txn::{
    Accept, OnPinned, Payload, PopulateOptions, Prepared, Receipt, Transaction, TreeOptions,
};
pub use undo::{Because, NotKept, Undo, UndoAction, UndoOptions, UndoStep};
pub use voucher::{Tags, Voucher};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
