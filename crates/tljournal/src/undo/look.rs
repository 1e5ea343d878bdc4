use std::cell::OnceCell;

use super::plan::{Facts, Reason};
use super::report::{Because, NotKept};
use super::source;
use crate::catalog::{Around, Step};
use crate::error::{Error, UsageError};
use crate::journal::{History, PathDiff};
use crate::kept::{self, Index, Kept};
use crate::lock;
use crate::look::Look;
use crate::model::{Change, Image, Kind, Op, Place, RelPath, Spot, Version};

/// The observed state of one path that is to be restored.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) path: RelPath,
    pub(super) place: Place,
    /// The version to restore.
    pub(super) wanted: Option<Version>,
    /// The current version, unless it was changed without the journal.
    pub(super) left: Option<Version>,
    /// The old content, locked.
    pub(super) kept: Option<Kept>,
    pub(super) facts: Facts,
    /// The kind of what is there now, for display.
    found: Option<Kind>,
    /// Changes after this transaction count as later.
    since: i64,
}

/// Observes every path of a transaction that is to be undone.
pub(super) fn of_txn(history: &History<'_>, number: i64) -> Result<Vec<Evidence>, Error> {
    let other_root = || UsageError::OtherRoot { txn: number };
    let look = &history.look;
    let changes = look.ask(|catalog| catalog.changes(number))?;
    let changes = changes.ok_or_else(other_root)?;
    let (mut found, index) = (Vec::new(), OnceCell::new());
    for diff in history.diff(number)? {
        let path = RelPath::new(&diff.path)?;
        let place = look.place(&path)?;
        let change = changes.iter().find(|change| change.place == place);
        let Some(change) = change.filter(|change| change.op != Op::Parent) else {
            continue;
        };
        found.push(of_change(
            (look, &index),
            number,
            (path, place),
            change,
            diff,
        )?);
    }
    Ok(found)
}

fn of_change(
    (look, index): (&Look<'_>, &OnceCell<Index>),
    number: i64,
    (path, place): (RelPath, Place),
    change: &Change,
    diff: PathDiff,
) -> Result<Evidence, Error> {
    let mut kept = match &diff.before {
        // An edited tree was moved to quarantine.
        Some(before) if before.kind == Kind::Dir && diff.drift => None,
        Some(_) => kept::before(look, number, &place)?,
        None => None,
    };
    let mut wanted = diff.before;
    if let (Some(wanted), Some(kept)) = (&mut wanted, &kept) {
        source::complete(wanted, kept)?;
    }
    if kept.is_none() {
        kept = source::elsewhere(look, index, wanted.as_ref())?;
    }
    let not_kept = match source::missing(wanted.as_ref(), kept.as_ref()) {
        true => Some(why_not_kept(look, (change, diff.drift), number)?),
        false => None,
    };
    let mut evidence = Evidence {
        path,
        place,
        wanted,
        left: diff.after,
        kept,
        facts: Facts::new(change.op == Op::Adopt, not_kept),
        found: None,
        since: number,
    };
    evidence.look_again(look)?;
    Ok(evidence)
}

/// Observes a path that is to be restored to its state right after a transaction.
pub(super) fn of_path(
    history: &History<'_>,
    path: RelPath,
    number: i64,
) -> Result<Evidence, Error> {
    let look = &history.look;
    let place = look.place(&path)?;
    let then = history.step_at(&place, Around::Until(number))?;
    let next = history.step_at(&place, Around::After(number))?;
    let last = history.version_at(&place, Around::Latest)?;
    for step in [&then, &next].into_iter().flatten() {
        if step.place != place && step.op != Op::Remove {
            let tree = look.shown(&step.place);
            let path = path.to_string();
            return Err(UsageError::InTree { path, tree }.into());
        }
    }
    if then.is_none() && next.is_none() {
        let path = path.to_string();
        return Err(UsageError::NeverWritten { path }.into());
    }
    let then = last_before(look, (number, &place), then, next.as_ref())?;
    let replaced = match &next {
        Some(next) => source::replaced_by(look, next, &place)?,
        None => None,
    };
    let mut wanted = match (&then, &next) {
        (Some(_), _) => history.version_at(&place, Around::Until(number))?,
        // Before the first recorded change: the content that the first change replaced.
        (None, Some(next)) if next.place == place => {
            next.before.map(|image| Version::of(&image, None, None))
        }
        // Content that the first change removed with its directory.
        (None, Some(_)) => match &replaced {
            Some(kept) => Some(Version::of(&Image::of(&kept.stat), None, None)),
            None => {
                let path = path.to_string();
                return Err(UsageError::NeverWritten { path }.into());
            }
        },
        (None, None) => None,
    };
    if wanted
        .as_ref()
        .is_some_and(|it| it.kind == Kind::Dir && it.digest.is_none())
    {
        // A directory that is not a tree is unchanged only if no entry of it was changed since.
        let until = next.as_ref().map(|next| next.txn);
        if look.ask(|catalog| catalog.is_changed_below(&place, number, until))? {
            let (path, txn) = (path.to_string(), number);
            return Err(UsageError::InParts { path, txn }.into());
        }
    }
    let is_it = |kept: &Kept| {
        let known = wanted.as_ref().and_then(|wanted| wanted.digest);
        let was = kept.recorded.as_ref().and_then(|was| was.digest);
        known.is_none() || was.is_none() || known == was
    };
    let mut kept = replaced.filter(|kept| wanted.is_some() && is_it(kept));
    if let (Some(wanted), Some(kept)) = (&mut wanted, &kept) {
        source::complete(wanted, kept)?;
    }
    if kept.is_none() {
        kept = source::elsewhere(look, &OnceCell::new(), wanted.as_ref())?;
    }
    let had_keys = match &next {
        Some(next) => had_keys(look, next.txn, &place)?,
        None => look.key_material.is_at(path.as_str()),
    };
    let why = match next.is_some() {
        _ if had_keys => NotKept::KeyMaterial,
        true => NotKept::Thinned,
        false => NotKept::NeverReplaced,
    };
    let not_kept = source::missing(wanted.as_ref(), kept.as_ref()).then_some(why);
    let mut evidence = Evidence {
        path,
        place,
        wanted,
        left: last,
        kept,
        facts: Facts::new(false, not_kept),
        found: None,
        since: number,
    };
    evidence.look_again(look)?;
    Ok(evidence)
}

impl Evidence {
    /// Observes the current content.
    pub(super) fn look_again(&mut self, look: &Look<'_>) -> Result<(), Error> {
        let stat = match look.parent(&self.place)? {
            Some(parent) => parent.stat(self.place.path.name())?,
            None => None,
        };
        self.found = stat.map(|stat| stat.kind);
        let wanted = self.wanted.as_ref();
        self.facts.wants_something = wanted.is_some();
        self.facts.is_wanted = source::is_there(look, &self.place, wanted)?;
        self.facts.is_left = source::is_there(look, &self.place, self.left.as_ref())?;
        let kinds = wanted.map(|wanted| wanted.kind).zip(self.found);
        self.facts.other_kind = kinds.is_some_and(|(wanted, found)| wanted != found);
        Ok(())
    }

    /// The holder of a pin on the current content, if there is one.
    pub(super) fn pinned_by(&self, look: &Look<'_>) -> Result<Option<String>, Error> {
        let (parent, name) = (look.parent(&self.place)?, self.place.path.name());
        let Some(parent) = parent else {
            return Ok(None);
        };
        match parent.stat(name)? {
            Some(stat) if lock::is_pinned_within(&parent, name, parent.access())? => {
                Ok(Some(lock::of_inode(stat.identity.ino)))
            }
            _ => Ok(None),
        }
    }

    /// The reason for display, with the transaction or process responsible.
    pub(super) fn because(&self, look: &Look<'_>, reason: Reason) -> Result<Because, Error> {
        Ok(match reason {
            Reason::AlreadySo => Because::AlreadySo,
            Reason::Adopted => Because::Adopted,
            Reason::NotKept(why) => Because::NotKept(why),
            Reason::OtherKind => Because::OtherKind {
                found: self.found.unwrap_or(Kind::Other),
                wanted: self.wanted.as_ref().map_or(Kind::Other, |it| it.kind),
            },
            Reason::Lost => {
                let later = look.ask(|catalog| catalog.later_at(&self.place, self.since))?;
                match later {
                    Some((txn, label)) => Because::Later { txn, label },
                    None => Because::Edited,
                }
            }
        })
    }
}

/// The last change at a place up to a transaction; `None` if the state was what the next change replaced. History may
/// have been deleted in between, so the recorded changes need not be consecutive.
///
/// # Errors
/// [`UsageError::Forgotten`] when the state is not known.
fn last_before(
    look: &Look<'_>,
    (number, place): (i64, &Place),
    then: Option<Step>,
    next: Option<&Step>,
) -> Result<Option<Step>, Error> {
    let left = |then: &Option<Step>| {
        let then = then.as_ref().filter(|then| then.op != Op::Remove);
        then.and_then(|then| Some((then.place.clone(), then.after.as_ref()?.identity)))
    };
    // The next change replaced what this one had left, or this one is still in place.
    let follows = match next {
        Some(next) if next.drift => false,
        Some(next) => {
            let found = next
                .before
                .map(|image| (next.place.clone(), image.identity));
            found == left(&then)
        }
        None => {
            let stands = look.entry(place)?.map(|entry| entry.txn);
            stands.is_some() && stands == then.as_ref().map(|then| then.txn)
        }
    };
    let next_txn = next.map(|next| next.txn);
    let forgot = |after| look.ask(|catalog| catalog.has_forgotten(after, next_txn));
    if follows && then.is_some() {
        return Ok(then);
    }
    match (&then, next) {
        (Some(last), _) if !forgot(last.txn)? => Ok(then),
        (_, Some(next)) if (!next.drift || then.is_none()) && !forgot(number)? => Ok(None),
        _ => {
            let path = look.shown(place);
            Err(UsageError::Forgotten { path, txn: number }.into())
        }
    }
}

/// Why the content that a change replaced is not retained.
fn why_not_kept(
    look: &Look<'_>,
    (change, drift): (&Change, bool),
    number: i64,
) -> Result<NotKept, Error> {
    Ok(match change.op {
        _ if change.spot != Spot::Home => NotKept::OtherFilesystem,
        _ if had_keys(look, number, &change.place)? => NotKept::KeyMaterial,
        _ if drift => NotKept::Aside,
        Op::Fill => NotKept::InPlace,
        _ => NotKept::Thinned,
    })
}

/// Whether a transaction replaced key material, by its path or content.
fn had_keys(look: &Look<'_>, number: i64, place: &Place) -> Result<bool, Error> {
    let shown = look.shown(place);
    Ok(look.key_material.is_at(&shown) || look.ask(|catalog| catalog.had_keys(number, &shown))?)
}

impl Facts {
    fn new(adopted: bool, not_kept: Option<NotKept>) -> Self {
        Self {
            adopted,
            wants_something: false,
            is_wanted: false,
            is_left: false,
            other_kind: false,
            not_kept,
        }
    }
}
