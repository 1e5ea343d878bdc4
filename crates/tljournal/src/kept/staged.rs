use std::collections::BTreeMap;
use std::ffi::OsStr;

use rustix::io::Errno;

use crate::disk::{self, Dir, DiskError, Survey};
use crate::engine::Engine;
use crate::error::Error;
use crate::home::{STAGED_PATHS, Staging};
use crate::model::{KeyMaterial, Kind, Stat};
use crate::tree;

/// Whether content may be retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Yes; its size in bytes.
    Bytes(u64),
    /// No: it holds private keys.
    KeyMaterial,
    /// No: it is larger than everything that may be retained.
    TooLarge,
    /// No: this user made a part of it inaccessible, which may hold private keys.
    Closed,
    /// No: it has no content, or its path is unknown.
    No,
}

impl Weight {
    /// Why content is not retained, if there is a reason that a user should know.
    pub(crate) fn objection(self) -> Option<&'static str> {
        match self {
            Self::Bytes(_) | Self::No => None,
            Self::KeyMaterial => {
                Some("the replaced content holds private keys, which are never retained")
            }
            Self::TooLarge => Some("the replaced content is larger than the retention limit"),
            Self::Closed => Some(
                "this user may not read a part of the replaced content, which may hold private keys",
            ),
        }
    }
}

/// The longest list of staged paths that is read, in bytes.
const PATHS_BYTES_MAX: u64 = 64 << 20;

/// Decides whether the entry under a name may be retained, given its path.
///
/// # Errors
/// [`Error::Disk`] and [`Error::Source`] when it cannot be examined: then nothing is known against it, and it must stay.
pub(crate) fn weigh(
    engine: &Engine,
    shown: &str,
    (dir, name, stat): (&Dir, &str, &Stat),
) -> Result<Weight, Error> {
    let (keys, bytes_max) = (&engine.key_material, engine.retention.kept.bytes);
    if keys.is_at(shown) {
        return Ok(Weight::KeyMaterial);
    }
    let bytes = match stat.kind {
        Kind::Dir => {
            let root = match dir.open_dir(name) {
                Err(error) if error.is(Errno::ACCESS) => return Ok(Weight::Closed),
                opened => opened?,
            };
            let inside = match inside(dir, name)? {
                Ok(inside) => inside,
                Err(weight) => return Ok(weight),
            };
            if inside.all().any(|(path, _)| keys.is_at(path)) {
                return Ok(Weight::KeyMaterial);
            }
            let bytes = inside.bytes();
            if bytes > bytes_max {
                return Ok(Weight::TooLarge);
            }
            let keys = tree::keys_among(&root, &inside.entries)?;
            if !keys.found.is_empty() {
                return Ok(Weight::KeyMaterial);
            }
            if keys.closed {
                return Ok(Weight::Closed);
            }
            bytes
        }
        Kind::File if stat.content_bytes() > bytes_max => return Ok(Weight::TooLarge),
        Kind::File => match tree::is_key(dir, name) {
            Ok(false) => stat.content_bytes(),
            Ok(true) => return Ok(Weight::KeyMaterial),
            Err(error) if error.is(Errno::ACCESS) => return Ok(Weight::Closed),
            Err(error) => return Err(error.into()),
        },
        Kind::Link => 0,
        Kind::Other => return Ok(Weight::No),
    };
    Ok(Weight::Bytes(bytes))
}

/// Everything in a directory, of any kind and name, because it is retained as a whole in place; mount points are
/// excluded. The error is the decision if the search must stop: this user made a part inaccessible, which may hold
/// keys. (What another user made inaccessible can be neither read nor deleted.)
fn inside(dir: &Dir, name: &str) -> Result<Result<Survey, Weight>, Error> {
    let root = dir.open_dir(name)?;
    let own = root.own_stat()?;
    let is_here = |(_, stat): &(String, Stat)| (stat.dev, stat.mount) == (own.dev, own.mount);
    if let Ok(mut entries) = tree::list(&root) {
        entries.retain(is_here);
        let inside = Survey {
            entries,
            ..Survey::default()
        };
        return Ok(Ok(inside));
    }
    let mut keys = Ok(false);
    let mut survey = dir.survey(name, &mut |dir, name| {
        if matches!(keys, Ok(false)) {
            keys = tree::is_key(dir, name);
        }
    })?;
    let uid = disk::writer();
    let is_own = |(_, owner): &(String, u32)| *owner == uid;
    match keys {
        Ok(true) => Ok(Err(Weight::KeyMaterial)),
        Ok(false) if survey.closed.iter().any(is_own) => Ok(Err(Weight::Closed)),
        Ok(false) => {
            survey.entries.retain(is_here);
            survey.unnamed.retain(is_here);
            Ok(Ok(survey))
        }
        Err(error) if error.is(Errno::ACCESS) => Ok(Err(Weight::Closed)),
        Err(error) => Err(error.into()),
    }
}

/// Removes the private keys in a tree that was moved out of its place, or is about to be; false if the entry itself is
/// a key, by its path or content. Directories without permissions for their owner are opened.
pub(crate) fn remove_keys(
    keys: &KeyMaterial,
    shown: &str,
    (dir, name, stat): (&Dir, &str, &Stat),
) -> Result<bool, Error> {
    if keys.is_at(shown) {
        return Ok(false);
    }
    if stat.kind != Kind::Dir {
        return Ok(stat.kind != Kind::File || !holds_key(dir, name.as_ref())?);
    }
    dir.open_closed(name.as_ref());
    let root = dir.open_dir(name)?;
    let mut removed = Ok(());
    let remove = |dir: &Dir, name: &OsStr| match holds_key(dir, name)? {
        true => dir.remove_file(name),
        false => Ok::<_, DiskError>(()),
    };
    let survey = dir.survey(name, &mut |dir, name| {
        if removed.is_ok() {
            removed = remove(dir, name);
        }
    })?;
    removed?;
    let own = root.own_stat()?;
    let is_here = |stat: &Stat| (stat.dev, stat.mount) == (own.dev, own.mount);
    // A mounted filesystem is not this journal's to delete.
    let inside = survey.entries.into_iter().filter(|(_, stat)| is_here(stat));
    let inside: Vec<_> = inside.collect();
    let by_name = inside.iter().map(|(path, _)| path.as_str());
    let mut found: Vec<_> = by_name.filter(|path| keys.is_at(path)).collect();
    found.extend(tree::keys_among(&root, &inside)?.found);
    let is_closed = |stat: &Stat| stat.kind == Kind::File && stat.mode & OWNER_READS == 0;
    for (path, _) in inside.iter().filter(|(_, stat)| is_closed(stat)) {
        let (parent, name) = parent_of(&root, path)?;
        if holds_key(&parent, name.as_ref())? {
            found.push(path);
        }
    }
    for path in found {
        // The content of a key directory is removed with it.
        if root.stat(path)?.is_none() {
            continue;
        }
        let (parent, name) = parent_of(&root, path)?;
        parent.remove_tree(name)?;
    }
    Ok(true)
}

/// The mode bit that lets a file's owner read it.
const OWNER_READS: u32 = 0o400;

/// Whether a file holds a private key. An unreadable file of this user is made readable meanwhile; if it has other names,
/// which would change too, this name is deleted on suspicion: the content stays. An unreadable file of another user does
/// not count as a key.
fn holds_key(dir: &Dir, name: &OsStr) -> Result<bool, DiskError> {
    match tree::is_key(dir, name) {
        Err(error) if error.is(Errno::ACCESS) => {}
        is_key => return is_key,
    }
    let own = |stat: &Stat| stat.kind == Kind::File && stat.uid == disk::writer();
    match dir.stat(name)?.filter(own) {
        None => Ok(false),
        Some(stat) if stat.links > 1 => Ok(true),
        Some(stat) => match dir.while_readable(name, &stat, || tree::is_key(dir, name))? {
            Err(error) if error.is(Errno::ACCESS) => Ok(false),
            is_key => is_key,
        },
    }
}

fn parent_of<'a>(root: &Dir, path: &'a str) -> Result<(Dir, &'a str), DiskError> {
    Ok(match path.rsplit_once('/') {
        Some((parent, name)) => (root.open_dir(parent)?, name),
        None => (root.clone(), path),
    })
}

/// Removes the private keys from the directory of an unknown transaction.
pub(crate) fn remove_staged_keys(keys: &KeyMaterial, staging: &Staging) -> Result<(), Error> {
    let paths = StagedPaths::of(staging);
    for name in staging.dir.names()? {
        let Some(name) = name.to_str() else { continue };
        let Some(stat) = staging.dir.stat(name)? else {
            continue;
        };
        let stays = match paths.0.get(name) {
            Some((_, true)) => false,
            Some((path, false)) => remove_keys(keys, path, (&staging.dir, name, &stat))?,
            None => remove_keys(keys, "", (&staging.dir, name, &stat))?,
        };
        if !stays {
            staging.dir.remove_tree(name)?;
        }
    }
    Ok(())
}

/// The target path of each staged entry, by its name, and whether the caller marked it as a key.
#[derive(Debug)]
pub(crate) struct StagedPaths(BTreeMap<String, (String, bool)>);

/// The suffix of a name in the list of paths if the caller marked it as a key.
pub(crate) const KEY_MARK: char = '!';

impl StagedPaths {
    /// Reads the list that the transaction wrote here, as far as it is readable.
    pub(crate) fn of(staging: &Staging) -> Self {
        let text = staging.dir.read_small(STAGED_PATHS, PATHS_BYTES_MAX);
        let text = text.ok().flatten().unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        // A line without an end was truncated.
        let lines = text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'));
        let named = lines.filter_map(|line| line.split_once(' '));
        let read = named.map(|(name, path)| {
            let bare = name.trim_end_matches(KEY_MARK);
            (bare.to_owned(), (path.to_owned(), bare != name))
        });
        Self(read.collect())
    }

    /// Decides whether a staged entry may be retained. After a power cut its path may be unknown: then it may be a
    /// key.
    pub(crate) fn weigh(
        &self,
        engine: &Engine,
        staging: &Staging,
        name: &str,
    ) -> Result<Weight, Error> {
        let (stat, path) = (staging.dir.stat(name)?, self.0.get(name));
        match (stat, path) {
            (_, Some((_, true))) => Ok(Weight::KeyMaterial),
            (Some(stat), Some((path, _))) if engine.retention.kept.count > 0 => {
                weigh(engine, path, (&staging.dir, name, &stat))
            }
            _ => Ok(Weight::No),
        }
    }
}
