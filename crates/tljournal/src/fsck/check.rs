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

/// Whoever is told of findings; breaks to end the check.
pub(crate) type Told<'a> = &'a mut dyn FnMut(Finding) -> ControlFlow<()>;

/// How long a process may be putting things in place before what waits for it is given up, if the caller sets no
/// limit.
const MOMENT_WAIT: Duration = Duration::from_secs(60);

/// A check that is under way.
pub(super) struct Check<'a> {
    pub(super) look: &'a Look<'a>,
    pub(super) options: &'a FsckOptions,
    told: Told<'a>,
    pub(super) report: FsckReport,
    /// Who holds what; nobody does in a copy.
    pub(super) holders: Option<Holders>,
    /// How many places there is nothing at because it was not copied.
    pub(super) not_copied: u64,
    /// What was asked for, as long as nothing is found to be recorded there.
    pub(super) unknown: BTreeSet<&'a RelPath>,
    gave_up: Cell<bool>,
}

/// Why a part of a check ended before it was done.
pub(super) enum Stop {
    /// Somebody wanted it to.
    Asked,
    /// Somebody works, and that cannot be followed from here.
    Outdated,
    /// It cannot go on.
    Failed(Error),
}

/// Checks everything that can be, and tells each finding as it is found.
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

/// Tells why the database cannot be opened at all. Gives the error back if that is no finding.
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
    let everything = "everything else: only the database can tell what should be";
    report.unchecked.push(everything.to_owned());
    // There is nothing more that could be ended.
    let _ = told(finding);
    Ok(report)
}

/// The paths of which nothing is known yet; the home itself, and what is above it, is there anyway.
fn unknown_yet<'a>(look: &Look<'_>, paths: &'a [RelPath]) -> BTreeSet<&'a RelPath> {
    let can_be_recorded = |path: &&RelPath| look.map.place(path).is_ok();
    paths.iter().filter(can_be_recorded).collect()
}

impl Check<'_> {
    fn all(&mut self) -> Result<(), Stop> {
        if !self.look.at_home {
            self.leave_out("who lives: this is a copy, or was moved here");
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

    /// Runs a part. One that cannot go on keeps the others from nothing.
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

    /// Tells that something cannot be looked at.
    pub(super) fn tell_failure(&mut self, what: &str, error: &Error) -> Result<(), Stop> {
        let finding = match error {
            Error::Damaged(Damage::Catalog { source, .. }) => {
                Finding::new(Code::DatabaseDamaged, DATABASE).actual(source)
            }
            Error::Lock(_) => {
                // It may have been given up because somebody wanted the check to end.
                self.go_on()?;
                self.report.unconfirmed += 1;
                self.leave_out(&format!("`{what}`: {}", chain(error)));
                return Ok(());
            }
            error => Finding::new(Code::Unreadable, what).actual(chain(error)),
        };
        self.tell(finding)
    }

    /// Tells a finding.
    pub(super) fn tell(&mut self, finding: Finding) -> Result<(), Stop> {
        // What others did since would be taken for damage.
        if self.look.is_outdated()? {
            return Err(Stop::Outdated);
        }
        self.report.count(&finding);
        match (self.told)(finding) {
            ControlFlow::Continue(()) => self.go_on(),
            ControlFlow::Break(()) => Err(Stop::Asked),
        }
    }

    /// Ends here if somebody wants it to.
    pub(super) fn go_on(&self) -> Result<(), Stop> {
        match self.options.watch.is_stopped() {
            true => Err(Stop::Asked),
            false => Ok(()),
        }
    }

    /// A moment in which nothing is being put in place. Who had to give up waiting for one does not wait again.
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

    /// Notes something that is not checked, and why.
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
