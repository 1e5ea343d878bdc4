use crate::catalog::{
    Catalog, CatalogError, ChangeRecord, EntryRow, EventFilter, EventRecord, RunFilter, RunRecord,
    TxnFilter, TxnRecord,
};
use crate::engine::Engine;
use crate::error::{Error, UsageError};
use crate::kept::{self, Gc};
use crate::look::Look;
use crate::model::{Digest, Image, Kind, Manifest, RelPath, Retention, RunId, Timestamp, TxnId};
use crate::undo::{self, Undo, UndoOptions};
use crate::voucher::{self, Voucher};

/// The history, and the recorded state of paths.
///
/// Rows are fetched before they are returned, so printing them does not block writers.
#[derive(Debug)]
pub struct History<'a> {
    pub(crate) look: Look<'a>,
}

/// The recorded state of a path.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EntryView {
    /// The kind of the entry.
    pub kind: Kind,
    /// Its image when it was recorded.
    pub image: Image,
    /// Digest of a file's content, or of a tree's manifest.
    pub digest: Option<Digest>,
    /// Where a symbolic link points.
    pub target: Option<String>,
    /// The number of the transaction that put it there.
    pub txn: i64,
    /// Whether the tree may not be synced yet (a rebuildable tree).
    pub unsettled: bool,
}

/// A summary of the journal.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Status {
    /// The number of the latest transaction.
    pub latest: i64,
    /// Transactions that are staging, of all processes.
    pub staging: Vec<TxnId>,
    /// Transactions past their commit point that are neither applied nor rolled back.
    pub unfinished: Vec<TxnId>,
    /// Transactions that are stuck.
    pub stuck: Vec<TxnId>,
    /// Runs without a recorded end.
    pub open_runs: u32,
    /// Trees that may not be synced yet.
    pub unsettled_trees: u32,
    /// The end of the latest transaction.
    pub last_end: Option<Timestamp>,
    /// Whether replaced paths are never missing: the home's filesystem can exchange two entries.
    pub exchanges: bool,
    /// Whether the home's filesystem has birth times, which distinguish inodes with the same number.
    pub birth_times: bool,
}

impl<'a> History<'a> {
    pub(crate) fn of(engine: &'a Engine) -> Self {
        Self::new(Look::of(engine))
    }

    pub(super) fn new(look: Look<'a>) -> Self {
        Self { look }
    }

    /// Transactions, the latest first.
    ///
    /// # Errors
    /// [`Error::Catalog`] or [`Error::Damaged`] when the catalog cannot be read; so for all of these.
    pub fn transactions(&self, filter: &TxnFilter) -> Result<Vec<TxnRecord>, Error> {
        let path = filter.path.as_ref().map(|path| self.look.place(path));
        let path = path.transpose()?;
        self.look
            .ask(|catalog| catalog.history(filter, path.as_ref()))
    }

    /// Runs, the latest first.
    ///
    /// # Errors
    /// As for [`History::transactions`].
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>, Error> {
        self.look.ask(|catalog| catalog.runs(filter))
    }

    /// The run with this number, id, or unique beginning of an id of at least four digits.
    ///
    /// # Errors
    /// As for [`History::transaction`].
    pub fn run(&self, name: &str) -> Result<Option<RunRecord>, Error> {
        self.named(name, Catalog::run_numbered, Catalog::run_numbers_of)
    }

    /// How many transactions belong to the run with this number.
    ///
    /// # Errors
    /// As for [`History::transactions`].
    pub fn count_transactions(&self, run: i64) -> Result<u64, Error> {
        self.look.ask(|catalog| catalog.count_txns_of(run))
    }

    /// The transaction with this number, id, or unique beginning of an id of at least four digits.
    ///
    /// # Errors
    /// [`Error::Usage`] when several ids begin so.
    pub fn transaction(&self, name: &str) -> Result<Option<TxnRecord>, Error> {
        self.named(name, Catalog::txn_record, Catalog::numbers_of)
    }

    /// Queries by number, or by the beginning of an id.
    fn named<T>(
        &self,
        name: &str,
        numbered: impl Fn(&Catalog, i64) -> Result<Option<T>, CatalogError>,
        numbers_of: impl Fn(&Catalog, &str) -> Result<Vec<i64>, CatalogError>,
    ) -> Result<Option<T>, Error> {
        if let Ok(number) = name.parse::<i64>()
            && let Some(found) = self.look.ask(|catalog| numbered(catalog, number))?
        {
            return Ok(Some(found));
        }
        let hex = name
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if name.len() < 4 || !hex {
            return Ok(None);
        }
        let name = name.to_ascii_lowercase();
        match self.look.ask(|catalog| numbers_of(catalog, &name))?[..] {
            [] => Ok(None),
            [number] => self.look.ask(|catalog| numbered(catalog, number)),
            _ => Err(UsageError::Ambiguous { name }.into()),
        }
    }

    /// The changes of the transaction with this number.
    ///
    /// # Errors
    /// As for [`History::transactions`].
    pub fn changes(&self, number: i64) -> Result<Vec<ChangeRecord>, Error> {
        self.look.ask(|catalog| catalog.change_records(number))
    }

    /// Events, the latest first.
    ///
    /// # Errors
    /// As for [`History::transactions`].
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<EventRecord>, Error> {
        self.look.ask(|catalog| catalog.events(filter))
    }

    /// Whether a run is alive, as far as that can be determined here.
    ///
    /// # Errors
    /// [`Error::Disk`] when the locks cannot be read.
    pub fn is_alive(&self, run: RunId) -> Result<bool, Error> {
        Ok(self.look.is_alive(run)?)
    }

    /// The recorded state of a path; `None` if the journal put nothing there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a bad path, and as for [`History::transactions`].
    pub fn entry(&self, path: &str) -> Result<Option<EntryView>, Error> {
        let place = self.look.place_named(path)?;
        Ok(self.look.ask(|catalog| catalog.entry(&place))?.map(view))
    }

    /// The manifest of the tree that was installed at a path; `None` if none was.
    ///
    /// # Errors
    /// As for [`History::entry`].
    pub fn manifest(&self, path: &str) -> Result<Option<Manifest>, Error> {
        match self.entry(path)? {
            Some(EntryView {
                kind: Kind::Dir,
                digest: Some(digest),
                ..
            }) => self.look.manifest(&digest),
            _ => Ok(None),
        }
    }

    /// The claims of all tags, including revoked ones and those of killed runs that are not cleared yet.
    ///
    /// # Errors
    /// As for [`History::transactions`].
    pub fn vouchers(&self) -> Result<Vec<Voucher>, Error> {
        let (shown, alive) = (|place: &_| self.look.shown(place), |run| self.is_alive(run));
        let process = |run| self.look.ask(|catalog| catalog.run_record(run));
        let rows = self.look.ask(|catalog| catalog.all_vouchers())?;
        rows.into_iter()
            .map(|row| voucher::view(row, shown, alive, process))
            .collect()
    }

    /// The plan of [`Journal::undo`](crate::Journal::undo). Changes nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] for a transaction that is not applied, [`Error::Disk`] when something cannot be read,
    /// and as for [`History::transactions`].
    pub fn plan_undo(&self, txn: &TxnRecord, options: &UndoOptions) -> Result<Undo, Error> {
        undo::plan_undo(self, txn, options)
    }

    /// The plan of [`Journal::restore`](crate::Journal::restore). Changes nothing.
    ///
    /// # Errors
    /// As for [`History::plan_undo`].
    pub fn plan_restore(
        &self,
        path: &RelPath,
        txn: &TxnRecord,
        options: &UndoOptions,
    ) -> Result<Undo, Error> {
        undo::plan_restore(self, path.clone(), txn, options)
    }

    /// The plan of [`Journal::gc`](crate::Journal::gc). Changes nothing.
    ///
    /// # Errors
    /// [`Error::Disk`] when something cannot be read, and as for [`History::transactions`].
    pub fn plan_gc(&self, retention: &Retention) -> Result<Gc, Error> {
        kept::plan(&self.look, retention)
    }

    /// The summary of the journal.
    ///
    /// # Errors
    /// As for [`History::transactions`].
    pub fn status(&self) -> Result<Status, Error> {
        self.look.ask(|catalog| {
            let (unfinished, stuck): (Vec<_>, Vec<_>) = catalog
                .unfinished()?
                .into_iter()
                .partition(|row| row.state.is_unfinished());
            let ids =
                |rows: Vec<crate::catalog::TxnRow>| rows.into_iter().map(|row| row.id).collect();
            let latest = catalog.history(&TxnFilter::latest(1), None)?;
            let home = catalog.home()?;
            Ok(Status {
                latest: latest.first().map_or(0, |txn| txn.number),
                staging: ids(catalog.staging()?),
                unfinished: ids(unfinished),
                stuck: ids(stuck),
                open_runs: catalog.open_runs()?.len() as u32,
                unsettled_trees: catalog.unsettled()?.len() as u32,
                last_end: latest.first().and_then(|txn| txn.ended_at),
                exchanges: home.is_none_or(|home| home.features.exchange),
                birth_times: home.is_none_or(|home| home.features.birth_times),
            })
        })
    }
}

pub(super) fn entry_view(engine: &Engine, path: &str) -> Result<Option<EntryView>, Error> {
    History::of(engine).entry(path)
}

fn view(entry: EntryRow) -> EntryView {
    EntryView {
        kind: entry.image.kind,
        image: entry.image,
        digest: entry.digest,
        target: entry.target,
        txn: entry.txn,
        unsettled: entry.unsettled.is_some(),
    }
}
