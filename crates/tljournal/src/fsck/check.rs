use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use camino::Utf8Path;

use super::look::Moment;
use super::{Code, Finding, FsckDepth, FsckOptions, FsckReport};
use crate::catalog::CatalogError;
use crate::error::chain;
use crate::error::{Damage, Error, Unsupported};
use crate::home::DATABASE;
use crate::lock::Holders;
use crate::look::Look;
use crate::model::RelPath;

/// Receives findings; a break ends the check.
pub(crate) type Told<'a> = &'a mut dyn FnMut(Finding) -> ControlFlow<()>;

/// How long the check waits for a process that is applying changes, if the caller sets no limit.
const MOMENT_WAIT: Duration = Duration::from_secs(60);

/// A check in progress.
pub(super) struct Check<'a> {
    pub(super) look: &'a Look<'a>,
    pub(super) options: &'a FsckOptions,
    told: Told<'a>,
    pub(super) report: FsckReport,
    /// The holders of locks; `None` in a copy.
    pub(super) holders: Option<Holders>,
    /// How many places are empty because they were not copied.
    pub(super) not_copied: u64,
    /// The requested paths for which nothing recorded has been found yet.
    pub(super) unknown: BTreeSet<&'a RelPath>,
    gave_up: Cell<bool>,
}

/// Why a part of a check ended early.
pub(super) enum Stop {
    /// The caller cancelled it.
    Asked,
    /// Another process changed the database, which this check cannot follow.
    Outdated,
    /// It failed.
    Failed(Error),
}

/// Checks everything that can be checked, and reports each finding as it is found.
pub(crate) fn check(look: &Look<'_>, options: &FsckOptions, told: Told<'_>) -> FsckReport {
    let mut check = Check {
        look,
        options,
        told,
        report: FsckReport::default(),
        holders: look.at_home.then(Holders::ask),
        not_copied: 0,
        unknown: unknown_yet(look, &options.paths),
        gave_up: Cell::new(false),
    };
    match check.all() {
        Err(Stop::Asked) => check.report.cancelled = true,
        Err(Stop::Outdated) => check.report.outdated = true,
        Err(Stop::Failed(_)) => {}
        Ok(()) => check.report.unknown = check.unknown.into_iter().cloned().collect(),
    }
    check.report
}

/// Reports why the database cannot be opened at all. Returns the error if it is not a finding.
pub(crate) fn tell_unopened(
    error: Error,
    (root, home): (&Utf8Path, &Utf8Path),
    told: Told<'_>,
) -> Result<FsckReport, Error> {
    let database = home.join(DATABASE);
    let path = database.strip_prefix(root).unwrap_or(&database).as_str();
    let finding = match &error {
        Error::Damaged(Damage::Catalog { source, .. }) => {
            let code = match source {
                CatalogError::Foreign => Code::DatabaseForeign,
                _ => Code::DatabaseDamaged,
            };
            Finding::new(code, path).actual(source)
        }
        Error::Damaged(Damage::Planted { path, found }) => {
            let finding = Finding::new(Code::Planted, path);
            finding.expected("a file").actual(found)
        }
        Error::Unsupported(Unsupported::Format(CatalogError::Newer { features })) => {
            let features = format!("format features {features:#x}");
            Finding::new(Code::DatabaseNewer, path).actual(features)
        }
        Error::Damaged(Damage::Lost { .. }) => Finding::new(Code::DatabaseMissing, path),
        _ => return Err(error),
    };
    let mut report = FsckReport::default();
    report.count(&finding);
    let everything = "everything else: the database that describes it cannot be read";
    report.unchecked.push(everything.to_owned());
    // There is nothing more to cancel.
    let _ = told(finding);
    Ok(report)
}

/// The requested paths that are not known to be recorded, without the home and the directories above it, which always
/// exist.
fn unknown_yet<'a>(look: &Look<'_>, paths: &'a [RelPath]) -> BTreeSet<&'a RelPath> {
    let can_be_recorded = |path: &&RelPath| look.map.place(path).is_ok();
    paths.iter().filter(can_be_recorded).collect()
}

impl Check<'_> {
    fn all(&mut self) -> Result<(), Stop> {
        if !self.look.at_home {
            self.leave_out("which runs are running: this is a copy, or was moved here");
        }
        self.part("transactions", Self::transactions)?;
        if self.options.paths.is_empty() {
            self.part(DATABASE, Self::database)?;
            self.part(".state", Self::layout)?;
            self.part(".state/lock/runs", Self::runs)?;
            self.part(".state/txn", Self::staging)?;
            self.part(".state/txn", Self::kept)?;
            self.part(".state", Self::leftovers)?;
        }
        self.part("tags", Self::tags)?;
        self.part("entries", Self::entries)
    }

    /// Runs a part. A failure does not stop the other parts.
    pub(super) fn part(
        &mut self,
        what: &str,
        part: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match part(self) {
            Err(Stop::Failed(error)) => self.tell_failure(what, &error),
            done => done,
        }
    }

    /// Reports that something could not be checked.
    pub(super) fn tell_failure(&mut self, what: &str, error: &Error) -> Result<(), Stop> {
        let finding = match error {
            Error::Damaged(Damage::Catalog { source, .. }) => {
                Finding::new(Code::DatabaseDamaged, DATABASE).actual(source)
            }
            Error::Lock(_) => {
                // The wait may have failed because the check was cancelled.
                self.go_on()?;
                self.report.unconfirmed += 1;
                self.leave_out(&format!("`{what}`: {}", chain(error)));
                return Ok(());
            }
            error => Finding::new(Code::Unreadable, what).actual(chain(error)),
        };
        self.tell(finding)
    }

    /// Reports a finding.
    pub(super) fn tell(&mut self, finding: Finding) -> Result<(), Stop> {
        // Changes by other processes would look like damage.
        if self.look.is_outdated()? {
            return Err(Stop::Outdated);
        }
        self.report.count(&finding);
        match (self.told)(finding) {
            ControlFlow::Continue(()) => self.go_on(),
            ControlFlow::Break(()) => Err(Stop::Asked),
        }
    }

    /// Ends the check if it was cancelled.
    pub(super) fn go_on(&self) -> Result<(), Stop> {
        match self.options.watch.is_stopped() {
            true => Err(Stop::Asked),
            false => Ok(()),
        }
    }

    /// Waits until no changes are being applied. After one timeout it does not wait again.
    pub(super) fn moment(&self) -> Result<Moment, Error> {
        let wait = match self.gave_up.get() {
            true => Duration::ZERO,
            false => self.look.lock_wait.unwrap_or(MOMENT_WAIT),
        };
        let moment = self.look.moment(&self.options.watch, wait);
        if matches!(moment, Err(Error::Lock(_))) {
            self.gave_up.set(true);
        }
        moment
    }

    /// Notes what is not checked, and why.
    pub(super) fn leave_out(&mut self, what: &str) {
        self.report.unchecked.push(what.to_owned());
    }

    pub(super) fn is_quick(&self) -> bool {
        self.options.depth == FsckDepth::Quick
    }

    pub(super) fn is_full(&self) -> bool {
        self.options.depth == FsckDepth::Full
    }
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
