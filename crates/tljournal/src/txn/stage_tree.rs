use std::fmt;
use std::sync::Arc;

use super::begin::Transaction;
use super::intent::{Found, Intent, Staged, StagedTree, Standing, Trust, Wanted};
use super::stage::vanished;
use crate::ambient;
use crate::apply::{self, RACY_NANOS};
use crate::catalog::{Catalog, CatalogError, EntryRow};
use crate::error::Error;
use crate::model::{
    Digest, Durability, Expect, Image, Manifest, NamedPath, PathError, Place, RelPath, Signature,
};
use crate::pin::{self, Pin};
use crate::tree::{self, Depth, Fingerprint, TreeError, TreeSource};

/// What to do about a pinned tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnPinned {
    /// Replace it: the holder of the pin keeps the old tree, readers of the path see the new one.
    #[default]
    Exchange,
    /// Wait until it is unpinned.
    Wait,
    /// Refuse, naming the holder.
    Fail,
}

/// How a tree is installed.
#[derive(Clone, Default)]
pub struct TreeOptions {
    /// What must be durable when `commit` returns.
    pub durability: Durability,
    /// What to do if the replaced tree is pinned.
    pub on_pinned: OnPinned,
    /// The precondition.
    pub expect: Expect,
    /// Receives the number of further bytes read, from any thread.
    pub progress: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl fmt::Debug for TreeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeOptions")
            .field("durability", &self.durability)
            .field("on_pinned", &self.on_pinned)
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct WantedTree {
    pub(crate) source: TreeSource,
    pub(crate) options: TreeOptions,
}

/// The records about a wanted tree.
struct KnownTree {
    digest: Digest,
    manifest: Manifest,
    /// The recorded entry of the target.
    entry: Option<EntryRow>,
}

impl KnownTree {
    /// Reads it; `None` if the source is not recorded.
    fn of(
        catalog: &Catalog,
        source: Option<&Fingerprint>,
        place: &Place,
    ) -> Result<Option<Self>, CatalogError> {
        let Some(source) = source else {
            return Ok(None);
        };
        let Some(digest) = catalog.manifest_of_source(&source.digest)? else {
            return Ok(None);
        };
        let manifest = match catalog.manifest(&digest) {
            // The installation records it again.
            Err(error @ CatalogError::Row(_)) => {
                tracing::warn!(%digest, %error, "a manifest is damaged");
                None
            }
            found => found?,
        };
        let Some(manifest) = manifest else {
            return Ok(None);
        };
        let entry = catalog.entry(place)?;
        Ok(Some(Self {
            digest,
            manifest,
            entry,
        }))
    }
}

impl Transaction {
    /// Installs a tree at a path: afterwards the path holds exactly the source's entries.
    ///
    /// If the catalog records this source at the path, and the signature of every entry is unchanged, nothing is
    /// unpacked, hashed or changed. A repeatable source is recognized by its fingerprint; a stream must be staged to
    /// be compared.
    ///
    /// # Errors
    /// The errors of [`Transaction::put`]; [`Error::Source`] when the source has an entry that cannot be installed,
    /// which it names.
    pub fn tree(
        &mut self,
        path: impl TryInto<NamedPath, Error = PathError>,
        source: TreeSource,
        options: TreeOptions,
    ) -> Result<(), Error> {
        let added = self.try_tree(self.engine.home.below_root(path)?, source, options);
        added.map_err(|error| self.engine.explain(error))
    }

    fn try_tree(
        &mut self,
        path: RelPath,
        source: TreeSource,
        options: TreeOptions,
    ) -> Result<(), Error> {
        let mut intent = self.admit_tree(path, WantedTree { source, options })?;
        if intent.found.is_none() {
            self.stage_tree(&mut intent)?;
        }
        self.keep(intent);
        Ok(())
    }

    /// Checks the place of a tree, and whether the tree is installed there.
    pub(super) fn admit_tree(
        &mut self,
        path: RelPath,
        wanted: WantedTree,
    ) -> Result<Intent, Error> {
        let place = self.admissible(&path)?;
        let known = self.known_tree(&wanted, &place)?;
        let expect = wanted.options.expect;
        let mut intent = self.admit_at(path, place, expect, Wanted::Tree(wanted))?;
        self.find_tree(&mut intent, known)?;
        Ok(intent)
    }

    /// Reads the records of the source and of the target, in one snapshot. Notes the epoch of the snapshot
    /// if it is the first of this transaction.
    fn known_tree(
        &mut self,
        wanted: &WantedTree,
        place: &Place,
    ) -> Result<Option<KnownTree>, Error> {
        let look = self.fingerprint(&wanted.source, place)?;
        let (moment, known) = self
            .engine
            .look_at_moment(|catalog| KnownTree::of(catalog, look.as_ref(), place))?;
        self.moment.get_or_insert(moment);
        Ok(known)
    }

    /// Checks again in a new snapshot.
    pub(super) fn find_tree_again(&mut self, intent: &mut Intent) -> Result<(), Error> {
        self.moment = None;
        let known = match &intent.wanted {
            Wanted::Tree(wanted) => self.known_tree(wanted, &intent.place)?,
            _ => None,
        };
        self.find_tree(intent, known)
    }

    /// Determines whether the tree is installed already, if its source is recorded.
    fn find_tree(&self, intent: &mut Intent, known: Option<KnownTree>) -> Result<(), Error> {
        let Some(known) = known else {
            return Ok(());
        };
        let (manifest, digest) = (&known.manifest, known.digest);
        self.compare_tree(intent, manifest, digest, known.entry, None)
    }

    /// Compares the tree at an intent's place with the wanted manifest and with the recorded entry.
    fn compare_tree(
        &self,
        intent: &mut Intent,
        manifest: &Manifest,
        digest: Digest,
        entry: Option<EntryRow>,
        staged: Option<&Signature>,
    ) -> Result<(), Error> {
        let Wanted::Tree(wanted) = &intent.wanted else {
            return Ok(());
        };
        // Pinned before it is verified, so that the verified tree is the pinned one.
        let Some(pin) = pin::pin(&self.engine, &intent.place)? else {
            return Ok(());
        };
        let entry = entry.filter(|entry| entry.image.identity == pin.identity());
        let recorded = entry
            .as_ref()
            .is_some_and(|entry| entry.digest == Some(digest));
        if entry.is_some() && !recorded {
            // The journal itself installed another tree there; only hashing could show that it is equal.
            return Ok(());
        }
        let signature = entry
            .as_ref()
            .and_then(|entry| entry.signature_if(!entry.racy));
        if let (Some(there), Some(staged)) = (&signature, staged)
            && !staged.has_attributes_of(there)
        {
            // The source's own attributes have changed.
            return Ok(());
        }
        let tick = wanted.options.tick();
        let verdict = tree::verify(
            pin.dir(),
            manifest,
            signature.as_deref(),
            Depth::Signature,
            &tick,
        )?;
        tracing::debug!(path = %intent.path, hashed_bytes = verdict.hashed_bytes, "compared");
        if !verdict.differences.is_empty() {
            for difference in verdict.differences.iter().take(8) {
                tracing::info!(path = %intent.path, %difference, "the tree differs from what was installed");
            }
            return Ok(());
        }
        let stat = pin.dir().own_stat()?;
        let standing = match (entry, verdict.refreshed) {
            (Some(_), None) => Standing::Recorded,
            (Some(entry), Some(fresh)) => refreshed(entry, fresh),
            (None, fresh) => Standing::Unknown(Some((manifest.clone(), fresh.unwrap_or_default()))),
        };
        let found = Found {
            stat: Some(stat),
            digest: Some(digest),
            standing,
            pin: Some(pin),
        };
        if self.may_adopt(intent, &found)? {
            intent.found = Some(found);
        }
        Ok(())
    }

    /// Stages the tree from its source, and compares the result with the existing tree.
    pub(super) fn stage_tree(&mut self, intent: &mut Intent) -> Result<(), Error> {
        let (spot, dir, name) = self.open_spot(intent)?;
        if let Wanted::Tree(wanted) = &intent.wanted {
            intent.look = self.settled_look(&wanted.source, &intent.place)?;
        }
        let owner = self.owner_of_new(intent)?;
        let root = dir.make_dir_of(&name, 0o700, owner)?;
        self.inherit_into(intent, &root)?;
        let own = &self.engine.home.state_stat;
        let Wanted::Tree(wanted) = &mut intent.wanted else {
            return Ok(());
        };
        let span = tracing::info_span!("stage_tree", path = %intent.path, source = wanted.source.describe());
        let in_span = span.enter();
        let tick = wanted.options.tick();
        let own = (own.dev, own.identity);
        let built = tree::build(&mut wanted.source, &root, own, &tick)?;
        drop((in_span, tick));
        let root = built.remade.clone().unwrap_or(root);
        let stat = dir.stat(&name)?.ok_or_else(|| vanished(&dir, &name))?;
        if stat.identity != root.own_stat()?.identity {
            // It would be published, but is not what was read.
            let entry = wanted.source.describe();
            return Err(TreeError::Changed { entry }.into());
        }
        let mode = built
            .manifest
            .entries()
            .first()
            .map_or(0o755, |root| root.mode);
        let image = Image {
            mode,
            ..Image::of(&stat)
        };
        let digest = built.manifest.digest();
        let entry = self.engine.look(|catalog| catalog.entry(&intent.place))?;
        let staged = Some(&built.signature);
        self.compare_tree(intent, &built.manifest, digest, entry, staged)?;
        let tree = StagedTree {
            manifest: built.manifest,
            signature: built.signature,
            pin: Pin::on(root.reopen()?, self.engine.home_key())?,
        };
        let staged = Staged::new(spot, image);
        intent.staged = Some(Staged {
            digest: Some(digest),
            tree: Some(tree),
            ..staged
        });
        Ok(())
    }

    fn fingerprint(
        &self,
        source: &TreeSource,
        place: &Place,
    ) -> Result<Option<Fingerprint>, Error> {
        if let Some(key) = source.key() {
            return Ok(Some(Fingerprint::of_key(key, place)));
        }
        let own = &self.engine.home.state_stat;
        let disk = self.engine.home.dir.disk();
        Ok(tree::fingerprint(source, disk, (own.dev, own.identity))?)
    }

    /// The fingerprint of a source, once enough time has passed since its last change that a later change would show.
    /// `None` for a source without a fingerprint.
    pub(super) fn settled_look(
        &mut self,
        source: &TreeSource,
        place: &Place,
    ) -> Result<Option<Digest>, Error> {
        for _ in 0..2 {
            let Some(look) = self.fingerprint(source, place)? else {
                return Ok(None);
            };
            // On the home's filesystem its own clock decides; elsewhere the wall clock, with a wide margin.
            let own = look.dev == self.engine.home.state_stat.dev;
            let margin = if own { RACY_NANOS } else { RACY_NANOS * 100 };
            let age = ambient::now().as_nanos() - look.newest.as_nanos();
            if age > margin {
                return Ok(Some(look.digest));
            }
            if !own || age < 0 {
                return Ok(None);
            }
            ambient::let_clock_advance(std::time::Duration::from_millis(24));
        }
        Ok(None)
    }
}

impl TreeOptions {
    pub(super) fn tick(&self) -> impl Fn(u64) + Sync + use<> {
        let progress = self.progress.clone();
        move |bytes| {
            if let Some(progress) = &progress {
                progress(bytes);
            }
        }
    }
}

fn refreshed(entry: EntryRow, signature: Signature) -> Standing {
    let trust = if entry.racy {
        Trust::Untouched
    } else {
        Trust::Rewritten
    };
    let racy = !signature.newest().is_none_or(apply::is_settled);
    let signature = Some(signature);
    Standing::Refreshable(
        Box::new(EntryRow {
            signature,
            racy,
            ..entry
        }),
        trust,
    )
}
