use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::{Outcome, Repairs};
use crate::ambient;
use crate::catalog::{Catalog, Sync};
use crate::disk::{self, Dir, removal, unless_gone};
use crate::error::{Error, chain};
use crate::home::{Parent, TXN};
use crate::kept;
use crate::lock::{self, Mode};
use crate::model::{Kind, Place, RelPath, TxnId};
use crate::recovery;

impl Repairs<'_> {
    /// Removes the rows that cannot be read, or that refer to a missing row.
    pub(super) fn rows(&self) -> Result<Outcome, Error> {
        let mut by_table = BTreeMap::new();
        for (table, rows) in self.engine.record(Sync::Full, Catalog::remove_bad_rows)? {
            *by_table.entry(table).or_insert(0) += rows;
        }
        // What they described in `.state/txn` is an orphan now.
        recovery::recover(self.engine)?;
        recovery::sweep(self.engine)?;
        let removed: Vec<_> = by_table
            .iter()
            .map(|(table, rows)| format!("{rows} of {table}"))
            .collect();
        Ok(match removed.is_empty() {
            true => gone(),
            false => Outcome::Mended(format!("rows removed: {}", removed.join(", "))),
        })
    }

    /// Sets aside a foreign entry among the journal's own files.
    pub(super) fn stray(&self, dir: &str, name: &OsStr) -> Result<Outcome, Error> {
        let home = &self.engine.home;
        // A process that creates a new database holds it too.
        let _lock = self.engine.commit_lock(Mode::Exclusive, "repair", None)?;
        let dir = match dir {
            "" => home.state.clone(),
            dir => home.state.open_dir(dir)?,
        };
        if dir.stat(name)?.is_none() {
            return Ok(gone());
        }
        if lock::is_locked_within(&dir, name)? {
            return Ok(Outcome::Left("another process has locked it".to_owned()));
        }
        match home.set_aside(&dir, name, &name.to_string_lossy()) {
            // Another process removed it first.
            Err(_) if dir.stat(name)?.is_none() => Ok(gone()),
            Err(error @ Error::Disk(_)) => Ok(stays(&dir, name, &error)),
            kept => Ok(Outcome::Mended(format!("set aside as {}", kept?))),
        }
    }

    /// The result for a leftover that could not be deleted: recovery has just tried it again.
    pub(super) fn left(&self, path: &RelPath, advice: &str) -> Result<Outcome, Error> {
        let state = &self.engine.home.state;
        let dir = match path.parent() {
            Some(parent) => unless_gone(state.open_dir(parent.as_str()))?,
            None => Some(state.clone()),
        };
        let there = match dir {
            Some(dir) => dir.stat(path.name())?.is_some(),
            None => false,
        };
        Ok(match there {
            true => Outcome::Left(advice.to_owned()),
            false => Outcome::Mended("cleared away".to_owned()),
        })
    }

    /// Sets aside an entry next to a target that belongs to no transaction.
    pub(super) fn beside(&self, place: &Place) -> Result<Outcome, Error> {
        let home = &self.engine.home;
        let Parent::There(parent) = home.parent(place)? else {
            return Ok(gone());
        };
        let name = place.path.name();
        let Some(stat) = parent.stat(name)? else {
            return Ok(gone());
        };
        if lock::is_locked_within(&parent, name)? {
            return Ok(Outcome::Left("another process has locked it".to_owned()));
        }
        if stat.kind == Kind::Other {
            let text = "it is not a file, link or directory, and is on another filesystem: remove it by hand";
            return Ok(Outcome::Left(text.to_owned()));
        }
        let (keys, shown) = (&self.engine.key_material, home.shown(place));
        let set_aside = || {
            if !kept::remove_keys(keys, &shown, (&parent, name, &stat))? {
                parent.remove_tree(name)?;
                return Ok("deleted: private keys are not kept".to_owned());
            }
            // It is on another filesystem.
            let copied = home.copy_aside(&parent, name, name)?;
            Ok(format!("set aside as {}", copied.kept))
        };
        Ok(match set_aside() {
            Ok(text) => Outcome::Mended(text),
            Err(error @ Error::Disk(_)) => {
                let why = told(&parent, name.as_ref(), &error);
                Outcome::Left(format!(
                    "{why}; fix that and repair again, as root if needed"
                ))
            }
            Err(error) => return Err(error),
        })
    }

    /// Records that the retained content of a transaction is missing.
    pub(super) fn kept_missing(&self, id: TxnId) -> Result<Outcome, Error> {
        let Some(row) = self.engine.look(|catalog| catalog.txn(id))? else {
            return Ok(Outcome::Mended("forgotten meanwhile".to_owned()));
        };
        if self.engine.home.txns.stat(id.to_string())?.is_some() {
            return Ok(Outcome::Left("it exists again".to_owned()));
        }
        self.engine
            .record(Sync::Normal, |catalog| catalog.set_kept(row.row, None))?;
        Ok(Outcome::Mended("recorded as gone".to_owned()))
    }

    /// Sets aside the retained content of a transaction, so that nothing is restored from it.
    pub(super) fn kept_damaged(&self, id: TxnId) -> Result<Outcome, Error> {
        let Some(row) = self.engine.look(|catalog| catalog.txn(id))? else {
            return Ok(Outcome::Mended("forgotten meanwhile".to_owned()));
        };
        let Some(staging) = self.engine.home.claim_staging(id)? else {
            return Ok(Outcome::Left("another process has locked it".to_owned()));
        };
        if lock::is_locked_inside(&staging.dir)? {
            return Ok(Outcome::Left("another process has locked it".to_owned()));
        }
        // The row is changed first: the sweep deletes the rest of a directory that is not marked as retained.
        self.engine
            .record(Sync::Normal, |catalog| catalog.set_kept(row.row, None))?;
        let home = &self.engine.home;
        let kept = home.set_aside(&home.txns, id.to_string(), TXN)?;
        Ok(Outcome::Mended(format!("set aside as {kept}")))
    }
}

/// Why something cannot be moved, and the command that deletes it for the user of this process.
fn stays(dir: &Dir, name: &OsStr, error: &Error) -> Outcome {
    let obstacles = dir.obstacles(name, ambient::uid());
    let (why, top) = (told(dir, name, error), dir.shown(name));
    Outcome::Left(format!("{why}; `{}`", removal(&top, &obstacles)))
}

/// The system's error, and the obstacles.
fn told(dir: &Dir, name: &OsStr, error: &Error) -> String {
    let obstacles = dir.obstacles(name, disk::writer()).into_iter();
    let obstacles = obstacles.chain(dir.read_only());
    let told = obstacles.map(|obstacle| format!("; {obstacle}"));
    chain(error) + &told.collect::<String>()
}

fn gone() -> Outcome {
    Outcome::Mended("gone meanwhile".to_owned())
}
