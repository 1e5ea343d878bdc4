//! Cleanup after a transaction is applied; no other process waits for it.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::begin::{Live, Transaction};
use super::intent::{Found, Wanted};
use super::payload::{Content, Payload};
use super::plan::Plan;
use super::source::Source;
use crate::apply::{self, Keep, Remains};
use crate::error::Error;
use crate::home::Parent;
use crate::kept;
use crate::model::{Change, Identity, Kind, Op, Place, Spot};
use crate::tree;

/// The size up to which a retained file counts with its full length, including holes.
const SMALL_BYTES_MAX: u64 = 1 << 20;

impl Transaction {
    /// Removes the old names of files that were moved in, or whose content was in place already.
    pub(super) fn remove_moved(&self) {
        for intent in &self.intents {
            let removed = match (&intent.staged, &intent.wanted, &intent.found) {
                (Some(staged), ..) => match &staged.moved_from {
                    Some(path) => self.remove_source(path, staged.image.identity),
                    None => Ok(()),
                },
                (None, Wanted::File(payload), Some(found)) => self.remove_found(payload, found),
                _ => Ok(()),
            };
            if let Err(error) = removed {
                tracing::warn!(%error, "failed to remove the old name of a file that was moved in");
            }
        }
    }

    /// Removes the old name of a file whose content was in place already, if it is unchanged.
    fn remove_found(&self, payload: &Payload, found: &Found) -> Result<(), Error> {
        let Content::Move(path) = &payload.content else {
            return Ok(());
        };
        let disk = self.engine.home.dir.disk();
        let source = Source::open(disk, path)?;
        let identity = source.stat.identity;
        let is_itself = found.stat.is_some_and(|there| there.identity == identity);
        let is_found = || Ok::<_, Error>(found.digest.is_some() && found.digest == source.hash()?);
        match !is_itself && is_found()? {
            true => self.remove_source(path, identity),
            false => Ok(()),
        }
    }

    fn remove_source(&self, path: &Utf8Path, identity: Identity) -> Result<(), Error> {
        Ok(self.engine.home.dir.disk().remove_source(path, identity)?)
    }

    /// The bytes of retained small files, if they are known without reading the disk: recording them with the end of
    /// the transaction saves a write.
    pub(super) fn kept_at_once(&self, plan: &Plan) -> Option<u64> {
        let retention = &self.engine.retention;
        let mut replaced = Vec::new();
        let mut changes = 0;
        for change in &plan.changes {
            match change.op {
                Op::Parent => continue,
                Op::Put | Op::Link | Op::Remove if change.spot == Spot::Home => changes += 1,
                _ => return None,
            }
            let Some(pre) = change.pre else { continue };
            let is_plain = matches!(pre.kind, Kind::File | Kind::Link) && !change.drift;
            let path = self.engine.home.shown(&change.place);
            // A large file may be mostly holes.
            if !is_plain
                || pre.size > SMALL_BYTES_MAX
                || self.engine.key_material.is_at(&path)
                || pre.kind == Kind::File && !self.is_plainly_no_key(&change.place)
            {
                return None;
            }
            replaced.push(pre.size);
        }
        let bytes = replaced.iter().sum();
        let all = changes == self.intents.len() && !replaced.is_empty();
        (all && retention.kept.count > 0 && bytes <= retention.kept.bytes).then_some(bytes)
    }

    /// Whether the content of the file that is about to be replaced is certainly not a private key.
    fn is_plainly_no_key(&self, place: &Place) -> bool {
        let parent = self.engine.home.parent(place);
        let Ok(Parent::There(parent)) = parent else {
            return false;
        };
        matches!(tree::is_key(&parent, place.path.name()), Ok(false))
    }

    /// Retains what was replaced, or deletes it; no other process waits for this.
    pub(super) fn tidy(&mut self, plan: &Plan) {
        let used = |change: &&Change| !matches!(change.op, Op::Adopt | Op::Fill);
        let used: BTreeSet<_> = plan.changes.iter().filter(used).map(|one| one.n).collect();
        for intent in &mut self.intents {
            if !used.contains(&intent.n) {
                // Staged but not needed: its pin would prevent its deletion.
                intent.staged = None;
            }
        }
        let Some(live) = &self.live else { return };
        let tidied = match plan.known.kept {
            Some(bytes) => Ok(Remains::Kept(bytes)),
            None => self.tidy_staging(live, plan),
        };
        let thinned = tidied.and_then(|remains| match remains {
            Remains::Kept(bytes) => kept::note(&self.engine, bytes),
            Remains::Nothing | Remains::Held => Ok(()),
        });
        if let Err(error) = thinned {
            tracing::warn!(%error, "failed to clean up after the transaction; recovery tries again");
        }
    }

    fn tidy_staging(&self, live: &Live, plan: &Plan) -> Result<Remains, Error> {
        // Until the tree is synced everything is needed.
        if self.engine.look(|catalog| catalog.is_unsettled(live.row))? {
            return Ok(Remains::Held);
        }
        let (id, staging) = ((live.row, live.id), &live.staging);
        let keep = Keep::Replaced;
        apply::clear(
            &self.engine,
            id,
            staging,
            &plan.changes,
            &plan.replaced,
            keep,
        )
    }
}
