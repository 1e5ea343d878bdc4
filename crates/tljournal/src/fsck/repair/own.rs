use std::ffi::OsStr;

use super::{Outcome, Repairs};
use crate::ambient;
use crate::catalog::Sync;
use crate::disk::{Dir, removal, unless_gone};
use crate::error::{Error, chain};
use crate::home::{Parent, TXN};
use crate::kept;
use crate::lock::{self, Mode};
use crate::model::{Kind, Place, RelPath, TxnId};

impl Repairs<'_> {
    /// Sets aside what does not belong among the journal's own files.
    pub(super) fn stray(&self, dir: &str, name: &OsStr) -> Result<Outcome, Error> {
        let home = &self.engine.home;
        // Whoever makes a database anew has it too.
        let _lock = self.engine.commit_lock(Mode::Exclusive, "repair", None)?;
        let dir = match dir {
            "" => home.state.clone(),
            dir => home.state.open_dir(dir)?,
        };
        if dir.stat(name)?.is_none() {
            return Ok(gone());
        }
        if lock::is_locked_within(&dir, name)? {
            return Ok(Outcome::Left("somebody has locked it".to_owned()));
        }
        match home.set_aside(&dir, name, &name.to_string_lossy()) {
            // Somebody else was first.
            Err(_) if dir.stat(name)?.is_none() => Ok(gone()),
            Err(error @ Error::Disk(_)) => Ok(stays(&dir, name, &error)),
            kept => Ok(Outcome::Mended(format!("set aside as {}", kept?))),
        }
    }

    /// Says what became of something that could not be cleared away: the recovery has just tried it again.
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

    /// Sets aside what was staged beside a target, and that nobody accounts for.
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
            return Ok(Outcome::Left("somebody has locked it".to_owned()));
        }
        if stat.kind == Kind::Other {
            let text = "it is neither file, link nor directory, and lies on another filesystem: remove it by hand";
            return Ok(Outcome::Left(text.to_owned()));
        }
        let (keys, shown) = (&self.engine.key_material, home.shown(place));
        let set_aside = || {
            if !kept::remove_keys(keys, &shown, (&parent, name, &stat))? {
                parent.remove_tree(name)?;
                return Ok("deleted: private keys are not kept".to_owned());
            }
            // It lies on another filesystem.
            let copied = home.copy_aside(&parent, name, name)?;
            Ok(format!("set aside as {}", copied.kept))
        };
        Ok(match set_aside() {
            Ok(text) => Outcome::Mended(text),
            Err(error @ Error::Disk(_)) => {
                let why = told(&parent, name.as_ref(), &error);
                Outcome::Left(format!(
                    "{why}; mend that and repair again, as root if need be"
                ))
            }
            Err(error) => return Err(error),
        })
    }

    /// Records that what was kept of a transaction is gone.
    pub(super) fn kept_missing(&self, id: TxnId) -> Result<Outcome, Error> {
        let Some(row) = self.engine.look(|catalog| catalog.txn(id))? else {
            return Ok(Outcome::Mended("forgotten meanwhile".to_owned()));
        };
        if self.engine.home.txns.stat(id.to_string())?.is_some() {
            return Ok(Outcome::Left("it is there again".to_owned()));
        }
        self.engine
            .record(Sync::Normal, |catalog| catalog.set_kept(row.row, None))?;
        Ok(Outcome::Mended("recorded as gone".to_owned()))
    }

    /// Sets aside what is kept of a transaction, so that nothing is restored from it.
    pub(super) fn kept_damaged(&self, id: TxnId) -> Result<Outcome, Error> {
        let Some(row) = self.engine.look(|catalog| catalog.txn(id))? else {
            return Ok(Outcome::Mended("forgotten meanwhile".to_owned()));
        };
        let Some(staging) = self.engine.home.claim_staging(id)? else {
            return Ok(Outcome::Left("somebody has locked it".to_owned()));
        };
        if lock::is_locked_inside(&staging.dir)? {
            return Ok(Outcome::Left("somebody has locked it".to_owned()));
        }
        // The row goes first: what is left of a directory whose row does not keep it is swept.
        self.engine
            .record(Sync::Normal, |catalog| catalog.set_kept(row.row, None))?;
        let home = &self.engine.home;
        let kept = home.set_aside(&home.txns, id.to_string(), TXN)?;
        Ok(Outcome::Mended(format!("set aside as {kept}")))
    }
}

/// Says why something cannot be moved, and what deletes it.
fn stays(dir: &Dir, name: &OsStr, error: &Error) -> Outcome {
    let obstacles = dir.obstacles(name, ambient::uid());
    let (why, top) = (told(dir, name, error), dir.shown(name));
    Outcome::Left(format!("{why}; `{}`", removal(&top, &obstacles)))
}

/// What the system said, and what is in the way.
fn told(dir: &Dir, name: &OsStr, error: &Error) -> String {
    let obstacles = dir.obstacles(name, ambient::uid()).into_iter();
    let obstacles = obstacles.chain(dir.read_only());
    let told = obstacles.map(|obstacle| format!("; {obstacle}"));
    chain(error) + &told.collect::<String>()
}

fn gone() -> Outcome {
    Outcome::Mended("gone meanwhile".to_owned())
}
