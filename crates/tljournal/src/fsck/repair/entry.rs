use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Outcome, Repairs};
use crate::apply;
use crate::catalog::{EntryRow, TxnRecord};
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::{Conflict, ConflictKind, Error};
use crate::fsck::{Code, Finding};
use crate::home::Parent;
use crate::kept::{self, Kept};
use crate::lock::{self, Mode};
use crate::look::Look;
use crate::model::{Digest, Expect, Kind, Place, RelPath, Spot, Stat};
use crate::txn::{Payload, Transaction};

/// The content of a file, and where it was found.
pub(super) struct Content {
    pub(super) file: File,
    /// For display.
    pub(super) origin: String,
}

/// The entry to restore at a place.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) path: RelPath,
    pub(super) entry: EntryRow,
    /// The observed state; nothing else is replaced.
    seen: Arc<Mutex<Option<Stat>>>,
}

impl Wanted {
    /// Whether it is still the recorded entry.
    fn is_still(&self, engine: &Engine) -> Result<bool, Error> {
        let entry = engine.look(|catalog| catalog.entry(&self.place))?;
        Ok(entry.is_some_and(|entry| entry.txn == self.entry.txn))
    }

    fn seen(&self) -> MutexGuard<'_, Option<Stat>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the disk differs from the record, as far as metadata shows.
    fn is_touched(&self) -> bool {
        let image = &self.entry.image;
        let is_it = |stat: &Stat| {
            (stat.kind, stat.size, stat.mtime) == (image.kind, image.size, image.mtime)
        };
        self.seen().as_ref().is_some_and(|stat| !is_it(stat))
    }

    /// Whether transactions changed something in a tree since it was installed.
    pub(super) fn is_overlaid(&self, engine: &Engine) -> Result<bool, Error> {
        match self.entry.image.kind {
            Kind::Dir => {
                engine.look(|catalog| catalog.is_changed_below(&self.place, self.entry.txn, None))
            }
            _ => Ok(false),
        }
    }

    /// Returns an error if another process changed it first. The caller holds the commit lock.
    fn check_still(&self, engine: &Engine) -> Result<(), Error> {
        let now = apply::stat_at(engine, &self.place)?;
        let mark = |stat: &Stat| (stat.kind, stat.identity, stat.size, stat.mtime, stat.ctime);
        let is_same = now.as_ref().map(mark) == self.seen().as_ref().map(mark);
        match is_same && self.is_still(engine)? && !self.is_overlaid(engine)? {
            true => Ok(()),
            false => Err(Conflict::at(&self.path, ConflictKind::Edited).into()),
        }
    }
}

impl Repairs<'_> {
    /// Restores the entry at a place, if the finding is still current.
    pub(super) fn entry(&self, finding: &Finding, place: &Place) -> Result<Outcome, Error> {
        let Some(wanted) = self.wanted(place)? else {
            return Ok(forgotten());
        };
        let is_other = |txn: &TxnRecord| txn.number != wanted.entry.txn;
        if finding.txn.as_deref().is_some_and(is_other) {
            return Ok(recorded_anew());
        }
        let done = match (finding.code, wanted.entry.image.kind) {
            (Code::ManifestMissing | Code::ManifestDamaged, _) => self.manifest(&wanted),
            (_, Kind::Dir) => self.tree(&wanted),
            (_, Kind::Link) => self.link(&wanted),
            (code, Kind::File | Kind::Other) => self.file(&wanted, code),
        };
        match done {
            Err(Error::Conflict(_)) if !wanted.is_still(self.engine)? => Ok(recorded_anew()),
            done => done,
        }
    }

    /// The entry at a place.
    fn wanted(&self, place: &Place) -> Result<Option<Wanted>, Error> {
        let Some(entry) = self.engine.look(|catalog| catalog.entry(place))? else {
            return Ok(None);
        };
        Ok(Some(Wanted {
            place: place.clone(),
            path: self.path(place)?,
            entry,
            seen: Arc::new(Mutex::new(apply::stat_at(self.engine, place)?)),
        }))
    }

    fn link(&self, wanted: &Wanted) -> Result<Outcome, Error> {
        let Some(target) = &wanted.entry.target else {
            return Ok(Outcome::Left("its target is not recorded".to_owned()));
        };
        // A file that differs from the record is a user's change, even if it came after the check.
        if wanted.seen().is_some() && !self.is_named(&wanted.path) {
            return Ok(theirs());
        }
        let mut txn = self.begin(wanted);
        txn.link(&wanted.path, target, Expect::Any)?;
        self.commit(wanted, Kind::Link, txn)?;
        Ok(Outcome::Mended(format!("linked to {target} again")))
    }

    fn file(&self, wanted: &Wanted, code: Code) -> Result<Outcome, Error> {
        let Wanted {
            place, path, entry, ..
        } = wanted;
        let Some(digest) = entry.digest else {
            return Ok(Outcome::Left("its content is not recorded".to_owned()));
        };
        let in_place = self.in_place(place, &digest)?;
        let is_theirs = code == Code::Changed || wanted.is_touched();
        if is_theirs && in_place.is_none() && !self.is_named(path) {
            return Ok(theirs());
        }
        let found = match in_place {
            Some(found) => Some(found),
            None => match self.kept_file(&digest)? {
                Some((kept, file)) => {
                    let origin = format!("the content that transaction {} replaced", kept.txn);
                    // An open file stays readable even if its name is deleted.
                    Some(Content { file, origin })
                }
                None => self.source_file(path, &digest)?,
            },
        };
        let Some(content) = found else {
            return match code {
                Code::Damaged => self.quarantine(wanted),
                _ => Ok(Outcome::Left(nowhere())),
            };
        };
        let home = &self.engine.home;
        let stat = home.dir.stat_open(&content.file)?;
        let mode = home.recorded_modes().of(entry.image.mode, &stat);
        let payload = Payload::opened(content.file, mode, entry.image.mtime)?;
        let mut txn = self.begin(wanted);
        txn.put(path, payload, Expect::Any)?;
        if txn.digest_of(path) != Some(digest) {
            txn.rollback()?;
            return Ok(Outcome::Left(changed_meanwhile()));
        }
        self.commit(wanted, Kind::File, txn)?;
        Ok(Outcome::Mended(format!(
            "put again, with content from {}",
            content.origin
        )))
    }

    /// A transaction that sets aside what it replaces, and is refused if another process changed it first.
    pub(super) fn begin(&self, wanted: &Wanted) -> Transaction {
        let label = format!("repair {}", wanted.path);
        let mut txn = Transaction::new(self.engine.clone(), &label).keeping_evidence();
        let wanted = wanted.clone();
        txn.guard(move |engine| wanted.check_still(engine));
        txn
    }

    /// Commits; an obstacle is moved away only when the replacement is complete.
    pub(super) fn commit(
        &self,
        wanted: &Wanted,
        kind: Kind,
        txn: Transaction,
    ) -> Result<(), Error> {
        let prepared = txn.prepare()?;
        self.clear_the_way(wanted, kind)?;
        prepared.commit()?;
        Ok(())
    }

    /// Sets aside a file that cannot be restored, and removes its record.
    fn quarantine(&self, wanted: &Wanted) -> Result<Outcome, Error> {
        let mut txn = self.begin(wanted);
        txn.remove(&wanted.path, Expect::Any)?;
        txn.prepare()?.commit()?;
        Ok(Outcome::Mended(
            "its content is not available: set aside".to_owned(),
        ))
    }

    /// Sets aside what is of another kind than the entry to restore. The record stays, so that after an interruption
    /// the next check reports it missing.
    fn clear_the_way(&self, wanted: &Wanted, kind: Kind) -> Result<(), Error> {
        let (home, place) = (&self.engine.home, &wanted.place);
        if !home.may_touch(place) {
            // The transaction that follows is refused; nothing is moved for it.
            return Ok(());
        }
        let is_wrong = |stat: &Stat| stat.kind != kind;
        if !apply::stat_at(self.engine, place)?.is_some_and(|stat| is_wrong(&stat)) {
            return Ok(());
        }
        let _lock = self.engine.commit_lock(Mode::Exclusive, "repair", None)?;
        wanted.check_still(self.engine)?;
        let name = place.path.name();
        let Parent::There(parent) = home.parent(place)? else {
            return Ok(());
        };
        let Some(stat) = parent.stat(name)?.filter(is_wrong) else {
            return Ok(());
        };
        if lock::is_locked_within(&parent, name)? {
            let holder = lock::of_inode(stat.identity.ino);
            let path = home.shown(place);
            return Err(Conflict::at(path, ConflictKind::Pinned { holder }).into());
        }
        match home.spot_for(place)?.0 {
            _ if !kept::remove_keys(
                &self.engine.key_material,
                &home.shown(place),
                (&parent, name, &stat),
            )? =>
            {
                parent.remove_tree(name)?;
            }
            Spot::Home => home.set_place_aside(place, &parent)?,
            Spot::Beside(_) if stat.kind == Kind::Other => {
                let (found, wanted) = (stat.kind.as_str(), kind.as_str());
                let kind = ConflictKind::Kind { found, wanted };
                return Err(Conflict::at(home.shown(place), kind).into());
            }
            Spot::Beside(_) => {
                home.copy_aside(&parent, name, name)?;
            }
        }
        *wanted.seen() = None;
        Ok(())
    }

    /// The file at a place, if it still has this content.
    fn in_place(&self, place: &Place, digest: &Digest) -> Result<Option<Content>, Error> {
        let Parent::There(parent) = self.engine.home.parent(place)? else {
            return Ok(None);
        };
        let name = place.path.name();
        match parent.stat(name)? {
            Some(Stat {
                kind: Kind::File, ..
            }) => {}
            _ => return Ok(None),
        }
        let origin = "its own place".to_owned();
        Ok(open_if_right(&parent, name, digest).map(|file| Content { file, origin }))
    }

    /// A retained file with this content, verified.
    pub(super) fn kept_file(&self, digest: &Digest) -> Result<Option<(Kept, File)>, Error> {
        let (index, look) = (self.kept()?, Look::of(self.engine));
        for known in index.with_digest(Kind::File, digest) {
            let Some(kept) = index.hold(&look, known)? else {
                continue;
            };
            if let Some(file) = open_if_right(kept.dir(), &kept.name, digest) {
                return Ok(Some((kept, file)));
            }
        }
        Ok(None)
    }
}

/// Opens a file if it has this content; `None` also if it cannot be read.
pub(super) fn open_if_right(dir: &Dir, name: &str, digest: &Digest) -> Option<File> {
    let file = dir.open_file(name).ok()?;
    (dir.hash(&file, name).ok()? == *digest).then_some(file)
}

fn recorded_anew() -> Outcome {
    Outcome::Mended("another transaction changed it since the check".to_owned())
}

fn forgotten() -> Outcome {
    Outcome::Mended("its record no longer exists".to_owned())
}

pub(super) fn theirs() -> Outcome {
    let text = "it was changed after it was put there; name its path to restore it";
    Outcome::Left(text.to_owned())
}

pub(super) fn nowhere() -> String {
    "its content is not available; put it again, or pass --source".to_owned()
}

pub(super) fn changed_meanwhile() -> String {
    "the source of its content changed at the same time; check again".to_owned()
}
