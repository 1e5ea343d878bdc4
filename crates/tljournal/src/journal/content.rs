//! What lies on disk, held against what was recorded. Only looks.

use super::inspect::Inspection;
use crate::disk::{Dir, DiskError};
use crate::error::Error;
use crate::model::{Anchor, Digest, Kind, Place, RelPath, Version};
use crate::tree::{Difference, DifferenceKind};

/// Where kept content lies, in the home.
const KEPT: &str = ".state/txn";

/// How many transactions are searched for content that they may have kept.
const SEARCHED_MAX: u32 = 64;

impl Inspection {
    /// The content of a file as it was at one time, from its path or from what is kept; `None` if it is
    /// nowhere any more, or longer than `bytes_max`.
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
        if version.kind != Kind::File {
            return Ok(None);
        }
        let wanted = |dir: &Dir, path: &str| {
            // It may be gone, or another one, or not for us to read: then this is not the place.
            let found = dir.read_small(path, version.size + 1).ok().flatten();
            found.filter(|content| Digest::of(content) == digest)
        };
        let place = self.history().place(path)?;
        let anchor = self.anchor(place.anchor);
        if let Some(content) = wanted(anchor, place.path.as_str()) {
            return Ok(Some(content));
        }
        let steps = self
            .history()
            .look(|catalog| catalog.steps_at(&place, None, SEARCHED_MAX))?;
        let home = self.anchor(Anchor::Home);
        for step in steps.into_iter().filter(|step| step.kept) {
            let mut at = format!("{KEPT}/{}/{}", step.id, step.n);
            if let Some(inside) = place.path.below(&step.place.path) {
                at = format!("{at}/{inside}");
            }
            if let Some(content) = wanted(home, &at) {
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
        let place = self.history().place(path)?;
        let parent = match place.path.parent() {
            None => Ok(self.anchor(place.anchor).clone()),
            Some(parent) => self.anchor(place.anchor).open_dir(parent.as_str()),
        };
        let missing = recorded.map(|_| Difference::missing());
        let parent = match parent {
            Err(error) if is_nothing(&error) => return Ok(missing.into_iter().collect()),
            opened => opened?,
        };
        let name = place.path.name();
        let Some(stat) = parent.stat(name)? else {
            return Ok(missing.into_iter().collect());
        };
        let differs = |what| Difference {
            path: ".".to_owned(),
            what,
        };
        let Some(recorded) = recorded else {
            return Ok(vec![differs(DifferenceKind::Extra)]);
        };
        if stat.kind != recorded.kind {
            let (expected, found) = (recorded.kind, stat.kind);
            return Ok(vec![differs(DifferenceKind::Kind { expected, found })]);
        }
        let mut found = Vec::new();
        if stat.kind != Kind::Link && stat.mode != recorded.mode {
            let (expected, found_mode) = (recorded.mode, stat.mode);
            found.push(DifferenceKind::Mode {
                expected,
                found: found_mode,
            });
        }
        match stat.kind {
            Kind::File if stat.size != recorded.size => found.push(DifferenceKind::Size {
                expected: recorded.size,
                found: stat.size,
            }),
            Kind::File if !self.vouches(&place, &stat)? => {
                let now = parent.hash(&parent.open_file(name)?, name)?;
                if recorded.digest.is_some_and(|digest| digest != now) {
                    found.push(DifferenceKind::Content);
                }
            }
            Kind::Link => {
                let now = parent.read_link(name)?;
                if let Some(expected) = recorded.target.clone().filter(|target| *target != now) {
                    let found_target = now.escape_debug().to_string();
                    found.push(DifferenceKind::Target {
                        expected,
                        found: found_target,
                    });
                }
            }
            Kind::Dir if recorded.digest.is_some() => return self.verify(path.as_str(), false),
            Kind::File | Kind::Dir | Kind::Other => {}
        }
        if stat.kind != Kind::Dir && stat.mtime != recorded.mtime {
            let (expected, found_mtime) = (recorded.mtime, stat.mtime);
            found.push(DifferenceKind::Mtime {
                expected,
                found: found_mtime,
            });
        }
        Ok(found.into_iter().map(differs).collect())
    }

    /// Whether the catalog knows a file by its signature, so that it need not be read.
    fn vouches(&self, place: &Place, stat: &crate::model::Stat) -> Result<bool, Error> {
        let entry = self.history().look(|catalog| catalog.entry(place))?;
        Ok(self.is_at_home() && entry.is_some_and(|entry| !entry.racy && entry.vouches_for(stat)))
    }
}

/// Whether nothing can be at a path, because a directory on the way is missing or is none.
fn is_nothing(error: &DiskError) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.io().kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory
    )
}
