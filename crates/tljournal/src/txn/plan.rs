//! Determines, under the commit lock, what has to be done.

use std::collections::BTreeMap;

use super::begin::Transaction;
use super::intent::{Found, Intent, Staged, Standing, Wanted};
use super::source::Source;
use super::stage::vanished;
use crate::apply::Known;
use crate::catalog::EntryRow;
use crate::disk::Dir;
use crate::error::{Conflict, ConflictKind, Error};
use crate::home::{Parent, spot_name};
use crate::model::{
    Change, Digest, Durability, Expect, Identity, Image, Kind, Manifest, Op, Place, Spot, Stat,
    Timestamp,
};
use crate::pin;
use crate::tree::{self, Depth};

/// The changes that must be made.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) known: Known,
    pub(super) manifests: Vec<Manifest>,
    /// Intents that were found unchanged but have changed since: they must be staged and synced.
    pub(super) restage: Vec<usize>,
    /// The entries of what is replaced.
    pub(super) replaced: BTreeMap<u32, EntryRow>,
}

impl Transaction {
    /// Checks every expectation, and whether each change is possible.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        // Nothing was committed since the first read: then trees need not be compared again.
        let quiet = self.moment == Some(self.engine.moment()?);
        let mut parents = BTreeMap::new();
        for (index, intent) in self.intents.iter().enumerate() {
            let (parent, missing) = match self.engine.home.parent(&intent.place)? {
                Parent::There(dir) => (dir, Vec::new()),
                Parent::Missing {
                    nearest, missing, ..
                } => (nearest, missing),
            };
            let stat = match missing.is_empty() {
                true => parent.stat(intent.place.path.name())?,
                false => None,
            };
            self.check_expect(intent, stat.as_ref(), &parent)?;
            if let Some(found) = intent.found.as_ref()
                && found.still_is(stat.as_ref())
                && (quiet || self.is_tree_still(intent, found)?)
            {
                plan.keep(intent, found);
                continue;
            }
            let change = match (&intent.wanted, &intent.staged) {
                (Wanted::Nothing(_), _) => {
                    self.change(intent, stat, None, Op::Remove, &mut plan)?
                }
                (wanted, Some(staged)) if staged.synced => {
                    self.check_waits(intent, staged)?;
                    self.change(intent, stat, Some(staged), wanted.op(), &mut plan)?
                }
                (_, Some(_) | None) => {
                    plan.restage.push(index);
                    continue;
                }
            };
            if change.pre.is_none() && change.new.is_none() {
                continue;
            }
            self.check_possible(intent, &change, (&parent, stat.as_ref()))?;
            pin::refuse_within_pinned(&self.engine, &intent.place)?;
            for path in missing {
                parents.insert(
                    Place {
                        anchor: intent.place.anchor,
                        path,
                    },
                    (),
                );
            }
            if let Some(staged) = &intent.staged {
                plan.note_tree(&change, intent.look, staged);
            }
            plan.changes.push(change);
        }
        let first = self.next;
        let parents = parents
            .into_keys()
            .zip(first..)
            .map(|(place, n)| parent_change(place, n));
        plan.changes.extend(parents);
        Ok(plan)
    }

    /// Checks that what was staged is still in its slot, and unchanged since it was hashed.
    fn check_waits(&self, intent: &Intent, staged: &Staged) -> Result<(), Error> {
        let Some(live) = &self.live else {
            return Ok(());
        };
        let name = spot_name(&staged.spot, live.id, intent.n);
        let dir = self.staged_dir(&intent.place, &staged.spot)?;
        let there = dir.stat(&name)?;
        let waits = there.filter(|stat| staged.image.is_same_inode(stat));
        let stat = waits.ok_or_else(|| vanished(&dir, &name))?;
        match (&staged.linked, &staged.moved_from) {
            (Some(linked), Some(from)) if !is_as_hashed(&stat, linked) => {
                Err(Source::changed(from, &intent.path))
            }
            _ => Ok(()),
        }
    }

    fn change(
        &self,
        intent: &Intent,
        stat: Option<Stat>,
        staged: Option<&Staged>,
        op: Op,
        plan: &mut Plan,
    ) -> Result<Change, Error> {
        let spot = match staged {
            Some(staged) => staged.spot.clone(),
            None => self.engine.home.spot_for(&intent.place)?.0,
        };
        let pre = stat.as_ref().map(Image::of);
        let entry = self.engine.look(|catalog| catalog.entry(&intent.place))?;
        let accounted = match &stat {
            Some(stat) => self.is_accounted(&intent.place, stat, entry.as_ref(), op)?,
            None => true,
        };
        plan.replaced.extend(entry.map(|entry| (intent.n, entry)));
        let chosen = matches!(intent.expect, Expect::Digest(_));
        let (durability, target) = match &intent.wanted {
            Wanted::Tree(tree) => (tree.options.durability, None),
            Wanted::Link(target) => (Durability::Durable, Some(target.clone())),
            Wanted::File(_) | Wanted::Nothing(_) => (Durability::Durable, None),
        };
        Ok(Change {
            n: intent.n,
            place: intent.place.clone(),
            op,
            new: staged.map(|staged| staged.image),
            digest: staged.and_then(|staged| staged.digest),
            target,
            spot,
            durability,
            drift: pre.is_some() && !chosen && (!accounted || self.keeps_evidence),
            pre,
        })
    }

    /// Checks the precondition of one change.
    pub(super) fn check_expect(
        &self,
        intent: &Intent,
        stat: Option<&Stat>,
        parent: &Dir,
    ) -> Result<(), Error> {
        let found = match (intent.expect, stat) {
            (Expect::Any, _) | (Expect::Absent, None) | (Expect::Present, Some(_)) => return Ok(()),
            (Expect::Digest(wanted), Some(stat)) => match self.digest_at(intent, stat, parent)? {
                Some(digest) if digest == wanted => return Ok(()),
                Some(digest) => digest.to_string(),
                None => format!("a {}", stat.kind.as_str()),
            },
            (Expect::Absent, Some(stat)) => format!("a {}", stat.kind.as_str()),
            (Expect::Present | Expect::Digest(_), None) => "nothing".to_owned(),
        };
        let kind = ConflictKind::Unexpected {
            expected: intent.expect,
            found,
        };
        Err(Conflict::at(&intent.path, kind).into())
    }

    /// Whether a tree that was found is still unchanged, including its entries: other transactions may have committed
    /// changes in it since.
    fn is_tree_still(&self, intent: &Intent, found: &Found) -> Result<bool, Error> {
        let (Some(pin), Some(digest)) = (&found.pin, found.digest) else {
            return Ok(true);
        };
        let known = match &found.standing {
            Standing::Unknown(Some((manifest, signature))) => {
                Some((manifest.clone(), Some(signature.clone())))
            }
            _ => {
                let entry = self.engine.look(|catalog| catalog.entry(&intent.place))?;
                let own = entry.filter(|entry| entry.image.identity == pin.identity());
                let signature = own.and_then(|entry| {
                    let signature = entry.signature_if(!entry.racy)?;
                    Some(signature.into_owned())
                });
                let manifest = self.engine.known_manifest(&digest)?;
                manifest.map(|manifest| (manifest, signature))
            }
        };
        let Some((manifest, signature)) = known else {
            return Ok(false);
        };
        let depth = Depth::Signature;
        let verdict = tree::verify(pin.dir(), &manifest, signature.as_ref(), depth, &|_| {})?;
        Ok(verdict.differences.is_empty())
    }

    /// The digest of what is at a path: from its entry if the metadata matches, otherwise by hashing.
    fn digest_at(
        &self,
        intent: &Intent,
        stat: &Stat,
        parent: &Dir,
    ) -> Result<Option<crate::model::Digest>, Error> {
        let entry = self.engine.look(|catalog| catalog.entry(&intent.place))?;
        match stat.kind {
            Kind::File => match entry.filter(|entry| !entry.racy && entry.vouches_for(stat)) {
                Some(entry) => Ok(entry.digest),
                None => Ok(self.hash_place(intent)?.map(|(_, digest)| digest)),
            },
            Kind::Dir => {
                let root = parent.open_dir(intent.place.path.name())?;
                let entry = entry.filter(|entry| !entry.racy);
                if let Some((digest, signature)) =
                    entry.and_then(|entry| Some((entry.digest?, entry.signature?)))
                    && let Some(manifest) = self.engine.known_manifest(&digest)?
                {
                    let depth = Depth::Signature;
                    let verdict = tree::verify(&root, &manifest, Some(&signature), depth, &|_| {})?;
                    if verdict.differences.is_empty() {
                        return Ok(Some(digest));
                    }
                }
                Ok(Some(tree::read(&root, &|_| {})?.manifest.digest()))
            }
            Kind::Link | Kind::Other => Ok(None),
        }
    }
}

impl Plan {
    /// Leaves existing content as it is, and records it if it is unknown.
    fn keep(&mut self, intent: &Intent, found: &Found) {
        let tree = match &found.standing {
            Standing::Recorded => return,
            Standing::Refreshable(entry, _) => {
                self.known
                    .refreshed
                    .push((intent.place.clone(), (**entry).clone()));
                return;
            }
            Standing::Unknown(tree) => tree,
        };
        let image = found.stat.as_ref().map(Image::of);
        if let Some((manifest, signature)) = tree {
            self.manifests.push(manifest.clone());
            self.known.signatures.insert(intent.n, signature.clone());
        }
        self.changes.push(Change {
            n: intent.n,
            place: intent.place.clone(),
            op: Op::Adopt,
            pre: image,
            new: image,
            digest: found.digest,
            target: match &intent.wanted {
                Wanted::Link(target) => Some(target.clone()),
                _ => None,
            },
            spot: Spot::Home,
            durability: Durability::Durable,
            drift: false,
        });
        self.known.sources.extend(intent.look.zip(found.digest));
    }

    fn note_tree(&mut self, change: &Change, look: Option<Digest>, staged: &Staged) {
        if let (Some(tree), Some(digest)) = (&staged.tree, staged.digest) {
            self.manifests.push(tree.manifest.clone());
            self.known
                .signatures
                .insert(change.n, tree.signature.clone());
            self.known.sources.extend(look.map(|look| (look, digest)));
        }
    }
}

/// Whether a file with another name elsewhere is unchanged since it was hashed. A new or removed link changes its
/// ctime.
fn is_as_hashed(now: &Stat, then: &Stat) -> bool {
    let ctime = match now.links == then.links {
        true => then.ctime,
        false => now.ctime,
    };
    now.is_unchanged_since(&Stat { ctime, ..*then })
}

impl Found {
    /// Whether the current state is what was found.
    pub(super) fn still_is(&self, stat: Option<&Stat>) -> bool {
        match (&self.stat, stat) {
            (None, None) => true,
            // A changed number of links or a pin is irrelevant; the ctime is not.
            (Some(then), Some(now)) => Image::of(then) == Image::of(now) && then.ctime == now.ctime,
            _ => false,
        }
    }
}

fn parent_change(place: Place, n: u32) -> Change {
    // Its inode is not known before it is created, and is irrelevant: the directory is only removed while it is
    // empty.
    let identity = Identity {
        ino: 0,
        born: Timestamp::default(),
    };
    let (size, mtime) = (0, Timestamp::default());
    Change {
        n,
        place,
        op: Op::Parent,
        pre: None,
        new: Some(Image {
            kind: Kind::Dir,
            identity,
            size,
            mode: 0o755,
            mtime,
        }),
        digest: None,
        target: None,
        spot: Spot::Home,
        durability: Durability::Durable,
        drift: false,
    }
}
