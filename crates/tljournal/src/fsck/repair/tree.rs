use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use camino::Utf8Path;

use super::entry::{Wanted, changed_meanwhile, nowhere, open_if_right};
use super::{Outcome, Repairs};
use crate::apply;
use crate::catalog::Sync;
use crate::disk::{Dir, Disk};
use crate::error::Error;
use crate::home::RecordedModes;
use crate::kept::Kept;
use crate::look::Look;
use crate::model::{Digest, Entry, EntryKind, Kind, Manifest, Place};
use crate::tree::{self, Depth, Reader, SourceContent, SourceEntry, TreeSource};
use crate::txn::TreeOptions;

impl Repairs<'_> {
    /// Installs a tree again, from any available copy of its content.
    pub(super) fn tree(&self, wanted: &Wanted) -> Result<Outcome, Error> {
        let Some(digest) = wanted.entry.digest else {
            return Ok(Outcome::Left("its digest is not recorded".to_owned()));
        };
        let Some(manifest) = self.engine.look(|catalog| catalog.manifest(&digest))? else {
            return self.install_named(wanted, &digest);
        };
        match (
            self.composed(&wanted.place, &manifest, None)?,
            &self.options.source,
        ) {
            (Composed::Whole(source), _) => {
                let what = "installed again, with the content that is in place or kept";
                self.install(wanted, &digest, source, what)
            }
            (Composed::Missing(_), Some(named)) => self.with_content_of(wanted, &manifest, named),
            (Composed::Missing(missing), None) => {
                Ok(Outcome::Left(format!("{missing}; {}", nowhere())))
            }
        }
    }

    /// Installs a tree without a manifest, if the named source has exactly its digest.
    fn install_named(&self, wanted: &Wanted, digest: &Digest) -> Result<Outcome, Error> {
        let Some(named) = &self.options.source else {
            return Ok(Outcome::Left(nowhere()));
        };
        let what = format!("installed again from `{named}`");
        let source = || TreeSource::at(named.clone());
        match self.install(wanted, digest, source(), &what)? {
            // It may have been installed with the bits that are dropped by default.
            Outcome::Left(_) if !self.engine.home.is_open_to_others() => {
                self.install(wanted, digest, source().keep_special_bits(), &what)
            }
            outcome => Ok(outcome),
        }
    }

    /// Installs a tree with the content of the named source, whatever its names, modes and mtimes.
    fn with_content_of(
        &self,
        wanted: &Wanted,
        manifest: &Manifest,
        named: &Utf8Path,
    ) -> Result<Outcome, Error> {
        let path = &wanted.path;
        let mut staged = self.begin(wanted);
        staged.tree(path, TreeSource::at(named), TreeOptions::default())?;
        let more = staged.staged_tree(path);
        let outcome = match self.composed(&wanted.place, manifest, more)? {
            Composed::Whole(source) => {
                let what = format!("installed again, with content from `{named}`");
                self.install(wanted, &manifest.digest(), source, &what)
            }
            Composed::Missing(missing) => Ok(Outcome::Left(format!("{missing}, nor in `{named}`"))),
        };
        staged.rollback()?;
        outcome
    }

    /// Installs a source, if its digest is exactly the wanted one.
    fn install(
        &self,
        wanted: &Wanted,
        digest: &Digest,
        source: TreeSource,
        what: &str,
    ) -> Result<Outcome, Error> {
        if wanted.is_overlaid(self.engine)? {
            let text = "transactions changed something in it since, which installing it again would take back; \
                        mend it by hand, or install it anew";
            return Ok(Outcome::Left(text.to_owned()));
        }
        let (path, described) = (&wanted.path, source.describe());
        let mut txn = self.begin(wanted);
        txn.tree(path, source, TreeOptions::default())?;
        match txn.digest_of(path) {
            Some(found) if found == *digest => {}
            Some(found) => {
                txn.rollback()?;
                let text = format!("{described} is another tree: {found} instead of {digest}");
                return Ok(Outcome::Left(text));
            }
            None => {
                txn.rollback()?;
                return Ok(Outcome::Left(changed_meanwhile()));
            }
        }
        self.commit(wanted, Kind::Dir, txn)?;
        Ok(Outcome::Mended(what.to_owned()))
    }

    /// Composes the tree of its manifest from the content in place where that is valid, and otherwise from retained
    /// content or another tree.
    fn composed(
        &self,
        place: &Place,
        manifest: &Manifest,
        other: Option<(Dir, Manifest)>,
    ) -> Result<Composed, Error> {
        let root = apply::open_tree(self.engine, place)?;
        let wrong = match &root {
            Some(root) => wrong_content(root, manifest)?,
            None => (0..manifest.entries().len()).collect(),
        };
        let of = |index: usize| match manifest.entries()[index].kind {
            EntryKind::File {
                digest,
                same_as: None,
                ..
            } => Some(digest),
            // It is created with its first hard link.
            _ => None,
        };
        let mut missing: BTreeMap<usize, Digest> = wrong
            .iter()
            .filter_map(|index| Some((*index, of(*index)?)))
            .collect();
        let mut taken = BTreeMap::new();
        // Another file of the tree may have the same content, undamaged.
        if let Some(root) = &root {
            let is_right = |index: &usize| !wrong.contains(index) && of(*index).is_some();
            let right = (0..manifest.entries().len()).filter(is_right);
            let right = by_digest(manifest, right);
            take(&mut missing, &mut taken, |digest| {
                let path = right.get(digest)?.first()?.clone();
                Some(From::Other(root.clone(), path))
            });
        }
        if let Some((dir, manifest)) = &other {
            let has = by_digest(manifest, 0..manifest.entries().len());
            take(&mut missing, &mut taken, |digest| {
                let path = has.get(digest)?.first()?.clone();
                Some(From::Other(dir.clone(), path))
            });
        }
        self.take_kept(&mut missing, &mut taken)?;
        if !missing.is_empty() {
            return Ok(Composed::Missing(format!(
                "the content of {} of its files is neither in place nor kept",
                missing.len()
            )));
        }
        let entries = manifest.entries().to_vec();
        let modes = self.engine.home.recorded_modes();
        let next =
            move |index: usize| source_entry(&entries, index, (&taken, root.as_ref()), modes);
        let source = TreeSource::entries((0..manifest.entries().len()).map(next));
        Ok(Composed::Whole(source.keep_special_bits()))
    }

    /// Takes missing content from retained files and from retained trees.
    fn take_kept(
        &self,
        missing: &mut BTreeMap<usize, Digest>,
        taken: &mut BTreeMap<usize, From>,
    ) -> Result<(), Error> {
        let (index, look) = (self.kept()?, Look::of(self.engine));
        for (at, digest) in missing.clone() {
            if let Some((kept, _)) = self.kept_file(&digest)? {
                let path = kept.name.clone();
                taken.insert(at, From::Kept(Arc::new(kept), path));
                missing.remove(&at);
            }
        }
        for known in index.trees() {
            if missing.is_empty() {
                break;
            }
            let manifest = look.manifest(&known.digest);
            let manifest = match manifest {
                Ok(Some(manifest)) => manifest,
                Ok(None) => continue,
                // A damaged row is of no use.
                Err(error) if error.is_unreadable_row() => continue,
                Err(error) => return Err(error),
            };
            let has = by_digest(&manifest, 0..manifest.entries().len());
            if !missing.values().any(|digest| has.contains_key(digest)) {
                continue;
            }
            let Some(kept) = index.hold(&look, known)?.map(Arc::new) else {
                continue;
            };
            take(missing, taken, |digest| {
                let mut paths = has
                    .get(digest)?
                    .iter()
                    .map(|path| format!("{}/{path}", kept.name));
                let path = paths.find(|path| open_if_right(kept.dir(), path, digest).is_some())?;
                Some(From::Kept(kept.clone(), path))
            });
        }
        Ok(())
    }

    /// Writes the manifest of a tree again, if the tree has its digest.
    pub(super) fn manifest(&self, wanted: &Wanted) -> Result<Outcome, Error> {
        let Some(digest) = wanted.entry.digest else {
            return Ok(Outcome::Left("its digest is not recorded".to_owned()));
        };
        let Some(root) = apply::open_tree(self.engine, &wanted.place)? else {
            return self.install_named(wanted, &digest);
        };
        let read = tree::read(&root, &|_| {})?;
        if read.manifest.digest() != digest {
            return self.install_named(wanted, &digest);
        }
        self.engine
            .record(Sync::Full, |catalog| catalog.put_manifest(&read.manifest))?;
        Ok(Outcome::Mended("written again from the tree".to_owned()))
    }

    /// Deletes a manifest with a wrong digest, if no entry needs it.
    pub(super) fn unused_manifest(&self, digest: &[u8]) -> Result<Outcome, Error> {
        let forgotten = self
            .engine
            .record(Sync::Normal, |catalog| catalog.forget_bad_manifest(digest))?;
        Ok(match forgotten {
            true => Outcome::Mended("deleted: no installed tree needs it".to_owned()),
            false => Outcome::Mended("written again with its tree".to_owned()),
        })
    }
}

/// A tree composed from available content.
enum Composed {
    Whole(TreeSource),
    /// Why it cannot be composed.
    Missing(String),
}

/// The source of the content of a file that is damaged in place.
enum From {
    /// Retained content, locked against deletion, and the path of the file below its directory.
    Kept(Arc<Kept>, String),
    /// A file below another root.
    Other(Dir, String),
}

/// The files whose content in place is wrong.
fn wrong_content(root: &Dir, manifest: &Manifest) -> Result<BTreeSet<usize>, Error> {
    let survey = tree::survey(root, manifest, None, Depth::Full)?;
    let right: BTreeSet<usize> = survey.unread.into_iter().collect();
    let mut reader = Reader::default();
    let mut wrong = BTreeSet::new();
    for (index, entry) in manifest.entries().iter().enumerate() {
        // An unreadable file is wrong.
        let is_right = right.contains(&index)
            && reader
                .compare(root, entry, &|_| {})
                .is_ok_and(|difference| difference.is_none());
        if matches!(entry.kind, EntryKind::File { same_as: None, .. }) && !is_right {
            wrong.insert(index);
        }
    }
    Ok(wrong)
}

/// Takes missing content from where it was found.
fn take(
    missing: &mut BTreeMap<usize, Digest>,
    taken: &mut BTreeMap<usize, From>,
    find: impl Fn(&Digest) -> Option<From>,
) {
    missing.retain(|at, digest| match find(digest) {
        Some(found) => {
            taken.insert(*at, found);
            false
        }
        None => true,
    });
}

/// The files among some entries of a manifest, by digest.
fn by_digest(
    manifest: &Manifest,
    entries: impl Iterator<Item = usize>,
) -> BTreeMap<Digest, Vec<String>> {
    let mut paths: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in entries.map(|at| &manifest.entries()[at]) {
        if let EntryKind::File { digest, .. } = entry.kind {
            paths.entry(digest).or_default().push(entry.path.clone());
        }
    }
    paths
}

fn source_entry(
    entries: &[Entry],
    index: usize,
    (taken, root): (&BTreeMap<usize, From>, Option<&Dir>),
    modes: RecordedModes,
) -> io::Result<SourceEntry> {
    let entry = &entries[index];
    let open = |dir: &Dir, path: &str| {
        let opened = dir.open_file(path);
        opened.map_err(|error| io::Error::new(error.io().kind(), error))
    };
    let mut mode = entry.mode;
    let content = match &entry.kind {
        EntryKind::Dir => SourceContent::Dir,
        EntryKind::Link { target } => SourceContent::Link(target.clone()),
        EntryKind::File {
            same_as: Some(first),
            ..
        } => SourceContent::HardLink(entries[*first as usize].path.clone()),
        EntryKind::File { .. } => {
            let file = match (taken.get(&index), root) {
                (Some(From::Kept(kept, path)), _) => open(kept.dir(), path)?,
                (Some(From::Other(dir, path)), _) => open(dir, path)?,
                (None, Some(root)) => open(root, &entry.path)?,
                (None, None) => return Err(io::ErrorKind::NotFound.into()),
            };
            let stat = Disk::default().stat_open(&file, &entry.path);
            let stat = stat.map_err(|error| io::Error::new(error.io().kind(), error))?;
            mode = modes.of(mode, &stat);
            return SourceEntry::copy(entry.path.clone(), mode, entry.mtime, file);
        }
    };
    let path = match entry.path.is_empty() {
        true => ".".to_owned(),
        false => entry.path.clone(),
    };
    Ok(SourceEntry {
        path,
        mode,
        mtime: entry.mtime,
        content,
    })
}
