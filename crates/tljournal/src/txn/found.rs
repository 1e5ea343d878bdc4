//! Decides whether the wanted content is in place already, so that nothing has to be changed (G4).

use super::begin::Transaction;
use super::intent::{Found, Intent, Standing, Trust, Wanted};
use super::payload::{Content, Payload};
use super::source::Source;
use crate::apply;
use crate::catalog::EntryRow;
use crate::disk::{Dir, DiskError};
use crate::error::Error;
use crate::home::Parent;
use crate::model::{Digest, Kind, Stat};

impl Transaction {
    /// Compares the content of an intent's place with the wanted one, except for trees.
    pub(super) fn find(&self, intent: &Intent) -> Result<Option<Found>, Error> {
        let stat = apply::stat_at(&self.engine, &intent.place)?;
        match (&intent.wanted, stat) {
            (Wanted::Nothing(_), None) => self.find_nothing(intent).map(Some),
            (Wanted::Link(target), Some(stat)) if stat.kind == Kind::Link => {
                self.find_link(intent, target, stat)
            }
            (Wanted::File(payload), Some(stat)) if stat.kind == Kind::File => {
                self.find_file(intent, payload, stat)
            }
            _ => Ok(None),
        }
    }

    /// Whether existing content can be made durable, if needed: not after a failed sync, which a second sync would
    /// not correct.
    pub(super) fn may_adopt(&self, intent: &Intent, found: &Found) -> Result<bool, Error> {
        match (&found.standing, &found.stat) {
            (Standing::Recorded | Standing::Refreshable(_, Trust::Untouched), _) | (_, None) => {
                Ok(true)
            }
            (Standing::Refreshable(_, Trust::Rewritten) | Standing::Unknown(_), Some(stat)) => {
                let failed = self
                    .engine
                    .has_failed_to_sync(&intent.place, stat.identity)?;
                Ok(!failed)
            }
        }
    }

    fn find_nothing(&self, intent: &Intent) -> Result<Found, Error> {
        let standing = match self.engine.look(|catalog| catalog.entry(&intent.place))? {
            None => Standing::Recorded,
            // Another program removed it: the catalog must be updated.
            Some(_) => Standing::Unknown(None),
        };
        Ok(Found {
            stat: None,
            digest: None,
            standing,
            pin: None,
        })
    }

    fn find_link(&self, intent: &Intent, target: &str, stat: Stat) -> Result<Option<Found>, Error> {
        let Parent::There(parent) = self.engine.home.parent(&intent.place)? else {
            return Ok(None);
        };
        if parent.read_link(intent.place.path.name()).ok().as_deref() != Some(target) {
            return Ok(None);
        }
        let entry = self.engine.look(|catalog| catalog.entry(&intent.place))?;
        let recorded = entry.is_some_and(|entry| {
            entry.vouches_for(&stat) && entry.target.as_deref() == Some(target)
        });
        let standing = if recorded {
            Standing::Recorded
        } else {
            Standing::Unknown(None)
        };
        Ok(Some(Found {
            stat: Some(stat),
            digest: None,
            standing,
            pin: None,
        }))
    }

    fn find_file(
        &self,
        intent: &Intent,
        payload: &Payload,
        stat: Stat,
    ) -> Result<Option<Found>, Error> {
        let Some(wanted) = self.look_at_payload(payload)? else {
            return Ok(None);
        };
        let same_meta = wanted.size == stat.size
            && wanted.mode.is_none_or(|mode| mode == stat.mode)
            && wanted.mtime.is_none_or(|mtime| stat.holds_mtime(mtime));
        if !same_meta {
            return Ok(None);
        }
        let Some(digest) = (wanted.digest)()? else {
            return Ok(None);
        };
        let entry = self.engine.look(|catalog| catalog.entry(&intent.place))?;
        let vouched = entry.as_ref().is_some_and(|entry| entry.vouches_for(&stat));
        if let Some(entry) = entry.as_ref().filter(|entry| vouched && !entry.racy) {
            let found = || Found {
                stat: Some(stat),
                digest: Some(digest),
                standing: Standing::Recorded,
                pin: None,
            };
            return Ok((entry.digest == Some(digest)).then(found));
        }
        if self.hash_place(intent)? != Some((stat, digest)) {
            return Ok(None);
        }
        let standing = match entry.filter(|entry| vouched && entry.digest == Some(digest)) {
            Some(entry) => {
                let racy = !apply::is_settled(stat.ctime);
                Standing::Refreshable(Box::new(EntryRow { racy, ..entry }), Trust::Untouched)
            }
            None => Standing::Unknown(None),
        };
        Ok(Some(Found {
            stat: Some(stat),
            digest: Some(digest),
            standing,
            pin: None,
        }))
    }

    /// Hashes the file at an intent's place; `None` if its `stat` changed meanwhile.
    pub(super) fn hash_place(&self, intent: &Intent) -> Result<Option<(Stat, Digest)>, Error> {
        let Parent::There(parent) = self.engine.home.parent(&intent.place)? else {
            return Ok(None);
        };
        Ok(hash_file(&parent, intent.place.path.name())?)
    }

    /// What can be known of a payload without consuming it.
    fn look_at_payload<'a>(&'a self, payload: &'a Payload) -> Result<Option<Look<'a>>, Error> {
        let look = match &payload.content {
            Content::Stream(..) => return Ok(None),
            Content::Bytes(bytes) => Look {
                size: bytes.len() as u64,
                mode: payload.mode,
                mtime: payload.mtime,
                digest: Box::new(|| Ok(Some(Digest::of(bytes)))),
            },
            Content::File(path) | Content::Move(path) => {
                let disk = self.engine.home.dir.disk();
                let source = Source::open(disk, path)?;
                let stat = source.stat;
                Look {
                    size: stat.size,
                    mode: Some(payload.mode.unwrap_or(stat.mode & 0o777)),
                    mtime: Some(payload.mtime.unwrap_or(stat.mtime)),
                    digest: Box::new(move || Ok(source.hash()?)),
                }
            }
        };
        Ok(Some(look))
    }
}

struct Look<'a> {
    size: u64,
    mode: Option<u32>,
    mtime: Option<crate::model::Timestamp>,
    /// `None` if the content changes while it is read.
    digest: Box<dyn Fn() -> Result<Option<Digest>, Error> + 'a>,
}

/// Hashes a file; `None` if its `stat` changed meanwhile.
pub(super) fn hash_file(parent: &Dir, name: &str) -> Result<Option<(Stat, Digest)>, DiskError> {
    let file = parent.open_file(name)?;
    let before = parent.stat_open(&file)?;
    let digest = parent.hash(&file, name)?;
    let after = parent.stat_open(&file)?;
    Ok(after
        .is_unchanged_since(&before)
        .then_some((before, digest)))
}
