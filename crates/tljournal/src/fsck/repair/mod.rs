//! What was found, mended: each repair is a transaction of its own, or the recovery that every opening runs.
//!
//! | found | done |
//! |---|---|
//! | a transaction that nobody is at, what dead runs left | recovery, as on every opening |
//! | a tree that is not what was installed | it is installed again, from whatever still has its content |
//! | a file or link that is not what was put there | it is put again, from whatever still has its content |
//! | a file whose content nobody has any more, and that nobody has written to | it goes aside, and the record with it |
//! | a manifest that is not there | it is written again, if the tree still is what it describes |
//! | what does not belong among the journal's own files | it goes aside |
//!
//! Content is taken from what is in place, as far as that is right; from what is kept; from the source that the
//! caller names. It counts by its digest, whatever it lies under. What cannot be mended is left as it is, and it
//! is said why.
//!
//! # Invariants
//!
//! - **R1** A repair that is cut short is another transaction that did not happen, or did. What it did not come
//!   to is found again by the next check.
//! - **R2** What a repair replaces or removes goes aside, and is not deleted.
//! - **R3** A file that somebody changed after it was put there is theirs: other content is put there again only
//!   where its path is named.
//! - **R4** What somebody holds is not touched.

mod entry;
mod own;
mod source;
mod tree;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use camino::Utf8PathBuf;

use super::finding::Subject;
use super::{Code, Finding, FsckWatch};
use crate::catalog::Sync;
use crate::engine::Engine;
use crate::error::Error;
use crate::error::chain;
use crate::kept::Index;
use crate::look::Look;
use crate::model::{EventKind, Place, RelPath};
use crate::recovery::{self, Recovery};

/// What a repair may use, and how far it goes.
#[derive(Debug, Clone, Default)]
#[must_use = "options repair nothing by themselves"]
pub struct RepairOptions {
    /// A directory or archive to take content from that is nowhere else: of a tree, or a file.
    pub source: Option<Utf8PathBuf>,
    /// The paths that the caller named: what somebody changed at or below them is put there again.
    pub paths: Vec<RelPath>,
    /// Told to end, between two repairs.
    pub watch: Arc<FsckWatch>,
}

/// What became of a finding.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Repair {
    /// What was found.
    pub code: Code,
    /// The path that it is about.
    pub path: String,
    /// What was done, or why it was left.
    pub text: String,
    /// Whether it is mended.
    pub mended: bool,
}

/// Whoever is told of repairs; breaks to end them.
pub(crate) type ToldRepair<'a> = &'a mut dyn FnMut(Repair) -> ControlFlow<()>;

/// Repairs that are under way.
struct Repairs<'a> {
    engine: &'a Arc<Engine>,
    options: &'a RepairOptions,
    told: ToldRepair<'a>,
    /// The first thing that the system refused; the others were tried all the same.
    failed: Option<Error>,
    /// What is kept, once that was asked for.
    kept: OnceCell<Index>,
}

/// What came of one repair: what was done, or why it was left.
enum Outcome {
    Mended(String),
    Left(String),
}

/// Repairs what was found, as far as that can be. Says whether it came to its end.
pub(crate) fn repair(
    engine: &Arc<Engine>,
    findings: &[Finding],
    recovered: &Recovery,
    options: &RepairOptions,
    told: ToldRepair<'_>,
) -> Result<bool, Error> {
    let _acting = engine.home.act_as_owner();
    let mut repairs = Repairs {
        engine,
        options,
        told,
        failed: None,
        kept: OnceCell::new(),
    };
    let all = |repairs: &mut Repairs<'_>| -> Result<ControlFlow<()>, Error> {
        if repairs.recover(recovered)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut done = BTreeSet::new();
        for finding in findings {
            if options.watch.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            // A tree with many findings is installed again once.
            let key = match &finding.subject {
                Subject::Entry(place) => engine.home.shown(place),
                _ => format!("{} {}", finding.code, finding.path),
            };
            if done.contains(&key) {
                continue;
            }
            let Some(outcome) = repairs.mend(finding) else {
                continue;
            };
            done.insert(key);
            if repairs.tell(finding, outcome)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    };
    engine.home.set_aside_as_one(Some("repair"));
    let ended = all(&mut repairs);
    engine.home.set_aside_as_one(None);
    let ended = ended?.is_continue();
    match repairs.failed {
        Some(error) => Err(error),
        None => Ok(ended),
    }
}

impl Repairs<'_> {
    /// All that is kept, by its digest, as it was when the first repair asked.
    fn kept(&self) -> Result<&Index, Error> {
        match self.kept.get() {
            Some(index) => Ok(index),
            None => {
                let read = Index::read(&Look::of(self.engine))?;
                Ok(self.kept.get_or_init(|| read))
            }
        }
    }

    /// Makes right whatever dead runs left. The opening has done most of it.
    fn recover(&mut self, first: &Recovery) -> Result<ControlFlow<()>, Error> {
        self.engine.try_leftovers_again();
        let again = recovery::recover(self.engine)?;
        recovery::settle_trees(self.engine)?;
        recovery::sweep(self.engine)?;
        let both = |number: fn(&Recovery) -> u32| number(first) + number(&again);
        let kinds = [
            (Code::TxnUnfinished, both(|it| it.finished), "finished"),
            (Code::TxnUnfinished, both(|it| it.taken_back), "taken back"),
            (Code::TxnAbandoned, both(|it| it.rolled_back), "rolled back"),
            (Code::StagingLeftover, both(|it| it.swept), "cleared"),
            (
                Code::RunDead,
                both(|it| it.dead_runs),
                "recorded as found dead",
            ),
            (
                Code::TreeUnsettled,
                both(|it| it.trees_put_back),
                "put back as before",
            ),
            (
                Code::KeptMissing,
                both(|it| it.kept_gone),
                "recorded as gone",
            ),
        ];
        for (code, number, did) in kinds.into_iter().filter(|(_, number, _)| *number > 0) {
            let told = (self.told)(Repair {
                code,
                path: String::new(),
                text: format!("{number} {did}"),
                mended: true,
            });
            if told.is_break() {
                return Ok(told);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Mends what one finding is about; `None` if there is nothing to be done, or others have done it.
    fn mend(&mut self, finding: &Finding) -> Option<Outcome> {
        let mended = match &finding.subject {
            Subject::Entry(place) if is_of_entry(finding.code) => self.entry(finding, place),
            Subject::Own { dir, name } => self.stray(dir, name),
            Subject::Left(path) => self.left(path, &finding.advice),
            Subject::Beside(place) => self.beside(place),
            Subject::Txn(id) if finding.code == Code::KeptMissing => self.kept_missing(*id),
            Subject::Txn(id) if finding.code == Code::KeptDamaged => self.kept_damaged(*id),
            Subject::Manifest(digest) => self.unused_manifest(digest),
            Subject::Entry(_) | Subject::Txn(_) | Subject::None => return None,
        };
        Some(mended.unwrap_or_else(|error| {
            let why = chain(&error);
            let by_system = matches!(
                error,
                Error::Disk(_) | Error::Catalog(_) | Error::Source(_) | Error::Unfinished { .. }
            );
            if by_system && self.failed.is_none() {
                self.failed = Some(error);
            }
            Outcome::Left(why)
        }))
    }

    fn tell(&mut self, finding: &Finding, outcome: Outcome) -> Result<ControlFlow<()>, Error> {
        let (text, mended) = match outcome {
            Outcome::Mended(text) => (text, true),
            Outcome::Left(text) => (text, false),
        };
        let path = match &finding.subject {
            Subject::Entry(place) => self.engine.home.shown(place),
            _ => finding.path.clone(),
        };
        if mended {
            let (about, detail) = (path.as_str(), format!("{}: {text}", finding.code));
            let noted = self.engine.record_in_run(Sync::Normal, |catalog, run| {
                catalog.put_event(
                    (Some(run), None),
                    &EventKind::Repaired,
                    Some(about),
                    &detail,
                )
            });
            if let Err(error) = noted {
                // It is mended all the same.
                tracing::warn!(path, %error, "that something was repaired is not recorded");
            }
        }
        let code = finding.code;
        Ok((self.told)(Repair {
            code,
            path,
            text,
            mended,
        }))
    }

    /// The path by which a transaction of this opener names a place.
    fn path(&self, place: &Place) -> Result<RelPath, Error> {
        Ok(RelPath::new(&self.engine.home.shown(place))?)
    }

    /// Whether the caller named a path at, above or below this one.
    fn is_named(&self, path: &RelPath) -> bool {
        self.options.paths.iter().any(|named| named.overlaps(path))
    }
}

fn is_of_entry(code: Code) -> bool {
    matches!(
        code,
        Code::Missing
            | Code::Extra
            | Code::WrongKind
            | Code::WrongSize
            | Code::WrongMode
            | Code::WrongMtime
            | Code::WrongTarget
            | Code::WrongLinks
            | Code::WrongContent
            | Code::Damaged
            | Code::Changed
            | Code::ManifestMissing
            | Code::ManifestDamaged
    )
}
