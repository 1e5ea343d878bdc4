//! Converts the errors of other modules into [`Error`](super::Error).

use super::{Damage, Error, Unsupported};
use crate::catalog::CatalogError;
use crate::disk::DiskError;
use crate::lock::LockError;
use crate::model::PathError;

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Disk(error) => Self::Disk(error),
            timeout => Self::Lock(timeout),
        }
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Newer { .. } | CatalogError::OldLibrary(_) => {
                Self::Unsupported(Unsupported::Format(error))
            }
            CatalogError::Corrupt(_)
            | CatalogError::Schema(_)
            | CatalogError::Row(_)
            | CatalogError::Foreign => Self::Damaged(Damage::Catalog {
                path: crate::home::DATABASE.to_owned(),
                source: error,
            }),
            error => Self::Catalog(error),
        }
    }
}
