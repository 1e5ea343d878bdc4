//! What is left to do once a transaction is in place; nobody waits for it.

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

/// Up to which size a file that is kept counts with its length, holes included.
const SMALL_BYTES_MAX: u64 = 1 << 20;

impl Transaction {
    /// Removes the old names of files that were moved in, or that were there already.
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
                tracing::warn!(%error, "the file that was moved in keeps its old name too");
            }
        }
    }

    /// Removes the old name of a file whose content was there already, if it still is that.
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

    /// How many bytes of small things are kept, where that needs no look at them: recording it together
    /// with the end of the transaction spares a write.
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
            // A large one may be mostly holes.
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

    /// Whether the content of the file at a place, which is about to be replaced, is no private key.
    fn is_plainly_no_key(&self, place: &Place) -> bool {
        let parent = self.engine.home.parent(place);
        let Ok(Parent::There(parent)) = parent else {
            return false;
        };
        matches!(tree::is_key(&parent, place.path.name()), Ok(false))
    }

    /// Keeps what was replaced, or deletes it if nobody wants it; nobody waits for this.
    pub(super) fn tidy(&mut self, plan: &Plan) {
        let used = |change: &&Change| !matches!(change.op, Op::Adopt | Op::Fill);
        let used: BTreeSet<_> = plan.changes.iter().filter(used).map(|one| one.n).collect();
        for intent in &mut self.intents {
            if !used.contains(&intent.n) {
                // Staged, and not needed after all: its pin would keep it.
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
            tracing::warn!(%error, "what was replaced remains until recovery");
        }
    }

    fn tidy_staging(&self, live: &Live, plan: &Plan) -> Result<Remains, Error> {
        // Until it is settled all of it is needed.
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
