use std::ops::ControlFlow;

use camino::Utf8Path;

use super::{Code, Finding, FsckDepth, FsckOptions, FsckReport};
use crate::apply::chain;
use crate::catalog::CatalogError;
use crate::disk::{Dir, Disk, DiskError};
use crate::error::{Damage, Error, Unsupported, UsageError};
use crate::home::{ASIDE, DATABASE, LOCK, LOG, RESERVE, STATE, TXN};
use crate::lock::{self, Holders};
use crate::look::{Look, unless_gone};

/// Whoever is told of findings; breaks to end the check.
pub(crate) type Told<'a> = &'a mut dyn FnMut(Finding) -> ControlFlow<()>;

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
}

/// Why a part of a check ended before it was done.
pub(super) enum Stop {
    /// Somebody wanted it to.
    Asked,
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
    };
    if let Err(Stop::Asked) = check.all() {
        check.report.cancelled = true;
    }
    check.report
}

/// Tells why the database cannot be opened at all. Gives the error back if that is no finding.
pub(crate) fn tell_unopened(
    error: Error,
    (root, home): (&Utf8Path, &Utf8Path),
    disk: &Disk,
    told: Told<'_>,
) -> Result<FsckReport, Error> {
    let database = home.join(DATABASE);
    let path = database.strip_prefix(root).unwrap_or(&database).as_str();
    let mut report = FsckReport::default();
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
        Error::Usage(UsageError::NoJournal { .. }) => match missing(home, disk)? {
            Missing::NeverMade => return Err(error),
            Missing::BeingMade => {
                let now = "everything: somebody is making the database at this moment";
                report.unchecked.push(now.to_owned());
                return Ok(report);
            }
            Missing::Lost => Finding::new(Code::DatabaseMissing, path),
        },
        _ => return Err(error),
    };
    report.count(&finding);
    let everything = "everything else: only the database can tell what should be";
    report.unchecked.push(everything.to_owned());
    // There is nothing more that could be ended.
    let _ = told(finding);
    Ok(report)
}

/// Why there is no database.
enum Missing {
    NeverMade,
    BeingMade,
    Lost,
}

/// Tells a database that is gone from one that has not been made: nothing but the layout is there before.
fn missing(home: &Utf8Path, disk: &Disk) -> Result<Missing, Error> {
    let Some(state) = unless_gone(Dir::open(&home.join(STATE), disk.clone()))? else {
        return Ok(Missing::NeverMade);
    };
    let is_used = |dir: &str| -> Result<bool, Error> {
        let dir = unless_gone(state.open_dir(dir))?;
        Ok(!dir.map_or(Ok(Vec::new()), |dir| dir.names())?.is_empty())
    };
    if state.stat(RESERVE)?.is_none() && !is_used(TXN)? && !is_used(LOG)? && !is_used(ASIDE)? {
        return Ok(Missing::NeverMade);
    }
    let is_gone = || -> Result<bool, Error> {
        let there = disk.stat_at(&home.join(DATABASE))?;
        Ok(there.is_none_or(|stat| stat.size == 0))
    };
    // Whoever makes one holds the commit lock.
    let lock = unless_gone(state.open_file(&format!("{LOCK}/commit")))?;
    match lock.map_or(Ok(true), |file| lock::try_shared(&file)) {
        Ok(true) if is_gone()? => Ok(Missing::Lost),
        Ok(_) => Ok(Missing::BeingMade),
        Err(errno) => Err(DiskError::new("lock", "lock/commit", errno).into()),
    }
}

impl Check<'_> {
    fn all(&mut self) -> Result<(), Stop> {
        if !self.look.at_home {
            self.leave_out("who lives: this is a copy, or was moved here");
        }
        if self.options.paths.is_empty() {
            self.part(DATABASE, Self::database)?;
            self.part(".state", Self::layout)?;
            self.part(".state/lock/runs", Self::runs)?;
            self.part("transactions", Self::transactions)?;
            self.part(".state/txn", Self::staging)?;
            self.part(".state/txn", Self::kept)?;
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
                self.leave_out(&format!("`{what}`: {}", chain(error)));
                return Ok(());
            }
            error => Finding::new(Code::Unreadable, what).actual(chain(error)),
        };
        self.tell(finding)
    }

    /// Tells a finding.
    pub(super) fn tell(&mut self, finding: Finding) -> Result<(), Stop> {
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
