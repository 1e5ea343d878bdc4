use super::check::{Check, Stop};
use super::finding::Subject;
use super::{Code, Finding};
use crate::catalog::{BadRow, Catalog, UNWRITABLE};
use crate::home::{DAMAGED_PREFIX, DATABASE, FOREIGN_JOURNAL, SHM, WAL, is_openable};

impl Check<'_> {
    /// Checks the pages, rows and manifests of the database, and the files next to it.
    pub(super) fn database(&mut self) -> Result<(), Stop> {
        let look = self.look;
        if look.ask(|catalog| catalog.is_older())? {
            self.tell(Finding::new(Code::DatabaseOlder, DATABASE))?;
        }
        for mend in look.ask(|catalog| Ok(catalog.mends().to_vec()))? {
            self.tell(Finding::new(Code::DatabaseSchema, DATABASE).expected(mend))?;
        }
        if look.home.stat(FOREIGN_JOURNAL)?.is_some() {
            self.tell(Finding::new(Code::DatabaseJournal, FOREIGN_JOURNAL))?;
        }
        if self.is_unwritable()? {
            self.tell(Finding::new(Code::DatabaseDamaged, DATABASE).actual(UNWRITABLE))?;
        }
        self.marks()?;
        if self.is_quick() {
            return Ok(());
        }
        let thorough = self.is_full();
        for line in look.ask(|catalog| catalog.check_pages(thorough))? {
            self.tell(Finding::new(Code::DatabaseDamaged, DATABASE).actual(line))?;
        }
        if thorough {
            for line in look.ask(|catalog| catalog.dangling_rows())? {
                self.tell(Finding::new(Code::RowDangling, DATABASE).actual(line))?;
            }
        }
        self.unreadable_rows()?;
        for BadRow {
            key, why, digest, ..
        } in look.ask(|catalog| catalog.bad_manifests())?
        {
            let finding = Finding::new(Code::ManifestDamaged, DATABASE);
            let finding = finding.about(Subject::Manifest(digest));
            self.tell(finding.expected(key).actual(why))?;
        }
        Ok(())
    }

    /// Whether SQLite refuses to write the database. It is asked only where opening the database for writing changes
    /// nothing: its companions are there, and no journal that would be replayed.
    fn is_unwritable(&self) -> Result<bool, Stop> {
        let home = self.look.home;
        let has = |name| Ok::<_, Stop>(home.stat(name)?.is_some());
        if !self.look.at_home || has(FOREIGN_JOURNAL)? || !has(WAL)? || !has(SHM)? {
            return Ok(false);
        }
        let path = home.real_path()?.join(DATABASE);
        Ok(is_openable(&path) && Catalog::is_unwritable(&path))
    }

    /// Reports rows with invalid values.
    pub(super) fn unreadable_rows(&mut self) -> Result<(), Stop> {
        let bad = self.look.ask(|catalog| catalog.bad_rows())?;
        for BadRow {
            table, key, why, ..
        } in bad
        {
            let actual = format!("table {table}, row {key}: {why}");
            self.tell(Finding::new(Code::RowUnreadable, DATABASE).actual(actual))?;
        }
        Ok(())
    }

    /// Reports whether an earlier statement found the database damaged.
    fn marks(&mut self) -> Result<(), Stop> {
        let (Some(state), Some(database)) = (&self.look.state, self.look.home.stat(DATABASE)?)
        else {
            return Ok(());
        };
        let (ino, born) = (database.identity.ino, database.identity.born.as_nanos());
        if state
            .stat(format!("{DAMAGED_PREFIX}{ino}-{born}"))?
            .is_some()
        {
            let finding = Finding::new(Code::DatabaseDamaged, DATABASE);
            self.tell(finding.actual("a statement found it damaged"))?;
        }
        Ok(())
    }
}
