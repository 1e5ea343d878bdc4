//! Files next to the database that document runs: logs, and directories of transactions. Read-only.

use std::io::{Read, Seek, SeekFrom};

use camino::{Utf8Path, Utf8PathBuf};

use super::inspect::Inspection;
use crate::disk::{Dir, DiskError, unless_gone};
use crate::error::Error;
use crate::model::{RunId, Timestamp, TxnId};

/// The directory of logs, in the home.
const LOGS: &str = ".state/log";
/// The staging directories, in the home.
const TXNS: &str = ".state/txn";

/// The end of a log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogEnd {
    /// The path below the home.
    pub path: String,
    /// Its last bytes.
    pub bytes: Vec<u8>,
    /// Whether the log has more before.
    pub cut: bool,
    /// The time of the last write.
    pub written_at: Timestamp,
}

impl Inspection {
    /// Whether the project is present, and not only its database and logs.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.look().home.open_dir(TXNS).is_ok()
    }

    /// Whether live runs can be determined.
    #[must_use]
    pub fn tells_who_lives(&self) -> bool {
        self.look().runs.is_some()
    }

    /// The ends of the logs of a run, up to `bytes_max` each; none if it has no logs, or they were deleted. The text
    /// of an unreadable log is the error.
    ///
    /// # Errors
    /// [`Error::Disk`] when their directory cannot be read.
    pub fn log_ends(&self, run: RunId, bytes_max: u64) -> Result<Vec<LogEnd>, Error> {
        let Some(dir) = unless_gone(self.look().home.open_dir(LOGS))? else {
            return Ok(Vec::new());
        };
        let mut ends = Vec::new();
        for suffix in ["", ".out", ".err"] {
            let name = format!("{run}{suffix}");
            match log_end(&dir, &name, bytes_max) {
                Ok(end) => ends.extend(end),
                // An unreadable log does not hide the others.
                Err(error) => ends.push(LogEnd::unreadable(&name, &error)),
            }
        }
        Ok(ends)
    }

    /// Writes the database into one file, which is empty or missing: including its log, and without deleted data.
    /// Other processes may write concurrently.
    ///
    /// # Errors
    /// [`Error::Catalog`] when it cannot be read or written.
    pub fn pack_database(&self, to: &Utf8Path) -> Result<(), Error> {
        self.look().ask(|catalog| catalog.pack_into(to.as_str()))
    }

    /// The directory of a transaction, if it exists, with staged or retained content.
    ///
    /// # Errors
    /// [`Error::Disk`] when it cannot be read.
    pub fn left_by(&self, txn: TxnId) -> Result<Option<Utf8PathBuf>, Error> {
        let name = format!("{TXNS}/{txn}");
        let there = unless_gone(self.look().home.open_dir(&name))?;
        Ok(there.map(|_| Utf8PathBuf::from(name)))
    }
}

impl LogEnd {
    fn unreadable(name: &str, error: &Error) -> Self {
        let why = crate::error::chain(error);
        Self {
            path: format!("{LOGS}/{name}"),
            bytes: format!("[tljournal: {why}]\n").into_bytes(),
            cut: false,
            written_at: Timestamp::default(),
        }
    }
}

fn log_end(dir: &Dir, name: &str, bytes_max: u64) -> Result<Option<LogEnd>, Error> {
    let Some(mut file) = unless_gone(dir.open_own_file(name))? else {
        return Ok(None);
    };
    let stat = dir.stat_open(&file)?;
    let from = stat.size.saturating_sub(bytes_max);
    let failed = |source| DiskError::new("read", dir.path().join(name).as_str(), source);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    file.take(bytes_max)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(LogEnd {
        path: format!("{LOGS}/{name}"),
        bytes,
        cut: from > 0,
        written_at: stat.mtime,
    }))
}
