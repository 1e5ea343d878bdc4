//! The transactions that changed a path, back to the first one.

use std::collections::HashMap;
use std::rc::Rc;

use super::history::History;
use crate::catalog::{Around, Step, TxnRecord};
use crate::error::Error;
use crate::model::{Digest, Kind, Manifest, Op, Place, RelPath, Version};

/// A transaction that determined the state of a path.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Wrote {
    /// The transaction, with its run.
    pub txn: TxnRecord,
    /// What it changed: the path itself, or a directory that contains it.
    pub changed: String,
    /// `put`, `link`, `tree`, `remove`, `adopt`.
    pub op: Op,
    /// The version at the path afterwards; `None` if it was removed.
    pub left: Option<Version>,
}

/// The number of changes per query, because many may leave a path of a tree unchanged.
const PAGE: u32 = 64;

impl History<'_> {
    /// The transactions that changed a path, the latest first. A transaction that changed a tree counts only if it
    /// changed the path in it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad path, and as for [`History::transactions`].
    pub fn blame(&self, path: &RelPath, limit: u32) -> Result<Vec<Wrote>, Error> {
        let place = self.look.place(path)?;
        let mut wrote = Vec::new();
        let mut versions = Versions::of(self, &place);
        let mut later: Option<(Step, Option<Version>)> = None;
        let mut around = Around::Latest;
        loop {
            let steps = self
                .look
                .ask(|catalog| catalog.steps_at(&place, around, PAGE))?;
            let is_last = steps.len() < PAGE as usize;
            if let Some(step) = steps.last() {
                around = Around::Before(step.txn);
            }
            for step in steps {
                let left = versions.left_by(&step)?;
                if let Some((by, after)) = later.take()
                    && (by.place == place || after != left)
                {
                    wrote.extend(self.wrote(by, after)?);
                    if wrote.len() >= limit as usize {
                        return Ok(wrote);
                    }
                }
                later = Some((step, left));
            }
            if is_last {
                break;
            }
        }
        // A first tree without the path is not a beginning of the path.
        if let Some((first, left)) =
            later.filter(|(step, left)| step.place == place || left.is_some())
        {
            wrote.extend(self.wrote(first, left)?);
        }
        Ok(wrote)
    }

    fn wrote(&self, by: Step, left: Option<Version>) -> Result<Option<Wrote>, Error> {
        let txn = self.look.ask(|catalog| catalog.txn_record(by.txn))?;
        Ok(txn.map(|txn| Wrote {
            txn,
            changed: self.look.shown(&by.place),
            op: by.op,
            left,
        }))
    }

    /// The version that one of the changes at a place left there.
    pub(crate) fn version_at(
        &self,
        place: &Place,
        around: Around,
    ) -> Result<Option<Version>, Error> {
        match self.step_at(place, around)? {
            Some(step) => Versions::of(self, place).left_by(&step),
            None => Ok(None),
        }
    }

    /// One of the changes at a place.
    pub(crate) fn step_at(&self, place: &Place, around: Around) -> Result<Option<Step>, Error> {
        Ok(self
            .look
            .ask(|catalog| catalog.steps_at(place, around, 1))?
            .pop())
    }
}

/// Reads the versions that changes left at one place, and each manifest once.
struct Versions<'a> {
    history: &'a History<'a>,
    place: &'a Place,
    manifests: HashMap<Digest, Option<Rc<Manifest>>>,
}

impl<'a> Versions<'a> {
    fn of(history: &'a History<'a>, place: &'a Place) -> Self {
        Self {
            history,
            place,
            manifests: HashMap::new(),
        }
    }

    /// The version that a change left at the place; `None` if a directory that contained it was removed.
    fn left_by(&mut self, step: &Step) -> Result<Option<Version>, Error> {
        let Some(after) = step.after.as_ref().filter(|_| step.op != Op::Remove) else {
            return Ok(None);
        };
        let Some(inside) = self.place.path.below(&step.place.path) else {
            let version = Version::of(after, step.digest, step.target.clone());
            return Ok(Some(version));
        };
        let Some(digest) = step.digest.filter(|_| after.kind == Kind::Dir) else {
            return Ok(None);
        };
        let manifest = self.manifest(digest)?;
        Ok(manifest.and_then(|manifest| entry(&manifest, inside.as_str())))
    }

    fn manifest(&mut self, digest: Digest) -> Result<Option<Rc<Manifest>>, Error> {
        if let Some(known) = self.manifests.get(&digest) {
            return Ok(known.clone());
        }
        let found = self.history.look.manifest(&digest)?;
        let found = found.map(Rc::new);
        self.manifests.insert(digest, found.clone());
        Ok(found)
    }
}

/// The version of a path in a manifest.
fn entry(manifest: &Manifest, path: &str) -> Option<Version> {
    let entries = manifest.entries();
    let at = entries.binary_search_by(|entry| entry.path.as_str().cmp(path));
    at.ok().map(|at| Version::from(&entries[at]))
}
