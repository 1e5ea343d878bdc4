use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::{Expect, LockMode, Payload, Transaction};

use super::LOCK;
use super::markers::{Kind, MARKER_EXTENSION, dirs_in, named_in, outputs_in};
use crate::{Error, State};

/// An artifact: the owner of outputs, and where they go.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The architecture.
    pub arch: String,
    /// The kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The directory of all markers, below the project: `build/state`.
    pub state_dir: Utf8PathBuf,
    /// The directory of its outputs, below the project.
    pub output_dir: Utf8PathBuf,
    /// Whether other artifacts of this kind share the directory of outputs. Then an output that another artifact's
    /// marker names is not removed, and a published output takes its marker over.
    pub shares_output_dir: bool,
}

/// The built files: their current paths, by the path below the directory of outputs.
#[derive(Debug, Clone, Default)]
pub struct Outputs(BTreeMap<Utf8PathBuf, Utf8PathBuf>);

impl Outputs {
    /// No outputs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the file or link at a path, which is moved to this path below the directory of outputs.
    #[must_use]
    pub fn with(mut self, name: impl Into<Utf8PathBuf>, from: impl Into<Utf8PathBuf>) -> Self {
        self.0.insert(name.into(), from.into());
        self
    }

    /// All files and links below a directory except markers.
    ///
    /// # Errors
    /// [`Error::Outputs`] when it cannot be read.
    pub fn below(dir: impl AsRef<Utf8Path>) -> Result<Self, Error> {
        let dir = dir.as_ref();
        let named = |name: Utf8PathBuf| (name.clone(), dir.join(name));
        Ok(Self(outputs_in(dir)?.into_iter().map(named).collect()))
    }

    /// The number of outputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The result of [`State::publish`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Outputs that are new, or were replaced.
    pub put: Vec<Utf8PathBuf>,
    /// Outputs of the old set that were removed.
    pub removed: Vec<Utf8PathBuf>,
    /// Outputs of the old set that stay because another artifact owns them now.
    pub left: Vec<Utf8PathBuf>,
}

/// What has to be done besides putting the new set.
#[derive(Debug, Default)]
struct Old {
    /// Outputs to remove.
    outputs: BTreeSet<Utf8PathBuf>,
    left: BTreeSet<Utf8PathBuf>,
    /// Markers to remove, from the project's root.
    markers: BTreeSet<Utf8PathBuf>,
}

impl Artifact {
    fn marker_dir(&self) -> Utf8PathBuf {
        let kind = self.state_dir.join(&self.arch).join(self.kind.dir());
        kind.join(&self.name)
    }
}

impl State {
    /// Publishes an artifact: one transaction replaces the old set by the new one, which is complete before. Files
    /// are moved where possible, so that their old names no longer exist afterwards.
    ///
    /// # Errors
    /// [`Error::Outputs`] when outputs or markers cannot be read, and the errors of a commit: an output must be of
    /// the same kind, file or link, as what it replaces.
    pub fn publish(&self, artifact: &Artifact, outputs: &Outputs) -> Result<Published, Error> {
        let label = format!("publish {} {}", artifact.kind.dir(), artifact.name);
        let mut txn = self.journal.begin(&label);
        for (name, from) in &outputs.0 {
            self.put(&mut txn, &artifact.output_dir.join(name), from)?;
        }
        let lock = self.journal.lock(LOCK, LockMode::Exclusive, &label, None)?;
        let marker_dir = artifact.marker_dir();
        for name in outputs.0.keys() {
            let marker = marker(&marker_dir, name);
            txn.put(marker.as_str(), Payload::from("").mode(0o644), Expect::Any)?;
        }
        let old = self.old(artifact, outputs)?;
        for output in &old.outputs {
            let path = artifact.output_dir.join(output);
            txn.remove(path.as_str(), Expect::Any)?;
        }
        for marker in &old.markers {
            txn.remove(marker.as_str(), Expect::Any)?;
        }
        let receipt = txn.prepare()?.commit()?;
        drop(lock);
        let path = |name: &Utf8PathBuf| artifact.output_dir.join(name);
        let changed = |name: &&Utf8PathBuf| receipt.changed(path(name).as_str());
        Ok(Published {
            put: outputs.0.keys().filter(changed).cloned().collect(),
            removed: old.outputs.iter().filter(changed).cloned().collect(),
            left: old.left.into_iter().collect(),
        })
    }

    /// Reads the markers: the artifact's outputs that are not in the new set, and the superseded markers.
    fn old(&self, artifact: &Artifact, new: &Outputs) -> Result<Old, Error> {
        let (marker_dir, root) = (artifact.marker_dir(), self.journal.root());
        let mut old = Old::default();
        for name in named_in(&root.join(&marker_dir))? {
            if !new.0.contains_key(&name) {
                old.markers.insert(marker(&marker_dir, &name));
                old.outputs.insert(name);
            }
        }
        if !artifact.shares_output_dir {
            return Ok(old);
        }
        for dir in self.other_owners(artifact)? {
            for name in named_in(&root.join(&dir))? {
                if new.0.contains_key(&name) {
                    old.markers.insert(marker(&dir, &name));
                } else if old.outputs.remove(&name) {
                    old.left.insert(name);
                }
            }
        }
        Ok(old)
    }

    /// The marker directories of all other artifacts of the same kind, of every architecture.
    fn other_owners(&self, artifact: &Artifact) -> Result<Vec<Utf8PathBuf>, Error> {
        let root = self.journal.root();
        let mut others = Vec::new();
        for arch in dirs_in(&root.join(&artifact.state_dir))? {
            others.extend(dirs_in(&arch.join(artifact.kind.dir()))?);
        }
        let own = artifact.marker_dir();
        let others = others.iter().filter_map(|dir| dir.strip_prefix(root).ok());
        let others = others.filter(|dir| **dir != own);
        Ok(others.map(Utf8Path::to_owned).collect())
    }

    /// Puts one output. A link is created again, and the transaction removes the old one if it is in the project.
    fn put(&self, txn: &mut Transaction, path: &Utf8Path, from: &Utf8Path) -> Result<(), Error> {
        let unreadable = |source| Error::Outputs {
            path: from.to_owned(),
            source,
        };
        let meta = from.symlink_metadata().map_err(unreadable)?;
        if !meta.is_symlink() {
            txn.put(path.as_str(), Payload::moved(from), Expect::Any)?;
            return Ok(());
        }
        let target = from.read_link_utf8().map_err(unreadable)?;
        txn.link(path.as_str(), target.as_str(), Expect::Any)?;
        if let Ok(inside) = from.strip_prefix(self.journal.root())
            && inside != path
        {
            txn.remove(inside.as_str(), Expect::Any)?;
        }
        Ok(())
    }
}

/// The marker of an output.
fn marker(dir: &Utf8Path, name: &Utf8Path) -> Utf8PathBuf {
    format!("{}{MARKER_EXTENSION}", dir.join(name)).into()
}
