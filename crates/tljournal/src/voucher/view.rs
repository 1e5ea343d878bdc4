use crate::catalog::{RunRecord, VoucherRow};
use crate::error::Error;
use crate::model::{Digest, Place, RunId, Timestamp};

/// One run's claim on a tag, as callers see it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Voucher {
    /// The tag, as the caller names it.
    pub path: String,
    /// The run that makes the claim.
    pub run: RunId,
    /// The digest over everything that was verified.
    pub digest: Digest,
    /// When it was made.
    pub since: Timestamp,
    /// Why it is no longer valid, if it was revoked.
    pub revoked: Option<String>,
    /// Whether the run is running. The claim of an ended run is not valid.
    pub alive: bool,
    /// The record of the run.
    pub process: Option<RunRecord>,
}

impl Voucher {
    /// Whether the claim is valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.alive && self.revoked.is_none()
    }
}

pub(crate) fn view(
    row: VoucherRow,
    shown: impl Fn(&Place) -> String,
    alive: impl Fn(RunId) -> Result<bool, Error>,
    process: impl Fn(RunId) -> Result<Option<RunRecord>, Error>,
) -> Result<Voucher, Error> {
    Ok(Voucher {
        path: shown(&row.place),
        run: row.run,
        digest: row.digest,
        since: row.since,
        revoked: row.revoked,
        alive: alive(row.run)?,
        process: process(row.run)?,
    })
}
