use std::collections::BTreeMap;

use crate::catalog::TxnRow;
use crate::disk::Dir;
use crate::engine::Engine;
use crate::error::Error;
use crate::home::{STAGED_PATHS, Staging};
use crate::lock;
use crate::model::{Kind, Stat};
use crate::tree;

/// Whether something may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It may, and is so many bytes.
    Bytes(u64),
    /// It holds private keys.
    KeyMaterial,
    /// It cannot be looked through, or is more than may be kept at all.
    TooMuch,
}

/// How long a list of staged paths may be that is read, in bytes.
const PATHS_BYTES_MAX: u64 = 64 << 20;

/// Says whether what lies under a name may be kept, given the path that it is, or was to be, known by.
pub(crate) fn weigh(
    engine: &Engine,
    shown: &str,
    (dir, name, stat): (&Dir, &str, &Stat),
) -> Result<Weight, Error> {
    let keys = &engine.retention.key_material;
    if keys.is_at(shown) {
        return Ok(Weight::KeyMaterial);
    }
    let bytes = match stat.kind {
        Kind::Dir => {
            let Ok(inside) = tree::list(&dir.open_dir(name)?) else {
                return Ok(Weight::TooMuch);
            };
            if inside.iter().any(|(path, _)| keys.is_at(path)) {
                return Ok(Weight::KeyMaterial);
            }
            inside.iter().map(|(_, stat)| stat.size).sum()
        }
        Kind::File => stat.size,
        Kind::Link => 0,
        Kind::Other => return Ok(Weight::TooMuch),
    };
    Ok(match bytes > engine.retention.kept.bytes {
        true => Weight::TooMuch,
        false => Weight::Bytes(bytes),
    })
}

/// Clears a directory of a dead run's transaction of what may not be kept; says how many bytes are left, or
/// `None` if nothing is. The caller has locked it.
pub(crate) fn keep_staged(
    engine: &Engine,
    row: &TxnRow,
    staging: &Staging,
) -> Result<Option<u64>, Error> {
    if engine.retention.kept.count == 0 {
        return Ok(None);
    }
    let paths = staged_paths(&staging.dir)?;
    let mut kept = None;
    for name in staging.dir.names()? {
        let Some(name) = name.to_str() else {
            staging.dir.remove_tree(&name)?;
            continue;
        };
        let Some(stat) = staging.dir.stat(name)?.filter(|_| name != STAGED_PATHS) else {
            continue;
        };
        // What it was to be is not known after a power cut: it could be a key.
        let weight = match paths.get(name) {
            Some(path) => weigh(engine, path, (&staging.dir, name, &stat))?,
            None => Weight::TooMuch,
        };
        match weight {
            Weight::Bytes(bytes) => kept = Some(kept.unwrap_or(0) + bytes),
            _ if lock::is_locked_within(&staging.dir, name)? => return Ok(None),
            _ => staging.dir.remove_tree(name)?,
        }
    }
    if let Some(bytes) = kept {
        tracing::info!(txn = %row.id, bytes, "what a dead run had staged is kept");
    }
    Ok(kept)
}

/// What was staged for which path, by the names of the entries.
fn staged_paths(dir: &Dir) -> Result<BTreeMap<String, String>, Error> {
    let text = dir.read_small(STAGED_PATHS, PATHS_BYTES_MAX)?;
    let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
    // A line without its end was cut short.
    let lines = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    let named = lines.filter_map(|line| line.split_once(' '));
    Ok(named
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .collect())
}
