//! Old versions of files, and differences between disk and record. Read-only.

use super::inspect::Inspection;
use crate::catalog::Around;
use crate::disk::Dir;
use crate::error::Error;
use crate::model::{Digest, Kind, RelPath, Version, holds_private_key};
use crate::tree::Difference;

/// The directory of retained content, in the home.
const KEPT: &str = ".state/txn";

/// The number of transactions that are searched for retained content.
const SEARCHED_MAX: u32 = 64;

impl Inspection {
    /// The content of a version of a file, from its path or from retained content; `None` if it exists nowhere any
    /// more, is longer than `bytes_max`, or is a private key, which is never shown.
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
            // It may be missing, replaced or unreadable: then another copy is tried.
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

    /// The differences between the disk and the recorded version of a path.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad path, [`Error::Disk`] when it cannot be read.
    pub fn drift(
        &self,
        path: &RelPath,
        recorded: Option<&Version>,
    ) -> Result<Vec<Difference>, Error> {
        let look = self.look();
        look.differences(&look.place(path)?, recorded)
    }
}
