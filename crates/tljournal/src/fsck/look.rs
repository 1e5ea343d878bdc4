use std::fs::File;
use std::time::Duration;

use rustix::io::Errno;

use super::FsckWatch;
use crate::catalog::{RunRecord, TxnRecord};
use crate::error::Error;
use crate::home::{LOCK, STATE};
use crate::lock::{self, Awaited, Mode, Wait};
use crate::look::Look;
use crate::model::RunId;

/// While this exists, no changes are being applied.
pub(super) struct Moment {
    _lock: Option<File>,
}

impl Look<'_> {
    /// The path of one of the journal's own files, for display.
    pub(super) fn shown_own(&self, dir: &str, name: &str) -> String {
        let path = match dir.is_empty() {
            true => self.home.path().join(STATE).join(name),
            false => self.home.path().join(STATE).join(dir).join(name),
        };
        let below = path.strip_prefix(self.root.path());
        below.unwrap_or(&path).to_string()
    }

    /// The record of the transaction with this number; `None` also if its row cannot be read.
    pub(super) fn txn(&self, number: i64) -> Option<Box<TxnRecord>> {
        let record = self.ask(|catalog| catalog.txn_record(number));
        record.ok().flatten().map(Box::new)
    }

    /// The record of the run with this id.
    pub(super) fn run(&self, id: RunId) -> Option<Box<RunRecord>> {
        let record = self.ask(|catalog| catalog.run_record(id));
        record.ok().flatten().map(Box::new)
    }

    /// Waits until no changes are being applied, and prevents new ones.
    ///
    /// # Errors
    /// [`Error::Lock`] when that took too long, or the check was cancelled.
    pub(super) fn moment(&self, watch: &FsckWatch, limit: Duration) -> Result<Moment, Error> {
        let open = || {
            self.own_dir(LOCK)?
                .map(|dir| dir.open_file("commit"))
                .transpose()
        };
        let file = match open() {
            Ok(Some(file)) if self.at_home => file,
            Ok(_) => return Ok(Moment { _lock: None }),
            Err(error) if error.is(Errno::NOENT) => return Ok(Moment { _lock: None }),
            Err(error) => return Err(error.into()),
        };
        let ino = self.home.stat_open(&file)?.identity.ino;
        let awaited = Awaited {
            name: "commit",
            path: self.home.path().join(STATE).join(LOCK).join("commit"),
            mode: Mode::Shared,
            holder: &|| lock::of_inode(ino),
        };
        let wait = Wait {
            limit: Some(limit),
            gives_up: Some(&|| watch.is_stopped()),
            ..Wait::default()
        };
        let (file, _) = lock::in_line(&awaited, Vec::new(), file, wait)?;
        Ok(Moment { _lock: Some(file) })
    }
}
