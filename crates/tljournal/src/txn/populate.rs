//! Trees that one process populates while others wait for it.

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

/// Decides whether the tree in a directory is complete, whichever program created it.
pub type Accept = Arc<dyn Fn(&Utf8Path) -> bool + Send + std::marker::Sync>;

/// How a tree is populated.
#[derive(Clone, Default)]
pub struct PopulateOptions {
    /// How it is installed.
    pub tree: TreeOptions,
    /// The longest wait for a process that is populating the tree; `None` for no limit.
    pub wait: Option<Duration>,
    /// Decides about an existing tree that the journal does not know. A complete one is adopted; any other is
    /// replaced and set aside.
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

/// The observed place of a tree, in the transaction that installs it if needed.
pub(crate) struct Look {
    txn: Transaction,
    intent: Intent,
}

impl Transaction {
    /// Checks whether the wanted tree is installed.
    pub(crate) fn look_for(mut self, path: RelPath, wanted: WantedTree) -> Result<Look, Error> {
        let admitted = self.admit_tree(path, wanted);
        let intent = admitted.map_err(|error| self.engine.explain(error))?;
        Ok(Look { txn: self, intent })
    }
}

impl Look {
    /// Whether it is installed.
    pub(crate) fn has_found(&self) -> bool {
        self.intent.found.is_some()
    }

    /// Checks again from the start.
    pub(crate) fn again(&mut self) -> Result<(), Error> {
        let found = self.txn.find_tree_again(&mut self.intent);
        found.map_err(|error| self.txn.engine.explain(error))
    }

    /// Uses the installed tree; or else the existing tree, if it is accepted; or else installs it from its source.
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
    /// A tree that another program created, if it is complete.
    fn accepted(&self, intent: &Intent, accept: &Accept) -> Result<Option<Found>, Error> {
        // Pinned before it is checked, so that the accepted tree is the pinned one.
        let Some(pin) = pin::pin(&self.engine, &intent.place)? else {
            return Ok(None);
        };
        let entry = self.engine.look(|catalog| catalog.entry(&intent.place))?;
        if entry.is_some_and(|entry| entry.image.identity == pin.identity()) {
            return Ok(None);
        }
        let refused = |error: &dyn fmt::Display| {
            tracing::info!(path = %intent.path, "the existing tree is not complete: {error}");
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

    /// Records that a key stands for the existing tree, which populating it has shown, so that it is found by its key
    /// next time. (A tree that is installed now is recorded with its transaction.)
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
