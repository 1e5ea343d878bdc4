//! A tree that one process populates while others wait for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;

use super::begin::Transaction;
use super::intent::{Found, Intent, Standing, Wanted};
use super::stage_tree::{TreeOptions, WantedTree};
use crate::catalog::Sync;
use crate::error::Error;
use crate::model::RelPath;
use crate::pin;
use crate::tree::{self, Depth};

/// Says whether the tree in a directory is complete, whoever made it.
pub type Accept = Arc<dyn Fn(&Utf8Path) -> bool + Send + std::marker::Sync>;

/// How a tree is populated.
#[derive(Clone, Default)]
pub struct PopulateOptions {
    /// How it is installed.
    pub tree: TreeOptions,
    /// Give up after waiting this long for whoever populates it at the moment. Without it waiting has no
    /// limit.
    pub wait: Option<Duration>,
    /// Asked about a tree that is there and that the journal knows nothing of. One that is complete is
    /// adopted; every other one is replaced, and kept aside for a while.
    pub accept: Option<Accept>,
}

impl fmt::Debug for PopulateOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PopulateOptions")
            .field("tree", &self.tree)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// A look at the place of a tree, in the transaction that brings it there if it has to.
pub(crate) struct Look {
    txn: Transaction,
    intent: Intent,
}

impl Transaction {
    /// Looks whether a tree is there as it is wanted.
    pub(crate) fn look_for(mut self, path: RelPath, wanted: WantedTree) -> Result<Look, Error> {
        let admitted = self.admit_tree(path, wanted);
        let intent = admitted.map_err(|error| self.engine.explain(error))?;
        Ok(Look { txn: self, intent })
    }
}

impl Look {
    /// Whether it is there.
    pub(crate) fn has_found(&self) -> bool {
        self.intent.found.is_some()
    }

    /// Looks again, as if for the first time.
    pub(crate) fn again(&mut self) -> Result<(), Error> {
        self.txn.moment = Some(self.txn.engine.moment()?);
        let found = self.txn.find_tree(&mut self.intent);
        found.map_err(|error| self.txn.engine.explain(error))
    }

    /// Takes what was found; or else the tree that is there, if it is accepted; or else makes it from its
    /// source.
    pub(crate) fn bring(self, accept: Option<&Accept>) -> Result<Transaction, Error> {
        let engine = self.txn.engine.clone();
        self.try_bring(accept)
            .map_err(|error| engine.explain(error))
    }

    fn try_bring(mut self, accept: Option<&Accept>) -> Result<Transaction, Error> {
        let Self { txn, intent } = &mut self;
        if let (None, Some(accept)) = (&intent.found, accept) {
            intent.found = txn.accepted(intent, accept)?;
            if let Wanted::Tree(wanted) = &intent.wanted {
                intent.look = txn.settled_look(&wanted.source, &intent.place)?;
            }
        }
        if intent.found.is_none() {
            txn.stage_tree(intent)?;
            txn.note_made(intent)?;
        }
        self.txn.keep(self.intent);
        Ok(self.txn)
    }
}

impl Transaction {
    /// The tree that another program has put there, if it is complete.
    fn accepted(&self, intent: &Intent, accept: &Accept) -> Result<Option<Found>, Error> {
        // Taken before it is looked at, so that what is accepted is what is held.
        let Some(pin) = pin::pin(&self.engine, &intent.place, None)? else {
            return Ok(None);
        };
        let entry = self.engine.look(|catalog| catalog.entry(&intent.place))?;
        if entry.is_some_and(|entry| entry.image.identity == pin.identity()) {
            return Ok(None);
        }
        let refused = |error: &dyn fmt::Display| {
            tracing::info!(path = %intent.path, "what is there is not complete: {error}");
            Ok(None)
        };
        let built = match tree::read(pin.dir(), &|_| {}) {
            Ok(built) => built,
            Err(error) => return refused(&error),
        };
        if !accept(Utf8Path::new(&pin.path())) {
            return refused(&"its check failed");
        }
        let (manifest, known) = (&built.manifest, Some(&built.signature));
        let verdict = tree::verify(pin.dir(), manifest, known, Depth::Signature, &|_| {})?;
        if let Some(difference) = verdict.differences.first() {
            return refused(difference);
        }
        let found = Found {
            stat: Some(pin.dir().own_stat()?),
            digest: Some(manifest.digest()),
            standing: Standing::Unknown(Some((built.manifest, built.signature))),
            pin: Some(pin),
        };
        Ok(self.may_adopt(intent, &found)?.then_some(found))
    }

    /// Records that a key stands for what is there already, which making it has shown: the next one finds
    /// it by its key. (What is installed now is recorded with it.)
    fn note_made(&self, intent: &Intent) -> Result<(), Error> {
        let Some(found) = &intent.found else {
            return Ok(());
        };
        if let (Some(look), Some(digest), Standing::Recorded | Standing::Refreshable(..)) =
            (intent.look, found.digest, &found.standing)
        {
            self.engine
                .record(Sync::Normal, |catalog| catalog.put_source(&look, &digest))?;
        }
        Ok(())
    }
}
