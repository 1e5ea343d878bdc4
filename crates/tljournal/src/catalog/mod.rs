//! The only room that speaks SQL: the database explains what the disk holds.
//!
//! The catalog does not know that files exist; it is told a path to open and rows to keep. One
//! connection in WAL mode; every write is one `BEGIN IMMEDIATE` transaction, for which the caller holds
//! `lock/db`, because SQLite's own busy handler shares turns out unfairly.
//!
//! # Compatibility
//!
//! Three sets of features, as ext4 has them: what an older version may ignore, what it may read past,
//! and what it must refuse. Only the last refuses a database, and leaves the file as it is. Migrations
//! only add; `user_version` counts them. Whoever adds views or triggers has to refuse older versions, which
//! take them for damage.
//!
//! # Corruption
//!
//! Any statement may find it: pages that cannot be read are [`CatalogError::Corrupt`], and rows [`CatalogError::Row`].
//! Work that depends on either ends; who only reads can do without a row.

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
mod run;
mod salvage;
mod schema;
mod sql_text;
mod steps;
mod touched;
mod tree;
mod txn;
mod voucher;

pub(crate) use check::{BadRow, ScannedEntry};
pub(crate) use codec::RowError;
pub(crate) use entry::{EntryRow, Unsettled};
pub(crate) use home::HomeRow;
pub(crate) use kept::{KeptRow, Written};
pub(crate) use leftover::LeftoverRow;
pub(crate) use open::Catalog;
pub use records::{
    ChangeRecord, EventFilter, EventRecord, RunFilter, RunRecord, TxnFilter, TxnRecord,
};
pub(crate) use salvage::Salvaged;
pub(crate) use steps::{Around, Step};
pub(crate) use txn::TxnRow;
pub(crate) use voucher::{VoucherChange, VoucherRow};

/// Whether a write of the catalog is synced before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// It is: used for the commit point and for what takes it back.
    Full,
    /// It rides along with the next one that is.
    Normal,
}

/// The catalog could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The database is damaged: its pages, or its schema.
    #[error("the catalog is damaged: {0}")]
    Corrupt(String),
    /// The schema is not one that this version, or a newer one, makes.
    #[error("the catalog has another schema than this version makes: {0}")]
    Schema(String),
    /// A row holds what was never written there.
    #[error("the catalog is damaged: {0}")]
    Row(String),
    /// The database belongs to another program.
    #[error("the file `.state.db` is a database of another program")]
    Foreign,
    /// A newer version wrote a format that this one must not touch.
    #[error(
        "the catalog has format features {features:#x} of a newer version; use that version, nothing was changed"
    )]
    Newer {
        /// The bits of the incompatible features that are not known here.
        features: i64,
    },
    /// Another program holds SQLite's own locks on the database.
    #[error("another program has locked the catalog")]
    Busy,
    /// Space ran out.
    #[error("there is no space left to write the catalog")]
    Full(#[source] rusqlite::Error),
    /// The library that was linked is too old to be safe.
    #[error("SQLite {0} can lose committed pages; 3.51.3 or later is needed")]
    OldLibrary(String),
    /// Anything else that SQLite says.
    #[error("failed to {verb} the catalog")]
    Sql {
        /// What was being done.
        verb: &'static str,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
}

/// Said of a database that holds nothing.
const EMPTY: &str = "it is empty";

impl CatalogError {
    /// Whether the database holds nothing, not even tables.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Corrupt(why) if why == EMPTY)
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
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => match source {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..) => Self::Row(source.to_string()),
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
