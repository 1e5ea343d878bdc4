use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::entry::{changed_meanwhile, nowhere};
use super::{Outcome, Repairs};
use crate::apply;
use crate::catalog::{EntryRow, Sync};
use crate::disk::Dir;
use crate::error::Error;
use crate::kept::{self, Kept};
use crate::model::{Digest, Entry, EntryKind, Kind, Manifest, Place, RelPath};
use crate::tree::{self, Depth, DifferenceKind, SourceContent, SourceEntry, TreeSource};
use crate::txn::TreeOptions;

impl Repairs<'_> {
    /// Installs a tree again, from whatever still has its content.
    pub(super) fn tree(
        &self,
        place: &Place,
        path: &RelPath,
        entry: &EntryRow,
    ) -> Result<Outcome, Error> {
        let Some(digest) = entry.digest else {
            return Ok(Outcome::Left("what it was is not recorded".to_owned()));
        };
        let Some(manifest) = self.engine.look(|catalog| catalog.manifest(&digest))? else {
            return self.from_source(place, path, &digest);
        };
        let missing = match self.composed(place, &manifest)? {
            Composed::Whole(source) => {
                let what = "installed again, with the content that is in place or kept";
                return self.install(place, path, &digest, source, what);
            }
            Composed::Missing(missing) => missing,
        };
        if let Some(kept) = kept::with_digest(self.engine, &digest, Kind::Dir)? {
            let what = format!(
                "installed again, as transaction {} had replaced it",
                kept.txn
            );
            let source = TreeSource::dir(kept.path()).keep_special_bits();
            let outcome = self.install(place, path, &digest, source, &what)?;
            // Nobody deletes it before it is copied.
            drop::<Kept>(kept);
            if matches!(outcome, Outcome::Mended(_)) {
                return Ok(outcome);
            }
        }
        match self.options.source {
            Some(_) => self.from_source(place, path, &digest),
            None => Ok(Outcome::Left(format!("{missing}: {}", nowhere()))),
        }
    }

    fn from_source(
        &self,
        place: &Place,
        path: &RelPath,
        digest: &Digest,
    ) -> Result<Outcome, Error> {
        let Some(named) = &self.options.source else {
            return Ok(Outcome::Left(nowhere()));
        };
        let what = format!("installed again from `{named}`");
        let source = || TreeSource::at(named.clone());
        match self.install(place, path, digest, source(), &what)? {
            // It may have been installed with the bits that are dropped otherwise.
            Outcome::Left(_) => {
                self.install(place, path, digest, source().keep_special_bits(), &what)
            }
            mended => Ok(mended),
        }
    }

    /// Installs a source, if what comes out of it is exactly what is wanted.
    fn install(
        &self,
        place: &Place,
        path: &RelPath,
        wanted: &Digest,
        source: TreeSource,
        what: &str,
    ) -> Result<Outcome, Error> {
        let mut txn = self.begin(path);
        let described = source.describe();
        let is_file =
            apply::stat_at(self.engine, place)?.is_some_and(|stat| stat.kind != Kind::Dir);
        // Staged under the eyes of nobody: what is in the way goes only when it is known to be right.
        txn.tree(path, source, TreeOptions::default())?;
        match txn.digest_of(path) {
            Some(found) if found == *wanted => {}
            Some(found) => {
                txn.rollback()?;
                let text = format!("{described} is another tree: {found} instead of {wanted}");
                return Ok(Outcome::Left(text));
            }
            None => {
                txn.rollback()?;
                return Ok(Outcome::Left(changed_meanwhile()));
            }
        }
        let prepared = txn.prepare()?;
        if is_file {
            self.clear_the_way(place, Kind::Dir)?;
        }
        prepared.commit()?;
        Ok(Outcome::Mended(what.to_owned()))
    }

    /// The tree as its manifest says, with the content that is in place where that is right, and with what is
    /// kept where it is not.
    fn composed(&self, place: &Place, manifest: &Manifest) -> Result<Composed, Error> {
        let root = apply::open_tree(self.engine, place)?;
        let wrong = match &root {
            Some(root) => self.wrong_content(root, manifest)?,
            None => manifest
                .entries()
                .iter()
                .map(|entry| entry.path.clone())
                .collect(),
        };
        let mut kept = Vec::new();
        let mut missing = 0;
        for entry in manifest
            .entries()
            .iter()
            .filter(|entry| wrong.contains(&entry.path))
        {
            if let EntryKind::File {
                digest,
                same_as: None,
                ..
            } = &entry.kind
            {
                match self.kept_file(digest)? {
                    Some(content) => kept.push((entry.path.clone(), content.file)),
                    None => missing += 1,
                }
            }
        }
        if missing > 0 {
            return Ok(Composed::Missing(format!(
                "the content of {missing} files is not in place"
            )));
        }
        let entries = Arc::new(manifest.entries().to_vec());
        let next = {
            let entries = entries.clone();
            move |index: usize| -> io::Result<SourceEntry> {
                let entry = &entries[index];
                let taken = kept.iter().find(|(path, _)| *path == entry.path);
                let file = taken.map(|(_, file)| file.try_clone()).transpose()?;
                source_entry(&entries, entry, file, root.as_ref())
            }
        };
        let source = TreeSource::entries((0..entries.len()).map(next));
        Ok(Composed::Whole(source.keep_special_bits()))
    }

    /// The paths of files whose content is not right in place.
    fn wrong_content(&self, root: &Dir, manifest: &Manifest) -> Result<BTreeSet<String>, Error> {
        let tick = |_| {};
        let verdict = tree::verify(root, manifest, None, Depth::Full, &tick)?;
        let is_wrong = |what: &DifferenceKind| {
            matches!(
                what,
                DifferenceKind::Missing
                    | DifferenceKind::Content
                    | DifferenceKind::Size { .. }
                    | DifferenceKind::Kind { .. }
            )
        };
        let wrong: BTreeSet<String> = verdict
            .differences
            .iter()
            .filter(|difference| is_wrong(&difference.what))
            .map(|difference| difference.path.clone())
            .collect();
        // Paths of differences are escaped; those of entries are not.
        let shown = |entry: &&Entry| wrong.contains(&entry.path.escape_debug().to_string());
        let paths = manifest.entries().iter().filter(shown);
        Ok(paths.map(|entry| entry.path.clone()).collect())
    }

    /// Writes the manifest of a tree again, if the tree is what it described.
    pub(super) fn manifest(&self, place: &Place) -> Result<Outcome, Error> {
        let entry = self.engine.look(|catalog| catalog.entry(place))?;
        let Some(digest) = entry.and_then(|entry| entry.digest) else {
            return Ok(Outcome::Mended(
                "nothing is recorded there any more".to_owned(),
            ));
        };
        let path = self.path(place)?;
        let Some(root) = apply::open_tree(self.engine, place)? else {
            return self.from_source(place, &path, &digest);
        };
        let read = tree::read(&root, &|_| {})?;
        if read.manifest.digest() != digest {
            return self.from_source(place, &path, &digest);
        }
        self.engine.record(Sync::Full, |catalog| {
            catalog.replace_manifest(&read.manifest)
        })?;
        Ok(Outcome::Mended(
            "written again from the tree, which is what it described".to_owned(),
        ))
    }

    /// Forgets a manifest that is not what it is called by, if nothing that stands needs it.
    pub(super) fn unused_manifest(&self, digest: &[u8]) -> Result<Outcome, Error> {
        let forgotten = self
            .engine
            .record(Sync::Normal, |catalog| catalog.forget_bad_manifest(digest))?;
        Ok(match forgotten {
            true => Outcome::Mended("forgotten: no tree that stands has it".to_owned()),
            false => Outcome::Mended("written again with its tree".to_owned()),
        })
    }
}

/// A tree that was put together from what has its content.
enum Composed {
    Whole(TreeSource),
    /// Why it cannot be.
    Missing(String),
}

fn source_entry(
    entries: &[Entry],
    entry: &Entry,
    kept: Option<std::fs::File>,
    root: Option<&Dir>,
) -> io::Result<SourceEntry> {
    let content = match &entry.kind {
        EntryKind::Dir => SourceContent::Dir,
        EntryKind::Link { target } => SourceContent::Link(target.clone()),
        EntryKind::File {
            same_as: Some(first),
            ..
        } => SourceContent::HardLink(entries[*first as usize].path.clone()),
        EntryKind::File { .. } => SourceContent::File(match (kept, root) {
            (Some(file), _) => Box::new(file),
            (None, Some(root)) => {
                let opened = root.open_file(&entry.path);
                Box::new(opened.map_err(|error| io::Error::new(error.io().kind(), error))?)
            }
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        }),
    };
    let path = match entry.path.is_empty() {
        true => ".".to_owned(),
        false => entry.path.clone(),
    };
    Ok(SourceEntry {
        path,
        mode: entry.mode,
        mtime: entry.mtime,
        content,
    })
}
