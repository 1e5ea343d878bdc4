//! What lies on disk, held against what was recorded. Only looks.

use super::inspect::Inspection;
use crate::catalog::Around;
use crate::disk::Dir;
use crate::error::Error;
use crate::model::{Digest, Kind, RelPath, Version, holds_private_key};
use crate::tree::Difference;

/// Where kept content lies, in the home.
const KEPT: &str = ".state/txn";

/// How many transactions are searched for content that they may have kept.
const SEARCHED_MAX: u32 = 64;

impl Inspection {
    /// The content of a file as it was at one time, from its path or from what is kept; `None` if it is
    /// nowhere any more, longer than `bytes_max`, or a private key, which is never shown.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad path, and as for [`History::transactions`](crate::History::transactions).
    pub fn content(
        &self,
        path: &RelPath,
        version: &Version,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(digest) = version.digest.filter(|_| version.size <= bytes_max) else {
            return Ok(None);
        };
        if version.kind != Kind::File || self.look().key_material.is_at(path.as_str()) {
            return Ok(None);
        }
        let wanted = |dir: &Dir, path: &str| {
            // It may be gone, or another one, or not for us to read: then this is not the place.
            let found = dir.read_small(path, version.size + 1).ok().flatten();
            let found = found.filter(|content| Digest::of(content) == digest);
            found.filter(|content| !holds_private_key(content))
        };
        let look = self.look();
        let place = look.place(path)?;
        if let Some(content) = wanted(look.anchor(place.anchor), place.path.as_str()) {
            return Ok(Some(content));
        }
        let steps = look.ask(|catalog| catalog.steps_at(&place, Around::Latest, SEARCHED_MAX))?;
        for step in steps.into_iter().filter(|step| step.kept) {
            let mut at = format!("{KEPT}/{}/{}", step.id, step.n);
            if let Some(inside) = place.path.below(&step.place.path) {
                at = format!("{at}/{inside}");
            }
            if let Some(content) = wanted(look.home, &at) {
                return Ok(Some(content));
            }
        }
        Ok(None)
    }

    /// How what is at a path differs from what was recorded to be there; nothing if it does not.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad path, [`Error::Disk`] when it cannot be looked at.
    pub fn drift(
        &self,
        path: &RelPath,
        recorded: Option<&Version>,
    ) -> Result<Vec<Difference>, Error> {
        let look = self.look();
        look.differences(&look.place(path)?, recorded)
    }
}
