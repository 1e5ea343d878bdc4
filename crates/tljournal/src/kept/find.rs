use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::io::Errno;

use crate::catalog::Written;
use crate::disk::{Dir, DiskError};
use crate::error::Error;
use crate::home::{Staging, TXN, spot_name};
use crate::lock::Wait;
use crate::look::Look;
use crate::model::{Attributes, Change, Digest, Image, Kind, Place, Spot, Stat, TxnId, TxnState};

/// Retained content, with a shared lock that prevents its deletion.
#[derive(Debug)]
#[must_use = "the content may be deleted when this is dropped"]
pub(crate) struct Kept {
    /// The transaction that replaced it.
    pub(crate) txn: TxnId,
    pub(crate) stat: Stat,
    /// The record made when it was installed; `None` if it was the work of another program, or the rows were deleted.
    pub(crate) recorded: Option<Written>,
    pub(crate) name: String,
    staging: Arc<Staging>,
}

impl Kept {
    /// The attributes of an entry that is not a tree.
    pub(crate) fn attributes(&self) -> Result<Attributes, Error> {
        Ok(self.dir().attributes(&self.name)?)
    }

    /// The directory it is in.
    pub(crate) fn dir(&self) -> &Dir {
        &self.staging.dir
    }

    /// Opens the file, if it is still the one that was found under this name.
    pub(crate) fn open(&self) -> Result<File, DiskError> {
        let file = self.dir().open_file(&self.name)?;
        self.check_same(&self.dir().stat_open(&file)?)?;
        Ok(file)
    }

    /// Opens the directory, if it is still the one that was found under this name.
    pub(crate) fn open_dir(&self) -> Result<Dir, DiskError> {
        let dir = self.dir().open_dir(&self.name)?;
        self.check_same(&dir.own_stat()?)?;
        Ok(dir)
    }

    fn check_same(&self, opened: &Stat) -> Result<(), DiskError> {
        match opened.identity == self.stat.identity {
            true => Ok(()),
            false => {
                let path = self.dir().path().join(&self.name);
                Err(DiskError::new("open", path.as_str(), Errno::AGAIN))
            }
        }
    }
}

/// The content that a transaction replaced or removed at a place, if it is still retained.
pub(crate) fn before(look: &Look<'_>, txn: i64, place: &Place) -> Result<Option<Kept>, Error> {
    let Some(record) = look.ask(|catalog| catalog.txn_record(txn))? else {
        return Ok(None);
    };
    // The content that a rebuildable tree replaced exists, and is marked as retained when that tree is on the medium.
    let is_there = || look.ask(|catalog| catalog.is_unsettled(txn));
    if record.state != TxnState::Applied || record.kept.is_none() && !is_there()? {
        return Ok(None);
    }
    let changes = look.ask(|catalog| catalog.changes(txn))?;
    let change = changes
        .unwrap_or_default()
        .into_iter()
        .find(|change| change.place == *place);
    match change {
        Some(change) => held(look, record.id, &change),
        None => Ok(None),
    }
}

/// An index by digest of all retained content with a record, built once for many searches.
pub(crate) struct Index {
    known: Vec<Known>,
    by_digest: HashMap<(Kind, Digest), Vec<usize>>,
    /// The directories that are locked now: each is opened once for all its content.
    held: Mutex<HashMap<TxnId, Weak<Staging>>>,
}

/// Content that a transaction replaced and retains.
pub(crate) struct Known {
    pub(crate) digest: Digest,
    kind: Kind,
    txn: TxnId,
    change: Change,
    recorded: Written,
}

impl Index {
    /// Reads the records of retained content. Rows that cannot be read are skipped.
    pub(crate) fn read(look: &Look<'_>) -> Result<Self, Error> {
        let (mut known, look) = (Vec::new(), &look.of_the_past());
        for (number, txn) in look.ask(|catalog| catalog.kept_txns())?.into_iter().rev() {
            match known_of(look, number, txn) {
                Ok(found) => known.extend(found),
                Err(error) if error.is_unreadable_row() => {
                    tracing::warn!(number, %error, "failed to read what a transaction retains");
                }
                Err(error) => return Err(error),
            }
        }
        let mut by_digest: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, known) in known.iter().enumerate() {
            by_digest
                .entry((known.kind, known.digest))
                .or_default()
                .push(at);
        }
        let held = Mutex::default();
        Ok(Self {
            known,
            by_digest,
            held,
        })
    }

    /// The content with this digest, latest first.
    pub(crate) fn with_digest(&self, kind: Kind, digest: &Digest) -> impl Iterator<Item = &Known> {
        let found = self.by_digest.get(&(kind, *digest));
        found.into_iter().flatten().map(|at| &self.known[*at])
    }

    /// All trees, latest first.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &Known> {
        self.known.iter().filter(|known| known.kind == Kind::Dir)
    }

    /// Locks retained content shared, if it still exists.
    pub(crate) fn hold(&self, look: &Look<'_>, known: &Known) -> Result<Option<Kept>, Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let staging = match held.get(&known.txn).and_then(Weak::upgrade) {
            Some(staging) => staging,
            None => {
                let Some(staging) = share(look, known.txn)?.map(Arc::new) else {
                    return Ok(None);
                };
                held.insert(known.txn, Arc::downgrade(&staging));
                staging
            }
        };
        drop(held);
        let recorded = Some(known.recorded.clone());
        held_in(staging, known.txn, &known.change, || Ok(recorded))
    }
}

fn known_of(look: &Look<'_>, number: i64, txn: TxnId) -> Result<Vec<Known>, Error> {
    let mut known = Vec::new();
    let changes = look.ask(|catalog| catalog.changes(number))?;
    for change in changes.unwrap_or_default() {
        let Some(recorded) = recorded(look, txn, &change)? else {
            continue;
        };
        if let (Some(digest), Some(image)) = (recorded.digest, recorded.image) {
            known.push(Known {
                digest,
                kind: image.kind,
                txn,
                change,
                recorded,
            });
        }
    }
    Ok(known)
}

/// Locks what a change replaced, if it still exists.
fn held(look: &Look<'_>, id: TxnId, change: &Change) -> Result<Option<Kept>, Error> {
    if change.pre.is_none() || change.spot != Spot::Home {
        return Ok(None);
    }
    let Some(staging) = share(look, id)?.map(Arc::new) else {
        return Ok(None);
    };
    held_in(staging, id, change, || recorded(look, id, change))
}

/// What a change replaced, in the directory of its transaction, if it still exists.
fn held_in(
    staging: Arc<Staging>,
    id: TxnId,
    change: &Change,
    recorded: impl FnOnce() -> Result<Option<Written>, Error>,
) -> Result<Option<Kept>, Error> {
    let Some(pre) = change.pre.filter(|_| change.spot == Spot::Home) else {
        return Ok(None);
    };
    let name = spot_name(&change.spot, id, change.n);
    let stat = staging.dir.stat(&name)?;
    // A copied home has other inodes. The caller compares the digest.
    let is_it = |stat: &Stat| {
        let same = (pre.size, pre.mtime) == (stat.size, stat.mtime);
        stat.kind == pre.kind && (stat.kind == Kind::Dir || same)
    };
    let Some(stat) = stat.filter(is_it) else {
        return Ok(None);
    };
    Ok(Some(Kept {
        txn: id,
        stat,
        recorded: recorded()?,
        name,
        staging,
    }))
}

fn share(look: &Look<'_>, id: TxnId) -> Result<Option<Staging>, Error> {
    match look.own_dir(TXN)? {
        Some(txns) => match Staging::share(&txns, id, Wait::within(look.lock_wait)) {
            // It comes from a directory that is closed to this user.
            Err(Error::Disk(error)) if error.is(Errno::ACCESS) => Ok(None),
            shared => shared,
        },
        None => Ok(None),
    }
}

/// The record of the replaced content, made when it was installed.
fn recorded(look: &Look<'_>, id: TxnId, change: &Change) -> Result<Option<Written>, Error> {
    let written = look.ask(|catalog| catalog.written_before(&change.place, id))?;
    let is_it = |written: &Written| {
        let same =
            |one: Image, other: Image| one.identity == other.identity && one.kind == other.kind;
        matches!((written.image, change.pre), (Some(new), Some(pre)) if same(new, pre))
    };
    Ok(written.filter(is_it))
}
