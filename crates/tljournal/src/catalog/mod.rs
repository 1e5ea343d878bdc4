//! The only module that uses SQL: the database describes what the disk holds.
//!
//! The catalog does not know that files exist: it receives the path of the database and rows to store. It uses one
//! connection in WAL mode. Every write is one `BEGIN IMMEDIATE` transaction, for which the caller holds `lock/db`,
//! because SQLite's own busy handler is unfair.
//!
//! # Compatibility
//!
//! There are three sets of features, as in ext4: those that an older version may ignore, those with which it may only
//! read, and those that it must refuse. Only the last refuses a database, and leaves the file unchanged. Migrations
//! only add; `user_version` counts them. A version that adds views or triggers must refuse older versions, which
//! treat them as damage.
//!
//! # Corruption
//!
//! Any statement may find damage: unreadable pages are [`CatalogError::Corrupt`], unreadable rows are
//! [`CatalogError::Row`]. An operation that changes something fails on either, and leaves a mark, so that the next
//! opening sets the database aside. A journal that is only looked at is then read from a private copy without the rows
//! that cannot be read.

mod change;
mod check;
mod clauses;
mod codec;
mod entry;
mod event;
mod forget;
mod history;
mod home;
mod kept;
mod leftover;
mod open;
mod records;
mod rows;
mod run;
mod salvage;
mod schema;
mod snapshot;
mod sql_text;
mod steps;
mod touched;
mod tree;
mod txn;
mod voucher;

pub(crate) use check::ScannedEntry;
pub(crate) use codec::RowError;
pub(crate) use entry::{EntryRow, Unsettled};
pub(crate) use home::HomeRow;
pub(crate) use kept::{KeptRow, Written};
pub(crate) use leftover::LeftoverRow;
pub(crate) use open::Catalog;
pub use records::{
    ChangeRecord, EventFilter, EventRecord, RunFilter, RunRecord, TxnFilter, TxnRecord,
};
pub(crate) use rows::BadRow;
pub(crate) use run::OpenRun;
pub(crate) use salvage::Salvaged;
pub(crate) use snapshot::RecoveryRows;
pub(crate) use steps::{Around, Step};
pub(crate) use txn::TxnRow;
pub(crate) use voucher::{VoucherChange, VoucherRow};

/// Whether a write of the catalog is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Synced before it returns: used for the commit point and for a rollback.
    Full,
    /// Synced together with the next write that is.
    Normal,
}

/// An operation on the catalog failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The database is damaged: its pages, or its schema.
    #[error("the catalog is damaged: {0}")]
    Corrupt(String),
    /// The schema is unknown to this version, and not one of a newer version.
    #[error("the catalog has an unknown schema: {0}")]
    Schema(String),
    /// A row holds a value that the journal never writes.
    #[error("the catalog is damaged: {0}")]
    Row(String),
    /// The database belongs to another program.
    #[error("the file `.state.db` is a database of another program")]
    Foreign,
    /// A newer version wrote a format that this version must not use.
    #[error(
        "the catalog has format features {features:#x} of a newer version; use that version, nothing was changed"
    )]
    Newer {
        /// The bits of the unknown incompatible features.
        features: i64,
    },
    /// Another program holds SQLite's own locks on the database.
    #[error("another program has locked the catalog")]
    Busy,
    /// There is no space left.
    #[error("there is no space left to write the catalog")]
    Full(#[source] rusqlite::Error),
    /// The linked SQLite library is too old.
    #[error("SQLite {0} can lose committed pages; 3.51.3 or later is needed")]
    OldLibrary(String),
    /// Any other SQLite error.
    #[error("failed to {verb} the catalog")]
    Sql {
        /// The operation.
        verb: &'static str,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
}

/// The message for an empty database.
const EMPTY: &str = "it is empty";

/// The message for a database that SQLite reads and does not write.
pub(crate) const UNWRITABLE: &str =
    "its header names a write version that SQLite does not know, so that it cannot be written";

impl CatalogError {
    /// Whether the database is empty, without any tables.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Corrupt(why) if why == EMPTY)
    }
}

impl CatalogError {
    /// Whether the system may have refused to write or open a file.
    pub(crate) fn is_refusal(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly, SystemIoFailure};
        let code = match self {
            Self::Sql { source, .. } => source.sqlite_error_code(),
            _ => None,
        };
        matches!(
            code,
            Some(CannotOpen | PermissionDenied | ReadOnly | SystemIoFailure)
        )
    }
}

impl From<rusqlite::Error> for CatalogError {
    fn from(source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt(source.to_string())
            }
            Some(ErrorCode::TooBig) => Self::Row(source.to_string()),
            Some(ErrorCode::OperationInterrupted) => {
                Self::Schema("it takes too long to read".to_owned())
            }
            Some(ErrorCode::DiskFull) => Self::Full(source),
            // The last: another program holds every mark that readers share.
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Busy,
            _ => match source {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..) => Self::Row(source.to_string()),
                source => Self::Sql {
                    verb: "use",
                    source,
                },
            },
        }
    }
}

impl From<RowError> for CatalogError {
    fn from(error: RowError) -> Self {
        Self::Row(error.0)
    }
}

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;
