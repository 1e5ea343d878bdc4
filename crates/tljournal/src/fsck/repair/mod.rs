//! Repairs findings: each repair is a transaction of its own, or the recovery that every opening runs.
//!
//! | finding | repair |
//! |---|---|
//! | unfinished transactions, leftovers of killed runs | recovery, as on every opening |
//! | a tree that differs from its manifest | it is installed again, from any available copy of its content |
//! | a file or link that differs from its record | it is put again, from any available copy of its content |
//! | a damaged file without any copy of its content, not written to since | it is set aside, and its record is removed |
//! | a missing manifest | it is written again, if the tree still matches its digest |
//! | rows that cannot be read, or that refer to a missing row | they are removed, with the rows that refer to them |
//! | a foreign entry among the journal's own files | it is set aside |
//!
//! Content is taken from the disk as far as it is valid, from retained content, and from the source that the caller
//! names. It is identified by its digest, whatever its name. What cannot be repaired is left as it is, with the
//! reason.
//!
//! # Invariants
//!
//! - **R1** An interrupted repair is a transaction that either happened or did not. Findings that were not repaired
//!   are found again by the next check.
//! - **R2** What a repair replaces or removes is set aside, not deleted.
//! - **R3** A file that was changed after it was put there is a user's change: it is restored only if its path is
//!   named.
//! - **R4** What another process holds is not touched.

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

/// What a repair may use and change.
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until a repair uses them"]
pub struct RepairOptions {
    /// A directory or archive to take content from that is not available elsewhere: of a tree, or a file.
    pub source: Option<Utf8PathBuf>,
    /// The paths that the caller named: changes at or below them are replaced.
    pub paths: Vec<RelPath>,
    /// Can cancel the repair between two findings.
    pub watch: Arc<FsckWatch>,
}

/// The result for a finding.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Repair {
    /// The kind of the finding.
    pub code: Code,
    /// The path of the finding.
    pub path: String,
    /// What was done, or why it was not repaired.
    pub text: String,
    /// Whether it is repaired.
    pub mended: bool,
}

/// Receives results; a break ends the repair.
pub(crate) type ToldRepair<'a> = &'a mut dyn FnMut(Repair) -> ControlFlow<()>;

/// Repairs in progress.
struct Repairs<'a> {
    engine: &'a Arc<Engine>,
    options: &'a RepairOptions,
    told: ToldRepair<'a>,
    /// The first error of the system; the other repairs were tried nevertheless.
    failed: Option<Error>,
    /// The index of retained content, created on first use.
    kept: OnceCell<Index>,
}

/// The result of one repair: what was done, or why it was not repaired.
enum Outcome {
    Mended(String),
    Left(String),
}

/// Repairs the findings, as far as possible. Returns whether it was completed.
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
            // A tree with several findings is installed again once.
            let key = match &finding.subject {
                Subject::Entry(place) => engine.home.shown(place),
                Subject::None if is_of_row(finding.code) => finding.path.clone(),
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
    /// The index by digest of retained content, as of the first request.
    fn kept(&self) -> Result<&Index, Error> {
        match self.kept.get() {
            Some(index) => Ok(index),
            None => {
                let read = Index::read(&Look::of(self.engine))?;
                Ok(self.kept.get_or_init(|| read))
            }
        }
    }

    /// Runs recovery. The opening has done most of it.
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
            (Code::RunDead, both(|it| it.dead_runs), "recorded as killed"),
            (
                Code::TreeUnsettled,
                both(|it| it.trees_put_back),
                "restored to its previous version",
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

    /// Repairs the subject of a finding; `None` if there is nothing to do, or another process did it.
    fn mend(&mut self, finding: &Finding) -> Option<Outcome> {
        let mended = match &finding.subject {
            Subject::Entry(place) if is_of_entry(finding.code) => self.entry(finding, place),
            Subject::Own { dir, name } => self.stray(dir, name),
            Subject::Left(path) => self.left(path, &finding.advice),
            Subject::Beside(place) => self.beside(place),
            Subject::Txn(id) if finding.code == Code::KeptMissing => self.kept_missing(*id),
            Subject::Txn(id) if finding.code == Code::KeptDamaged => self.kept_damaged(*id),
            Subject::Manifest(digest) => self.unused_manifest(digest),
            Subject::None if is_of_row(finding.code) => self.rows(),
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
                // It is repaired nevertheless.
                tracing::warn!(path, %error, "failed to record a repair");
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

    /// The path of a place, for a transaction of this opener.
    fn path(&self, place: &Place) -> Result<RelPath, Error> {
        Ok(RelPath::new(&self.engine.home.shown(place))?)
    }

    /// Whether the caller named a path at, above or below this one.
    fn is_named(&self, path: &RelPath) -> bool {
        self.options.paths.iter().any(|named| named.overlaps(path))
    }
}

/// Whether a row is to blame that no path leads to.
fn is_of_row(code: Code) -> bool {
    matches!(code, Code::RowUnreadable | Code::RowDangling)
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
