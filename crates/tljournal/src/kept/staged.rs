use std::collections::BTreeMap;

use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::{STAGED_PATHS, Staging};
use crate::model::{Kind, Stat};
use crate::tree;

/// Whether something may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It may, and is so many bytes.
    Bytes(u64),
    /// It holds private keys.
    KeyMaterial,
    /// It may not: it is more than may be kept at all, or cannot be looked through, or what it was to be is
    /// not known.
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
            let Ok(inside) = tree::list(&dir.open_dir(name)?) else {
                return Ok(Weight::No);
            };
            if inside.iter().any(|(path, _)| keys.is_at(path)) {
                return Ok(Weight::KeyMaterial);
            }
            let files = inside.iter().filter(|(_, stat)| stat.kind == Kind::File);
            files.map(|(_, stat)| stat.size).sum()
        }
        Kind::File => stat.size,
        Kind::Link => 0,
        Kind::Other => return Ok(Weight::No),
    };
    Ok(match bytes > engine.retention.kept.bytes {
        true => Weight::No,
        false => Weight::Bytes(bytes),
    })
}

/// What was staged for which path, by the names of the entries.
#[derive(Debug)]
pub(crate) struct StagedPaths(BTreeMap<String, String>);

impl StagedPaths {
    /// Reads what the transaction that staged here wrote down.
    pub(crate) fn of(staging: &Staging) -> Result<Self, Error> {
        let text = staging.dir.read_small(STAGED_PATHS, PATHS_BYTES_MAX)?;
        let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
        // A line without its end was cut short.
        let lines = text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'));
        let named = lines.filter_map(|line| line.split_once(' '));
        let owned = named.map(|(name, path)| (name.to_owned(), path.to_owned()));
        Ok(Self(owned.collect()))
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
            (Some(stat), Some(path)) if engine.retention.kept.count > 0 => {
                weigh(engine, path, (&staging.dir, name, &stat))
            }
            _ => Ok(Weight::No),
        }
    }
}
