use std::collections::BTreeMap;

use super::check::{Check, Stop};
use super::finding::Subject;
use super::{Code, Finding};
use crate::ambient;
use crate::disk::{Dir, removal};
use crate::home::{STAGED_PATHS, TXN};
use crate::model::{RelPath, TxnId};

/// The advice if there is no single command that deletes it.
const MEND: &str = "fix the reported error, then run `tljournal fsck --repair`, as root if needed: it copies what is \
                    worth keeping and deletes the rest";

impl Check<'_> {
    /// Reports leftovers that could not be deleted and still exist.
    pub(super) fn leftovers(&mut self) -> Result<(), Stop> {
        let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in self.look.ask(|catalog| catalog.leftovers())? {
            let of_path = reasons.entry(row.path).or_default();
            of_path.push(row.reason);
        }
        for (path, reasons) in reasons {
            let Ok(path) = RelPath::new(&path) else {
                continue;
            };
            let shown = self.look.shown_own("", path.as_str());
            self.part(&shown, |check| check.left_behind(&path, &reasons))?;
        }
        Ok(())
    }

    fn left_behind(&mut self, path: &RelPath, reasons: &[String]) -> Result<(), Stop> {
        let look = self.look;
        let (Some(parent), name) = (path.parent(), path.name()) else {
            return Ok(());
        };
        let Some(dir) = look.own_dir(parent.as_str())? else {
            return Ok(());
        };
        if dir.stat(name)?.is_none() {
            return Ok(());
        }
        let id = name.parse::<TxnId>().ok();
        let id = id.filter(|_| parent.as_str() == TXN);
        let advice = match id.is_some() && is_empty(&dir, name) {
            true => MEND.to_owned(),
            false => {
                // The command is for the user of this process, regardless of which user tried before.
                let mut obstacles = dir.obstacles(name.as_ref(), ambient::uid());
                obstacles.extend(dir.read_only());
                format!("`{}`", removal(&dir.path().join(name), &obstacles))
            }
        };
        let row = match id {
            Some(id) => look.ask(|catalog| catalog.txn(id))?,
            None => None,
        };
        let shown = look.shown_own("", path.as_str());
        let mut finding = Finding::new(Code::LeftBehind, shown)
            .actual(reasons.join("; "))
            .written_by(row.and_then(|row| look.txn(row.row)))
            .about(Subject::Left(path.clone()));
        finding.advice = advice;
        self.tell(finding)
    }

    /// Whether something is recorded as a leftover that could not be deleted.
    pub(super) fn is_left_behind(&self, path: &str) -> Result<bool, Stop> {
        let rows = self.look.ask(|catalog| catalog.leftovers())?;
        Ok(rows.iter().any(|row| row.path == path))
    }
}

/// Whether the directory of a transaction is empty: then the leftover is next to its target.
fn is_empty(txns: &Dir, name: &str) -> bool {
    let names = txns.open_dir(name).and_then(|dir| dir.names());
    names.is_ok_and(|names| names.iter().all(|name| name == STAGED_PATHS))
}
