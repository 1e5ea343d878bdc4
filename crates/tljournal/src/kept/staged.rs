use std::collections::BTreeMap;

use crate::ambient;
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::{STAGED_PATHS, Staging};
use crate::model::{KeyMaterial, Kind, Stat};
use crate::tree;

/// Whether something may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It may, and is so many bytes.
    Bytes(u64),
    /// It holds private keys.
    KeyMaterial,
    /// It may not: it is more than may be kept at all, or its owner closed it, or what it was to be is not known.
    No,
}

/// How long a list of staged paths may be that is read, in bytes.
const PATHS_BYTES_MAX: u64 = 64 << 20;

/// Says whether what lies under a name may be kept, given the path that it is, or was to be, known by.
pub(crate) fn weigh(
    engine: &Engine,
    shown: &str,
    (dir, name, stat): (&Dir, &str, &Stat),
) -> Result<Weight, Error> {
    let keys = &engine.key_material;
    if keys.is_at(shown) {
        return Ok(Weight::KeyMaterial);
    }
    let bytes = match stat.kind {
        Kind::Dir => {
            let root = dir.open_dir(name)?;
            let inside = match inside(dir, name)? {
                Ok(inside) => inside,
                Err(weight) => return Ok(weight),
            };
            if inside.iter().any(|(path, _)| keys.is_at(path)) {
                return Ok(Weight::KeyMaterial);
            }
            let files = inside.iter().filter(|(_, stat)| stat.kind == Kind::File);
            let bytes = files.map(|(_, stat)| stat.content_bytes()).sum();
            if bytes > engine.retention.kept.bytes {
                return Ok(Weight::No);
            }
            match tree::keys_among(&root, &inside) {
                Ok(keys) if !keys.found.is_empty() => return Ok(Weight::KeyMaterial),
                Ok(keys) if !keys.unread => bytes,
                // What cannot be read may be a key.
                Ok(_) | Err(_) => return Ok(Weight::No),
            }
        }
        Kind::File if stat.content_bytes() > engine.retention.kept.bytes => return Ok(Weight::No),
        Kind::File => match tree::is_key(dir, name) {
            Ok(false) => stat.content_bytes(),
            Ok(true) => return Ok(Weight::KeyMaterial),
            Err(_) => return Ok(Weight::No),
        },
        Kind::Link => 0,
        Kind::Other => return Ok(Weight::No),
    };
    Ok(match bytes > engine.retention.kept.bytes {
        true => Weight::No,
        false => Weight::Bytes(bytes),
    })
}

/// Everything in a directory, whatever it is and is called: it is kept as a whole, where it is. But for what is mounted
/// there, which lies elsewhere. An error says what it weighs if it is not to be looked through further: this user
/// closed a part of it, which may hold keys. (What another user closed can neither be read nor deleted anyway.)
fn inside(dir: &Dir, name: &str) -> Result<Result<Vec<(String, Stat)>, Weight>, Error> {
    let root = dir.open_dir(name)?;
    let own = root.own_stat()?;
    let is_here = |(_, stat): &(String, Stat)| (stat.dev, stat.mount) == (own.dev, own.mount);
    if let Ok(mut inside) = tree::list(&root) {
        inside.retain(is_here);
        return Ok(Ok(inside));
    }
    let mut keys = Ok(false);
    let survey = dir.survey(name, &mut |dir, name| {
        if matches!(keys, Ok(false)) {
            keys = tree::is_key(dir, name);
        }
    })?;
    let uid = ambient::uid();
    let is_own = |(_, owner): &(String, u32)| *owner == uid;
    Ok(match keys {
        Ok(true) => Err(Weight::KeyMaterial),
        Ok(false) if !survey.closed.iter().any(is_own) => {
            Ok(survey.all().filter(|it| is_here(it)).cloned().collect())
        }
        Ok(false) | Err(_) => Err(Weight::No),
    })
}

/// Removes the private keys that are in a tree; false if what lies under a name is one itself, by the path
/// that it is known by.
pub(crate) fn remove_keys(
    keys: &KeyMaterial,
    shown: &str,
    (dir, name, stat): (&Dir, &str, &Stat),
) -> Result<bool, Error> {
    if keys.is_at(shown) {
        return Ok(false);
    }
    if stat.kind != Kind::Dir {
        // What cannot be read is not deleted for what it may be.
        return Ok(stat.kind != Kind::File || !tree::is_key(dir, name).unwrap_or(false));
    }
    let root = dir.open_dir(name)?;
    let mut removed = Ok(());
    let survey = dir.survey(name, &mut |dir, name| {
        if removed.is_ok() && tree::is_key(dir, name).unwrap_or(false) {
            removed = dir.remove_file(name);
        }
    })?;
    removed?;
    let own = root.own_stat()?;
    let is_here = |stat: &Stat| (stat.dev, stat.mount) == (own.dev, own.mount);
    // What is mounted there lies elsewhere, and is not this journal's to delete.
    let inside = survey.entries.into_iter().filter(|(_, stat)| is_here(stat));
    let inside: Vec<_> = inside.collect();
    let by_name = inside.iter().map(|(path, _)| path.as_str());
    let mut found: Vec<_> = by_name.filter(|path| keys.is_at(path)).collect();
    let keys = tree::keys_among(&root, &inside);
    found.extend(keys.unwrap_or_default().found);
    for path in found {
        // What is in a directory of keys is gone with it.
        if root.stat(path)?.is_none() {
            continue;
        }
        match path.rsplit_once('/') {
            Some((parent, name)) => root.open_dir(parent)?.remove_tree(name)?,
            None => root.remove_tree(path)?,
        }
    }
    Ok(true)
}

/// Removes the private keys from the directory of a transaction of which nothing else is known.
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

/// What was staged for which path, by the names of the entries, and whether that was said to be a key.
#[derive(Debug)]
pub(crate) struct StagedPaths(BTreeMap<String, (String, bool)>);

/// What the name ends with in the list of paths, if who staged it holds it for a key.
pub(crate) const KEY_MARK: char = '!';

impl StagedPaths {
    /// Reads what the transaction that staged here wrote down, as far as that can be read.
    pub(crate) fn of(staging: &Staging) -> Self {
        let text = staging.dir.read_small(STAGED_PATHS, PATHS_BYTES_MAX);
        let text = text.ok().flatten().unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        // A line without its end was cut short.
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

    /// Says whether a staged entry may be kept. What it was to be may not be known after a power cut: it
    /// could be a key then.
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
