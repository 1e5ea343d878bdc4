use super::check::{Check, Stop};
use super::finding::Subject;
use super::staging::is_closed_by_another;
use super::{Code, Finding};
use crate::catalog::{KeptRow, Written};
use crate::disk::Dir;
use crate::disk::unless_gone;
use crate::error::Error;
use crate::home::{TXN, spot_name};
use crate::lock;
use crate::model::{Change, Entry, EntryKind, Kind, Spot};
use crate::tree::{self, Depth, Reader};

impl Check<'_> {
    /// Checks that retained content exists and, if all content is read, that it matches its record.
    pub(super) fn kept(&mut self) -> Result<(), Stop> {
        let Some(txns) = self.look.own_dir(TXN)? else {
            return Ok(());
        };
        for row in self.look.ask(|catalog| catalog.kept())? {
            self.go_on()?;
            let path = self.shown_kept(&row, None);
            self.part(&path, |check| check.kept_of(&txns, &row))?;
        }
        Ok(())
    }

    fn kept_of(&mut self, txns: &Dir, row: &KeptRow) -> Result<(), Stop> {
        if is_closed_by_another(txns, row.id)? {
            return Ok(());
        }
        match unless_gone(txns.open_dir(&row.id.to_string()))? {
            None if self.is_kept(row)? => {
                let finding = Finding::new(Code::KeptMissing, self.shown_kept(row, None));
                self.tell(self.of(finding, row))
            }
            Some(dir) if self.is_full() => self.kept_content(&dir, row),
            _ => Ok(()),
        }
    }

    /// Reads the retained content of a transaction, locked shared so that it is not deleted meanwhile.
    fn kept_content(&mut self, dir: &Dir, row: &KeptRow) -> Result<(), Stop> {
        let free = lock::try_shared(dir);
        // A process with an exclusive lock is about to delete it.
        if !free.is_ok_and(|free| free) || !self.is_kept(row)? {
            return Ok(());
        }
        let changes = self.look.ask(|catalog| catalog.changes(row.row))?;
        for change in changes.unwrap_or_default() {
            let name = spot_name(&Spot::Home, row.id, change.n);
            if change.spot != Spot::Home || dir.stat(&name)?.is_none() {
                continue;
            }
            let written = self
                .look
                .ask(|catalog| catalog.written_before(&change.place, row.id))?;
            let same = |written: &Written| {
                let identity =
                    |image: Option<crate::model::Image>| image.map(|image| image.identity);
                identity(written.image) == identity(change.pre)
            };
            let Some(written) = written.filter(same) else {
                continue;
            };
            if let Some(actual) = self.kept_differs(dir, &name, &change, &written)? {
                let path = self.shown_kept(row, Some(&name));
                let finding = Finding::new(Code::KeptDamaged, path)
                    .expected(self.look.shown(&change.place))
                    .actual(actual);
                self.tell(self.of(finding, row))?;
            }
        }
        Ok(())
    }

    /// How replaced content differs from its record, if it does.
    fn kept_differs(
        &mut self,
        dir: &Dir,
        name: &str,
        change: &Change,
        written: &Written,
    ) -> Result<Option<String>, Error> {
        let (Some(digest), Some(pre)) = (written.digest, change.pre) else {
            return Ok(None);
        };
        let tick = |bytes| self.options.watch.tick(bytes);
        let watch = &self.options.watch;
        match pre.kind {
            Kind::File => {
                let (size, same_as) = (pre.size, None);
                let entry = Entry {
                    path: name.to_owned(),
                    mode: pre.mode,
                    mtime: pre.mtime,
                    kind: EntryKind::File {
                        size,
                        digest,
                        same_as,
                    },
                };
                watch.expect(size);
                let found = Reader::default().compare(dir, &entry, &tick)?;
                Ok(found.map(|what| what.to_string()))
            }
            Kind::Dir => {
                // An unreadable manifest was reported with the database.
                let manifest = self.look.manifest(&digest);
                let Some(manifest) = manifest.ok().flatten() else {
                    return Ok(None);
                };
                watch.expect(manifest.bytes());
                let root = dir.open_dir(name)?;
                let verdict = tree::verify(&root, &manifest, None, Depth::Full, &tick)?;
                // Its root may have been made writable to be moved.
                let mut inside = verdict.differences.into_iter();
                let first = inside.find(|difference| !difference.is_root());
                Ok(first.map(|difference| difference.to_string()))
            }
            Kind::Link | Kind::Other => Ok(None),
        }
    }

    fn is_kept(&self, row: &KeptRow) -> Result<bool, Error> {
        self.look.ask(|catalog| catalog.is_kept(row.row))
    }

    fn shown_kept(&self, row: &KeptRow, name: Option<&str>) -> String {
        let dir = format!("{TXN}/{}", row.id);
        match name {
            Some(name) => self.look.shown_own(&dir, name),
            None => self.look.shown_own(TXN, &row.id.to_string()),
        }
    }

    fn of(&self, finding: Finding, row: &KeptRow) -> Finding {
        finding
            .written_by(self.look.txn(row.row))
            .about(Subject::Txn(row.id))
    }
}
