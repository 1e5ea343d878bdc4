//! Old content: where it is, and how it becomes the source of a new transaction.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;

use rustix::io::Errno;

use crate::catalog::Step;
use crate::disk::{Dir, DiskError};
use crate::error::Error;
use crate::home::RecordedModes;
use crate::kept::{self, Index, Kept};
use crate::look::Look;
use crate::model::{EntryKind, Kind, Manifest, Place, Stat, Version};
use crate::tree::{self, SourceEntry, TreeSource};

/// Whether content is wanted but not available. A link is created from its record.
pub(super) fn missing(wanted: Option<&Version>, kept: Option<&Kept>) -> bool {
    wanted.is_some_and(|wanted| match wanted.kind {
        Kind::File | Kind::Dir => kept.is_none(),
        Kind::Link => wanted.target.is_none(),
        Kind::Other => true,
    })
}

/// Completes a version from retained content, if it was not recorded: content that the journal removed without having
/// installed it.
pub(super) fn complete(wanted: &mut Version, kept: &Kept) -> Result<(), Error> {
    if wanted.kind == Kind::Link && wanted.target.is_none() {
        wanted.target = Some(kept.dir().read_link(&kept.name)?);
    }
    Ok(())
}

/// The same content where another transaction replaced it. The index of retained content is read on first use.
pub(super) fn elsewhere(
    look: &Look<'_>,
    index: &OnceCell<Index>,
    wanted: Option<&Version>,
) -> Result<Option<Kept>, Error> {
    let Some(Version {
        kind: kind @ (Kind::File | Kind::Dir),
        digest: Some(digest),
        ..
    }) = wanted
    else {
        return Ok(None);
    };
    let index = match index.get() {
        Some(index) => index,
        None => {
            let read = Index::read(look)?;
            index.get_or_init(|| read)
        }
    };
    for known in index.with_digest(*kind, digest) {
        if let Some(kept) = index.hold(look, known)? {
            return Ok(Some(kept));
        }
    }
    Ok(None)
}

/// The content that a change replaced at a place, or that it removed above it.
pub(super) fn replaced_by(
    look: &Look<'_>,
    step: &Step,
    place: &Place,
) -> Result<Option<Kept>, Error> {
    let Some(mut kept) = kept::before(look, step.txn, &step.place)? else {
        return Ok(None);
    };
    let Some(inside) = place.path.below(&step.place.path) else {
        return Ok(Some(kept));
    };
    kept.name = format!("{}/{inside}", kept.name);
    kept.recorded = None;
    let there = kept.dir().stat(&kept.name).ok().flatten();
    Ok(there.map(|stat| {
        kept.stat = stat;
        kept
    }))
}

/// Whether a place has exactly this version: kind, content, mode and mtime; or is absent.
pub(super) fn is_there(
    look: &Look<'_>,
    place: &Place,
    version: Option<&Version>,
) -> Result<bool, Error> {
    let is_known = |it: &Version| match it.kind {
        Kind::Dir | Kind::File => it.digest.is_some(),
        Kind::Link => it.target.is_some(),
        Kind::Other => false,
    };
    if version.is_some_and(|it| !is_known(it)) {
        // The old version is not known.
        return Ok(false);
    }
    Ok(look.differences(place, version)?.is_empty())
}

/// The entries of a retained tree, with recorded modes and times.
pub(super) fn tree(
    kept: &Kept,
    manifest: Option<&Manifest>,
    modes: RecordedModes,
) -> Result<TreeSource, Error> {
    let Some(manifest) = manifest else {
        let dir = kept.open_dir()?;
        return match tree::list(&dir) {
            Ok(_) => Ok(TreeSource::opened(dir).keep_special_bits()),
            Err(_) => surveyed(kept, modes),
        };
    };
    let root = kept.open_dir()?;
    let entries = manifest.entries().to_vec();
    let paths: Vec<_> = entries.iter().map(|entry| entry.path.clone()).collect();
    let listed = entries.into_iter().map(move |entry| {
        let (path, mode, mtime) = (entry.path, entry.mode, entry.mtime);
        Ok(match entry.kind {
            EntryKind::Dir if path.is_empty() => SourceEntry::dir(".", mode, mtime),
            EntryKind::Dir => SourceEntry::dir(path, mode, mtime),
            EntryKind::Link { target } => SourceEntry::link(path, target, mtime),
            EntryKind::File {
                same_as: Some(first),
                ..
            } => {
                let target = paths.get(first as usize).cloned().unwrap_or_default();
                SourceEntry::hard_link(path, target)
            }
            EntryKind::File { .. } => {
                let (content, stat) = open(&root, &path)?;
                SourceEntry::copy(path, modes.of(mode, &stat), mtime, content)?
            }
        })
    });
    Ok(TreeSource::entries(listed).keep_special_bits())
}

/// Opens a file and returns its `stat`.
fn open(root: &Dir, path: &str) -> io::Result<(File, Stat)> {
    let opened = root.open_file(path).and_then(|file| {
        let stat = root.stat_open(&file)?;
        Ok((file, stat))
    });
    opened.map_err(|error| io::Error::new(error.io().kind(), error.to_string()))
}

/// The entries of a retained directory without a manifest. What a tree cannot hold is reported, and stays retained.
fn surveyed(kept: &Kept, modes: RecordedModes) -> Result<TreeSource, Error> {
    let root = kept.open_dir()?;
    let (own, survey) = (
        root.own_stat()?,
        kept.dir().survey(&kept.name, &mut |_, _| {})?,
    );
    if let Some((path, uid)) = survey.closed.first() {
        let path = root.path().join(path);
        tracing::warn!(%path, uid, "a part of the retained content cannot be read");
        return Err(DiskError::new("read", path.as_str(), Errno::ACCESS).into());
    }
    let special = survey
        .entries
        .iter()
        .filter(|(_, stat)| stat.kind == Kind::Other);
    for (path, _) in special.chain(&survey.unnamed) {
        let path = path.escape_debug();
        let kept = kept.dir().path().join(&kept.name);
        tracing::warn!(
            %path, %kept,
            "it is a socket, FIFO or device, or its name is not UTF-8: it is not restored and stays retained"
        );
    }
    let mut first_names = HashMap::new();
    let listed = survey.entries.into_iter().filter_map(move |(path, stat)| {
        let (mode, mtime) = (stat.mode, stat.mtime);
        let entry = match stat.kind {
            Kind::Dir => Ok(SourceEntry::dir(path, mode, mtime)),
            Kind::Link => read_link(&root, &path).map(|to| SourceEntry::link(path, to, mtime)),
            Kind::File => {
                let inode = (stat.dev, stat.identity.ino);
                match first_names.get(&inode) {
                    Some(first) => Ok(SourceEntry::hard_link(path, String::clone(first))),
                    None => {
                        if stat.links > 1 {
                            first_names.insert(inode, path.clone());
                        }
                        open(&root, &path).map(|(file, stat)| {
                            let mode = modes.of(stat.mode, &stat);
                            SourceEntry::file(path, mode, mtime, file)
                        })
                    }
                }
            }
            Kind::Other => return None,
        };
        Some(entry)
    });
    let top = SourceEntry::dir(".", own.mode, own.mtime);
    let listed = std::iter::once(Ok(top)).chain(listed);
    Ok(TreeSource::entries(listed).keep_special_bits())
}

fn read_link(root: &Dir, path: &str) -> io::Result<String> {
    let read = match path.rsplit_once('/') {
        Some((parent, name)) => root.open_dir(parent).and_then(|dir| dir.read_link(name)),
        None => root.read_link(path),
    };
    read.map_err(|error| io::Error::new(error.io().kind(), error.to_string()))
}
