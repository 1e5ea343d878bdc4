use crate::catalog::{RunRecord, VoucherRow};
use crate::error::Error;
use crate::model::{Digest, Place, RunId, Timestamp};

/// One run's claim that a tag is right, as it is told to others.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Voucher {
    /// The tag, as the caller knows it.
    pub path: String,
    /// The run that vouches.
    pub run: RunId,
    /// Over everything that was verified.
    pub digest: Digest,
    /// Since when.
    pub since: Timestamp,
    /// Why it is not worth anything any more, if it was revoked.
    pub revoked: Option<String>,
    /// Whether the run lives. What a dead one vouched for is worth nothing.
    pub alive: bool,
    /// What is known of the run.
    pub process: Option<RunRecord>,
}

impl Voucher {
    /// Whether it is worth something.
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
