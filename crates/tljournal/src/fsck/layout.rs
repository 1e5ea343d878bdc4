use std::ffi::OsStr;

use super::check::{Check, Stop};
use super::finding::Subject;
use super::{Code, Finding};
use crate::disk::Dir;
use crate::home::{ASIDE, DAMAGED_PREFIX, DATABASE, LOCK, LOG, RESERVE, SHM, STATE, TXN, WAL};
use crate::model::{Kind, RunId, Stat};

/// The lock files that every opening for work creates.
const LOCKS: [&str; 2] = ["db", "runs"];

/// The lock files that are created when they are needed, and the directory of named locks.
const MORE_LOCKS: [&str; 7] = [
    "commit",
    "commit.turnstile",
    "keys",
    "vouchers",
    "vouchers.turnstile",
    "probe",
    "name",
];

impl Check<'_> {
    /// Checks the journal's own files: none is missing, there are no others, and their owners are right.
    pub(super) fn layout(&mut self) -> Result<(), Stop> {
        let look = self.look;
        if let Some(stat) = look.home.stat(STATE)?.filter(|stat| stat.kind != Kind::Dir) {
            return self.must_be_own(self.shown(STATE), &stat, Kind::Dir);
        }
        let Some(state) = &look.state else {
            if look.at_home {
                return self.tell(Finding::new(Code::LayoutMissing, self.shown(STATE)));
            }
            self.leave_out(
                "staged and kept content, locks, logs: the database is here without `.state`",
            );
            return Ok(());
        };
        for name in [TXN, LOCK, ASIDE] {
            self.must_be(state, "", name, Kind::Dir)?;
        }
        for name in state.names()? {
            let shown = name.to_string_lossy();
            let known = [TXN, LOCK, ASIDE, LOG, RESERVE].contains(&shown.as_ref());
            if shown.starts_with(DAMAGED_PREFIX) {
                if let Some(stat) = state.stat(&name)? {
                    self.must_be_own(look.shown_own("", &shown), &stat, Kind::File)?;
                }
            } else if !known {
                self.stray("", &name)?;
            }
        }
        let reserve = look.shown_own("", RESERVE);
        match state.stat(RESERVE)? {
            None => self.tell(Finding::new(Code::ReserveMissing, reserve))?,
            Some(stat) => self.must_be_own(reserve, &stat, Kind::File)?,
        }
        self.locks()?;
        match state.stat(LOG)? {
            Some(stat) if stat.kind != Kind::Dir => {
                self.must_be_own(look.shown_own("", LOG), &stat, Kind::Dir)?;
            }
            _ => self.logs()?,
        }
        self.evidence()?;
        self.owners(state)
    }

    fn shown(&self, name: &str) -> String {
        let path = self.look.home.path().join(name);
        let below = path.strip_prefix(self.look.root.path());
        below.unwrap_or(&path).to_string()
    }

    /// Reports a file of the journal that is missing or of another kind.
    fn must_be(&mut self, dir: &Dir, at: &str, name: &str, kind: Kind) -> Result<(), Stop> {
        let path = self.look.shown_own(at, name);
        match dir.stat(name)? {
            None => self.tell(Finding::new(Code::LayoutMissing, path)),
            Some(stat) => self.must_be_own(path, &stat, kind),
        }
    }

    pub(super) fn must_be_own(
        &mut self,
        path: String,
        stat: &Stat,
        kind: Kind,
    ) -> Result<(), Stop> {
        let actual = match stat.kind == kind {
            true if kind == Kind::Dir || stat.links == 1 => return Ok(()),
            true => "a file with several hard links".to_owned(),
            false => format!("a {}", stat.kind.as_str()),
        };
        let finding = Finding::new(Code::Planted, path);
        self.tell(
            finding
                .expected(format!("a {}", kind.as_str()))
                .actual(actual),
        )
    }

    fn stray(&mut self, dir: &str, name: &OsStr) -> Result<(), Stop> {
        // A database that is being created is not a stray: its creator holds the commit lock.
        let moment = self.moment()?;
        let there = match (&self.look.state, dir) {
            (None, _) => None,
            (Some(state), "") => state.stat(name)?,
            (Some(state), dir) => state.open_dir(dir)?.stat(name)?,
        };
        drop(moment);
        if there.is_none() {
            return Ok(());
        }
        let path = self.look.shown_own(dir, &name.to_string_lossy());
        let subject = Subject::own(dir, name);
        self.tell(Finding::new(Code::StateStray, path).about(subject))
    }

    fn locks(&mut self) -> Result<(), Stop> {
        let Some(locks) = self.look.own_dir(LOCK)? else {
            return Ok(());
        };
        for name in LOCKS {
            self.must_be(&locks, LOCK, name, Kind::File)?;
        }
        for raw in locks.names()? {
            let name = raw.to_string_lossy();
            let Some(stat) = locks.stat(&raw)? else {
                continue;
            };
            if name == "name" {
                self.must_be_own(self.look.shown_own(LOCK, &name), &stat, Kind::Dir)?;
            } else if MORE_LOCKS.contains(&name.as_ref()) {
                self.must_be_own(self.look.shown_own(LOCK, &name), &stat, Kind::File)?;
            } else if !LOCKS.contains(&name.as_ref()) && !name.starts_with("probe.") {
                self.stray(LOCK, &raw)?;
            }
        }
        let named = format!("{LOCK}/name");
        let Some(dir) = self.look.own_dir(&named)? else {
            return Ok(());
        };
        for name in dir.names()? {
            match dir.stat(&name)? {
                Some(stat) if stat.kind == Kind::File => {
                    let path = self.look.shown_own(&named, &name.to_string_lossy());
                    self.must_be_own(path, &stat, Kind::File)?;
                }
                Some(_) => self.stray(&named, &name)?,
                None => {}
            }
        }
        Ok(())
    }

    fn logs(&mut self) -> Result<(), Stop> {
        let Some(logs) = self.look.own_dir(LOG)? else {
            return Ok(());
        };
        for raw in logs.names()? {
            let name = raw.to_string_lossy();
            let id = name.split('.').next().unwrap_or_default();
            let known = match id.parse::<RunId>() {
                Ok(run) => self.look.is_alive(run)? || self.look.run(run).is_some(),
                Err(_) => false,
            };
            let path = self.look.shown_own(LOG, &name);
            if !known {
                self.tell(Finding::new(Code::LogStray, path))?;
            } else if let Some(stat) = logs.stat(&raw)? {
                self.must_be_own(path, &stat, Kind::File)?;
            }
        }
        Ok(())
    }

    fn evidence(&mut self) -> Result<(), Stop> {
        let Some(aside) = self.look.own_dir(ASIDE)? else {
            return Ok(());
        };
        let mut names = aside.names()?;
        names.sort();
        for name in names {
            let path = self.look.shown_own(ASIDE, &name.to_string_lossy());
            self.tell(Finding::new(Code::Aside, path))?;
        }
        Ok(())
    }

    /// Reports files of another user than the home's owner, which that owner cannot write.
    fn owners(&mut self, state: &Dir) -> Result<(), Stop> {
        let look = self.look;
        let owner = look.home.own_stat()?.uid;
        let mut own = Vec::new();
        for name in [DATABASE, WAL, SHM, STATE] {
            own.push((self.shown(name), look.home.stat(name)?));
        }
        let dirs = [
            ("", Some(state.clone())),
            (LOCK, look.own_dir(LOCK)?),
            (TXN, look.own_dir(TXN)?),
        ];
        for (at, dir) in dirs {
            for name in dir
                .iter()
                .map(Dir::names)
                .collect::<Result<Vec<_>, _>>()?
                .concat()
            {
                let stat = dir.as_ref().map(|dir| dir.stat(&name)).transpose()?;
                own.push((look.shown_own(at, &name.to_string_lossy()), stat.flatten()));
            }
        }
        for (path, stat) in own {
            let Some(stat) = stat.filter(|stat| stat.uid != owner) else {
                continue;
            };
            let finding = Finding::new(Code::Owner, path)
                .expected(format!("user {owner}"))
                .actual(format!("user {}", stat.uid));
            self.tell(finding)?;
        }
        Ok(())
    }
}
