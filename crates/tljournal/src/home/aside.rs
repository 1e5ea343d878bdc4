use super::Home;
use super::layout::{DATABASE, FOREIGN_JOURNAL, SHM, WAL};
use crate::ambient;
use crate::disk::Dir;
use crate::error::Error;
use crate::lock;

/// How many things are kept aside; the oldest goes first.
const ASIDE_MAX: usize = 8;
/// How much of the old name the new one repeats, so that it is not too long for any filesystem.
const ASIDE_NAME_CHARS_MAX: usize = 40;

impl Home {
    /// Moves an entry out of the way as evidence, and returns where it is now. The oldest evidence goes
    /// when there is too much.
    pub(crate) fn set_aside(&self, dir: &Dir, name: &str, what: &str) -> Result<String, Error> {
        // The name begins with the time, so that names sort by age.
        let what: String = what.chars().take(ASIDE_NAME_CHARS_MAX).collect();
        let aside = format!("{}-{what}", ambient::fresh_txn_id());
        dir.rename_new(name, &self.aside, &aside)?;
        self.thin_aside()?;
        Ok(self.aside.path().join(&aside).to_string())
    }

    /// Moves the database with its companions into a directory of evidence, and returns where that is.
    /// The caller holds the commit lock and `lock/db`.
    pub(crate) fn set_database_aside(&self) -> Result<String, Error> {
        let aside = format!("{}-database", ambient::fresh_txn_id());
        self.aside.make_dir(&aside, 0o755)?;
        let dir = self.aside.open_dir(&aside)?;
        // The database goes last: as long as it has its name, nobody begins a new one.
        for name in [FOREIGN_JOURNAL, WAL, SHM, DATABASE] {
            if self.dir.stat(name)?.is_some() {
                self.dir.rename_new(name, &dir, name)?;
            }
        }
        self.thin_aside()?;
        Ok(dir.path().to_string())
    }

    fn thin_aside(&self) -> Result<(), Error> {
        let mut names = self.aside.names()?;
        names.sort();
        let surplus = names.len().saturating_sub(ASIDE_MAX);
        for name in &names[..surplus] {
            if !lock::is_locked_within(&self.aside, name)? {
                self.aside.remove_tree(name)?;
            }
        }
        Ok(())
    }
}
