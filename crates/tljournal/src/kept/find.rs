use crate::catalog::Written;
use crate::disk::Dir;
use crate::error::Error;
use crate::home::{Staging, TXN, spot_name};
use crate::look::Look;
use crate::model::{Change, Digest, Image, Kind, Place, Spot, Stat, TxnId, TxnState};

/// Kept content, and a share of the lock that keeps it from being deleted.
#[derive(Debug)]
#[must_use = "the content may be deleted when this is dropped"]
pub(crate) struct Kept {
    /// The transaction that replaced it.
    pub(crate) txn: TxnId,
    pub(crate) stat: Stat,
    /// What it was recorded as when it was put there; `None` if it was somebody else's work, or the rows
    /// are gone.
    pub(crate) recorded: Option<Written>,
    pub(crate) name: String,
    staging: Staging,
}

impl Kept {
    /// The directory that it lies in.
    pub(crate) fn dir(&self) -> &Dir {
        &self.staging.dir
    }

    /// Where it lies, for whoever copies it.
    pub(crate) fn path(&self) -> camino::Utf8PathBuf {
        self.dir().path().join(&self.name)
    }
}

/// What a transaction replaced or removed at a place, if that is still kept.
pub(crate) fn before(look: &Look<'_>, txn: i64, place: &Place) -> Result<Option<Kept>, Error> {
    let Some(record) = look.ask(|catalog| catalog.txn_record(txn))? else {
        return Ok(None);
    };
    // What a rebuildable tree replaced is there, and comes to be kept when that tree is on the medium.
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

/// Content that was recorded when it was put there, and replaced by a transaction that keeps it.
pub(crate) struct Known {
    pub(crate) digest: Digest,
    txn: TxnId,
    change: Change,
}

impl Known {
    /// Shares the lock of it, if it is there still.
    pub(crate) fn hold(&self, look: &Look<'_>) -> Result<Option<Kept>, Error> {
        held(look, self.txn, &self.change)
    }
}

/// All kept content of a kind whose digest was recorded, the latest first.
pub(crate) fn known(look: &Look<'_>, kind: Kind) -> Result<Vec<Known>, Error> {
    let mut known = Vec::new();
    for (number, txn) in look.ask(|catalog| catalog.kept_txns())?.into_iter().rev() {
        let changes = look.ask(|catalog| catalog.changes(number))?;
        for change in changes.unwrap_or_default() {
            if change.pre.is_none_or(|pre| pre.kind != kind) {
                continue;
            }
            let was = recorded(look, txn, &change)?;
            if let Some(digest) = was.and_then(|was| was.digest) {
                known.push(Known {
                    digest,
                    txn,
                    change,
                });
            }
        }
    }
    Ok(known)
}

/// Kept content that was recorded with this digest, of a file or of a tree; the latest that there is.
pub(crate) fn with_digest(
    look: &Look<'_>,
    digest: &Digest,
    kind: Kind,
) -> Result<Option<Kept>, Error> {
    for known in known(look, kind)? {
        if known.digest == *digest
            && let Some(kept) = known.hold(look)?
        {
            return Ok(Some(kept));
        }
    }
    Ok(None)
}

/// Shares the lock of what a change replaced, if it is there still.
fn held(look: &Look<'_>, id: TxnId, change: &Change) -> Result<Option<Kept>, Error> {
    let Some(pre) = change.pre.filter(|_| change.spot == Spot::Home) else {
        return Ok(None);
    };
    let Some(staging) = share(look, id)? else {
        return Ok(None);
    };
    let name = spot_name(&change.spot, id, change.n);
    let stat = staging.dir.stat(&name)?;
    // Its inode is another one in a copied home. Whoever uses it compares its digest.
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
        recorded: recorded(look, id, change)?,
        name,
        staging,
    }))
}

fn share(look: &Look<'_>, id: TxnId) -> Result<Option<Staging>, Error> {
    match look.own_dir(TXN)? {
        Some(txns) => Staging::share(&txns, id),
        None => Ok(None),
    }
}

/// What was recorded of the content that a change replaced, when it was put there.
fn recorded(look: &Look<'_>, id: TxnId, change: &Change) -> Result<Option<Written>, Error> {
    let written = look.ask(|catalog| catalog.written_before(&change.place, id))?;
    let is_it = |written: &Written| {
        let same =
            |one: Image, other: Image| one.identity == other.identity && one.kind == other.kind;
        matches!((written.image, change.pre), (Some(new), Some(pre)) if same(new, pre))
    };
    Ok(written.filter(is_it))
}
