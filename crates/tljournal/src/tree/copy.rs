use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};

use super::draft::{Content, Draft, root_mode, seal, unsigned};
use super::spread::{cores, spread_on, writers};
use super::walk::{Seen, walk};
use super::{Built, Forbidden, Tick, TreeError, names};
use crate::disk::{self, CLOSED_MODE_MASK, Dir, Owner, Piece, SparseFile, each_piece};
use crate::model::{CAPABILITY, Entry, EntryKind, EntrySignature, Hasher, Kind, Stat};

/// The size of the read buffer.
const BUFFER_BYTES: usize = 256 * 1024;

/// Copies the directory `source` into the empty directory `root`.
pub(super) fn copy(
    source: &Dir,
    root: &Dir,
    mode_mask: u32,
    (forbidden, carries): (Forbidden, bool),
    tick: Tick<'_>,
) -> Result<Built, TreeError> {
    let mut seen = walk(source, Some(forbidden))?;
    for seen in seen.iter_mut().filter(|seen| seen.stat.kind == Kind::File) {
        seen.stat.mode = disk::mode_of(seen.stat.mode, seen.stat.uid);
    }
    // A program of root keeps its capabilities only if its copy belongs to root.
    let is_roots = disk::is_own_of_root(root.own_stat()?.uid);
    let same_as = hard_links(&seen);
    let is_for_another = root.is_filled_for_another()?;
    let closed = match is_for_another {
        true => close_dirs(source, root, &mut seen)?,
        false => HashSet::new(),
    };
    for seen in &seen[1..] {
        match (&seen.stat.kind, &seen.target) {
            (Kind::Dir, _) if closed.contains(&seen.path) => {
                root.make_dir_of_root(&seen.path, root_mode(seen.stat.mode & mode_mask))?;
            }
            (Kind::Dir, _) => root.make_dir(&seen.path, root_mode(seen.stat.mode & mode_mask))?,
            (_, Some(target)) => {
                root.make_link(target, &seen.path)?;
                root.set_mtime(&seen.path, seen.stat.mtime)?;
            }
            _ => {}
        }
    }
    let contents = read_files(writers(root), &seen, &same_as, |buffer, seen| {
        let path = &seen.path;
        let from = source.open_file(path)?;
        let is_closed = is_for_another && !root.may_get(&from)?;
        let mode = seen.stat.mode & mode_mask & mask_if(is_closed);
        let mut file = match is_closed {
            true => root.create_file_of(path, mode, Some(Owner::ROOT))?,
            false => root.create_file(path, mode)?,
        };
        let at = (source, &from, seen);
        let content = read_file(at, buffer, tick, |piece| Ok(file.append(piece)?))?;
        if is_closed {
            warn_of_closed(path);
        } else if carries {
            let mut attributes = source.attributes(&seen.path)?;
            if !is_roots || !disk::is_own_of_root(seen.stat.uid) {
                attributes = attributes.without(CAPABILITY);
            }
            file.take_over(&attributes, &|lost| lose(&seen.path, lost))?;
        }
        let stat = seal(&file, mode, seen.stat.mtime)?;
        let signature = EntrySignature::of(&stat);
        Ok(Content {
            signature,
            is_closed,
            ..content
        })
    })?;
    for (index, first) in same_as.iter().enumerate() {
        if let Some(first) = first {
            root.hard_link(&seen[*first as usize].path, &seen[index].path)?;
        }
    }
    refuse_changed_dirs(source, &seen)?;
    if carries {
        let is_open = |seen: &&Seen| seen.stat.kind == Kind::Dir && !closed.contains(&seen.path);
        for seen in seen.iter().filter(is_open) {
            let (from, to) = match seen.path.as_str() {
                "" => (source.clone(), root.clone()),
                path => (source.open_dir(path)?, root.open_dir(path)?),
            };
            let attributes = from.own_attributes()?;
            to.take_over(&attributes, &|lost| lose(&seen.path, lost))?;
        }
    }
    let mut draft = draft(seen, &same_as, &contents, mode_mask);
    draft.closed = closed;
    draft.sign_links(root)?;
    let mut built = draft.finish(root)?;
    if carries {
        built.read_attributes(root)?;
    }
    Ok(built)
}

/// Finds the source directories that the owner of the new tree could not list, and makes them private: in the tree they
/// stay owned by root.
fn close_dirs(source: &Dir, root: &Dir, seen: &mut [Seen]) -> Result<HashSet<String>, TreeError> {
    let mut closed = HashSet::new();
    for seen in seen.iter_mut().filter(|seen| seen.stat.kind == Kind::Dir) {
        let may_get = match seen.path.as_str() {
            "" => root.may_get(source)?,
            path => root.may_get(source.open_dir(path)?)?,
        };
        if may_get {
            continue;
        }
        if seen.path.is_empty() {
            root.close()?;
        }
        warn_of_closed(&seen.path);
        seen.stat.mode &= CLOSED_MODE_MASK;
        closed.insert(seen.path.clone());
    }
    Ok(closed)
}

fn mask_if(is_closed: bool) -> u32 {
    if is_closed { CLOSED_MODE_MASK } else { 0o7777 }
}

fn warn_of_closed(path: &str) {
    tracing::warn!(
        path = names::shown(path),
        "only root may read this entry of the source: its copy stays root's"
    );
}

/// Logs that an attribute of the source could not be set on the tree.
fn lose(path: &str, lost: &str) {
    tracing::warn!(path, "an entry of the tree goes without {lost}");
}

/// Describes an existing tree, including its content.
pub(crate) fn read(root: &Dir, tick: Tick<'_>) -> Result<Built, TreeError> {
    read_draft(root, false, tick)?.describe()
}

/// The same as a draft; with `moved`, mount points in it are refused because they cannot be moved with the tree.
pub(super) fn read_draft(root: &Dir, moved: bool, tick: Tick<'_>) -> Result<Draft, TreeError> {
    let seen = walk(root, None)?;
    let at = |seen: &Seen| (seen.stat.dev, seen.stat.mount);
    if let Some(mounted) = seen.iter().find(|one| moved && at(one) != at(&seen[0])) {
        return Err(TreeError::Special {
            entry: names::shown(&mounted.path),
            what: "something that is mounted there, which does not move with the tree",
        });
    }
    let same_as = hard_links(&seen);
    let contents = read_files(cores(), &seen, &same_as, |buffer, seen| {
        let file = root.open_file(&seen.path)?;
        read_file((root, &file, seen), buffer, tick, |_| Ok(()))
    })?;
    refuse_changed_dirs(root, &seen)?;
    let signature = seen
        .iter()
        .map(|seen| EntrySignature::of(&seen.stat))
        .collect();
    let mut draft = draft(seen, &same_as, &contents, 0o7777);
    draft.signature = signature;
    Ok(draft)
}

/// For each entry the index of the first entry with the same inode, if there is an earlier one. Hard links outside
/// the tree are ignored.
fn hard_links(seen: &[Seen]) -> Vec<Option<u32>> {
    let mut first_of = HashMap::new();
    let mut first = |index: usize, stat: &Stat| {
        if stat.kind != Kind::File || stat.links < 2 {
            return None;
        }
        let index = u32::try_from(index).ok()?;
        let first = *first_of
            .entry((stat.dev, stat.identity.ino))
            .or_insert(index);
        (first != index).then_some(first)
    };
    seen.iter()
        .enumerate()
        .map(|(index, seen)| first(index, &seen.stat))
        .collect()
}

/// Runs `act` on every file, once for each group of hard links. Large files come first, so that no core is left with
/// one at the end.
fn read_files(
    threads: usize,
    seen: &[Seen],
    same_as: &[Option<u32>],
    act: impl Fn(&mut Vec<u8>, &Seen) -> Result<Content, TreeError> + Sync,
) -> Result<Vec<Option<Content>>, TreeError> {
    let is_own = |index: &usize| seen[*index].stat.kind == Kind::File && same_as[*index].is_none();
    let mut order: Vec<usize> = (0..seen.len()).filter(is_own).collect();
    // The sort is stable: small files keep the order of their directories.
    order.sort_by_key(|index| std::cmp::Reverse(seen[*index].stat.size / (1 << 20)));
    #[derive(Default)]
    struct Worker {
        buffer: Vec<u8>,
        contents: Vec<(usize, Content)>,
    }
    let workers = spread_on(threads, order.len(), 1, |worker: &mut Worker, number| {
        let index = order[number];
        worker.buffer.resize(BUFFER_BYTES, 0);
        let content = act(&mut worker.buffer, &seen[index])?;
        worker.contents.push((index, content));
        Ok::<_, TreeError>(())
    })?;
    let mut contents = vec![None; seen.len()];
    for (index, content) in workers.into_iter().flat_map(|worker| worker.contents) {
        contents[index] = Some(content);
    }
    Ok(contents)
}

/// Reads one file to its end, and checks that it has not changed since the walk.
fn read_file(
    (source, file, seen): (&Dir, &File, &Seen),
    buffer: &mut [u8],
    tick: Tick<'_>,
    mut take: impl FnMut(Piece<'_>) -> Result<(), TreeError>,
) -> Result<Content, TreeError> {
    refuse_changed_file(source, file, seen)?;
    let failed = |error| TreeError::read(source.path().join(&seen.path).as_str(), error);
    let mut content = SparseFile::new(file, &seen.stat).map_err(failed)?;
    let mut hasher = Hasher::default();
    let mut size = 0;
    each_piece(&mut content, buffer, failed, |piece| {
        size += piece.bytes();
        if size > seen.stat.size {
            return Err(TreeError::changed(&seen.path));
        }
        piece.add_to(&mut hasher);
        take(piece)?;
        tick(piece.bytes());
        Ok(())
    })?;
    refuse_changed_file(source, file, seen)?;
    if size != seen.stat.size {
        return Err(TreeError::changed(&seen.path));
    }
    Ok(Content {
        size,
        digest: hasher.finish(),
        signature: unsigned(),
        is_closed: false,
    })
}

/// Reads once; retries after a signal.
pub(super) fn read_some(reader: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn refuse_changed_file(source: &Dir, file: &File, seen: &Seen) -> Result<(), TreeError> {
    let now = source.disk().stat_open(file, &seen.path)?;
    match now.is_unchanged_since(&seen.stat) {
        true => Ok(()),
        false => Err(TreeError::changed(&seen.path)),
    }
}

/// Refuses directories whose mtime has changed since the walk, because entries were added, removed or renamed. (The
/// ctime also changes when the directory itself is renamed, which is harmless.)
fn refuse_changed_dirs(source: &Dir, seen: &[Seen]) -> Result<(), TreeError> {
    for seen in seen.iter().filter(|seen| seen.stat.kind == Kind::Dir) {
        let now = if seen.path.is_empty() {
            Some(source.own_stat()?)
        } else {
            source.stat(&seen.path)?
        };
        let was = (seen.stat.identity, seen.stat.mtime);
        if now.is_none_or(|now| (now.identity, now.mtime) != was) {
            return Err(TreeError::changed(&seen.path));
        }
    }
    Ok(())
}

fn draft(
    seen: Vec<Seen>,
    same_as: &[Option<u32>],
    contents: &[Option<Content>],
    mode_mask: u32,
) -> Draft {
    let mut draft = Draft::default();
    for (index, seen) in seen.into_iter().enumerate() {
        let same_as = same_as[index];
        let content = contents[same_as.map_or(index, |first| first as usize)];
        let kind = match (seen.target, content) {
            (Some(target), _) => EntryKind::Link { target },
            (None, None) => EntryKind::Dir,
            (None, Some(content)) => EntryKind::File {
                size: content.size,
                digest: content.digest,
                same_as,
            },
        };
        let is_link = matches!(kind, EntryKind::Link { .. });
        let mask = mode_mask & mask_if(content.is_some_and(|content| content.is_closed));
        let entry = Entry {
            path: seen.path,
            mode: if is_link { 0 } else { seen.stat.mode & mask },
            mtime: seen.stat.mtime,
            kind,
        };
        let signature = content.map_or_else(unsigned, |content| content.signature);
        draft.push(entry, signature);
    }
    draft
}
