//! Deadlock detection.
//!
//! A wait that takes longer than an instant is listed in `lock/waits`, with the wanted lock and everything that the
//! waiting thread and its ancestor runs hold. A thread that holds nothing blocks no other one, and is not listed. The
//! list is changed under its own lock, so exactly one wait of a deadlock, the last one listed, detects it and gives
//! up; the others continue. A wait that would end is never refused.
//!
//! Lines of runs that are not alive are ignored. Each home has its own list: a deadlock of lock files through two
//! homes is not detected.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Engine;
use crate::ambient;
use crate::error::{Conflict, ConflictKind, Error};
use crate::lineage::{Ancestor, Holding, Lineage, Thing};
use crate::lock::{self, Awaited, LockError, Mode, Wait};
use crate::model::RunId;
use crate::pin;

/// The list, a file in `lock`.
const FILE: &str = "waits";

/// The maximum that is read of it.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Distinguishes it from the other waits of its run.
    number: u64,
    /// The waiting process, for messages.
    pid: u32,
    wanted: Thing,
    /// The waiting run and its ancestors, with what they hold; the waiting run is the last.
    family: Lineage,
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '\t');
        let number = parts.next()?.parse().ok()?;
        let pid = parts.next()?.parse().ok()?;
        let wanted: Holding = parts.next()?.parse().ok()?;
        let family = Lineage::parse(parts.next()?).ok()?.0;
        Some(Self {
            number,
            pid,
            wanted: wanted.thing,
            family,
        })
    }

    fn text(&self) -> String {
        let wanted = Holding {
            thing: self.wanted.clone(),
            mode: Mode::Exclusive,
        };
        format!("{}\t{}\t{wanted}\t{}\n", self.number, self.pid, self.family)
    }

    /// The waiting run.
    fn run(&self) -> Option<RunId> {
        self.family.0.last().map(|last| last.run)
    }

    /// Whether it blocks a wait for this.
    fn holds(&self, thing: &Thing) -> bool {
        let mut family = self.family.0.iter();
        family.any(|ancestor| ancestor.mode_of(thing).is_some())
    }
}

/// The holder that a wait would block on, if that closes a ring, and the last wait of the ring, which is blocked by
/// this one.
fn ring<'a>(lines: &'a [Line], own: &Line) -> Option<(&'a Line, &'a Line)> {
    let first = lines.iter().filter(|line| line.holds(&own.wanted));
    for first in first {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![first]);
        while let Some(line) = waiting.pop() {
            if own.holds(&line.wanted) {
                return Some((first, line));
            }
            if seen.insert((line.run(), line.number)) {
                waiting.extend(lines.iter().filter(|next| next.holds(&line.wanted)));
            }
        }
    }
    None
}

/// A wait of this thread.
struct Listed<'a> {
    engine: &'a Engine,
    number: u64,
    wanted: &'a Thing,
    state: RefCell<State>,
}

enum State {
    Unlisted,
    Listed,
    /// Nothing is held here, or the wait cannot be listed.
    Alone,
    /// The wait would close a ring.
    Ring(ConflictKind),
}

impl Engine {
    /// Waits, in `wait`, for something whose holder may itself wait for what is held here. A ring of such waits is a
    /// conflict for exactly one of them.
    pub(crate) fn waiting<T>(
        &self,
        wanted: &Thing,
        what: (&str, &str),
        (txn, limit): (Option<i64>, Option<Duration>),
        wait: impl Fn(Wait<'_>) -> Result<T, LockError>,
    ) -> Result<T, Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let listed = Listed {
            engine: self,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            wanted,
            state: RefCell::new(State::Unlisted),
        };
        let got = self.noting(what, txn, limit, |noted| {
            let asked = || noted.gives_up.is_some_and(|gives_up| gives_up());
            let gives_up = || asked() || listed.closes_ring();
            wait(Wait {
                gives_up: Some(&gives_up),
                ..noted
            })
        });
        match (got, listed.state.replace(State::Alone)) {
            (Err(Error::Lock(_)), State::Ring(kind)) => {
                // A shared lock may be available without queuing, where this wait would be behind the others.
                let at_once = Wait {
                    limit: Some(Duration::ZERO),
                    ..Wait::default()
                };
                wait(at_once).map_err(|_| Conflict::at(what.0, kind).into())
            }
            (got, state) => {
                listed.state.replace(state);
                got
            }
        }
    }

    /// The live ancestors of this run and the run itself, with what they and this thread hold.
    fn family(&self) -> Result<Lineage, Error> {
        let mut family: Vec<_> = self.ancestors()?.into_iter().cloned().collect();
        // An inherited lock is held, regardless of the home of its run.
        let own: BTreeSet<_> = family.iter().map(|ancestor| ancestor.run).collect();
        let others = self
            .lineage
            .0
            .iter()
            .filter(|other| !own.contains(&other.run));
        let inherited = others.flat_map(|other| &other.holds).filter(
            |held| matches!(held.thing, Thing::File(file) if ambient::inherits_lock(file.ino)),
        );
        let mut holds: Vec<_> = inherited.cloned().collect();
        holds.extend(self.own_holds());
        holds.extend(pin::of_this_thread().into_iter().map(Holding::of_tree));
        family.push(Ancestor {
            run: self.run_id()?,
            holds,
        });
        Ok(Lineage(family))
    }

    /// Changes the list of waits.
    fn change_waits<T>(&self, change: impl FnOnce(&mut Vec<Line>) -> T) -> Result<T, Error> {
        let dir = &self.home.locks;
        let file = dir.open_lock_file(FILE)?;
        let ino = dir.stat_open(&file)?.identity.ino;
        let awaited = Awaited {
            name: FILE,
            path: dir.path().join(FILE),
            mode: Mode::Exclusive,
            holder: &|| lock::of_inode(ino),
        };
        let wait = self.gives_up.within(self.lock_wait);
        let (file, _) = lock::in_line(&awaited, Vec::new(), file, wait)?;
        let before = dir.read_small(FILE, LIST_BYTES_MAX)?.unwrap_or_default();
        let before = String::from_utf8_lossy(&before).into_owned();
        let mut lines: Vec<_> = before.lines().filter_map(Line::parse).collect();
        lines.retain(|line| {
            let alive = line.run().map(|run| self.runs.is_alive(run));
            alive.is_some_and(|alive| alive.unwrap_or(true))
        });
        let changed = change(&mut lines);
        let after: String = lines.iter().map(Line::text).collect();
        if after != before {
            dir.overwrite(&file, FILE, &after)?;
        }
        Ok(changed)
    }
}

/// A description of a waiting process.
fn shown(pid: u32) -> String {
    let Some(process) = ambient::describe_process(pid) else {
        return "another process".to_owned();
    };
    match ambient::command_line(pid) {
        Some(command) => format!("{process}: \"{command}\","),
        None => process,
    }
}

impl Listed<'_> {
    /// Lists the wait at the first call; returns whether it closes a ring.
    fn closes_ring(&self) -> bool {
        let mut state = self.state.borrow_mut();
        if matches!(*state, State::Unlisted) {
            *state = self.list().unwrap_or_else(|error| {
                tracing::warn!(%error, "a wait cannot be listed: a deadlock would not be detected");
                State::Alone
            });
        }
        matches!(*state, State::Ring(_))
    }

    fn list(&self) -> Result<State, Error> {
        let own = Line {
            number: self.number,
            pid: std::process::id(),
            wanted: self.wanted.clone(),
            family: self.engine.family()?,
        };
        if own.family.0.iter().all(|run| run.holds.is_empty()) {
            return Ok(State::Alone);
        }
        let found = self.engine.change_waits(|lines| {
            let found = ring(lines, &own).map(|(first, last)| (first.clone(), last.wanted.clone()));
            if found.is_none() {
                lines.push(own);
            }
            found
        })?;
        Ok(match found {
            None => State::Listed,
            Some((first, held)) => State::Ring(ConflictKind::Deadlock {
                holder: shown(first.pid),
                held: held.to_string(),
            }),
        })
    }

    fn unlist(&self) -> Result<(), Error> {
        let run = self.engine.run_id()?;
        let is_own = |line: &Line| line.run() == Some(run) && line.number == self.number;
        self.engine
            .change_waits(|lines| lines.retain(|line| !is_own(line)))
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        if matches!(*self.state.borrow(), State::Listed)
            && let Err(error) = self.unlist()
        {
            tracing::debug!(%error, "an ended wait stays listed until its run ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wait: its number, what it wants, what it holds.
    fn line((number, wanted, held): (u64, &str, &str)) -> Line {
        let run = format!("01920000-0000-7000-8000-00000000000{number}");
        let text = format!("{number}\t77\t{wanted}\t{run},{held}");
        Line::parse(&text).unwrap()
    }

    #[test]
    fn g15_a_ring_of_waits_is_found_whatever_its_length_and_nothing_else_is() {
        // The listed waits, the new one, and whether it closes a ring.
        let (a_for_b, b_for_c) = ((1, "b", "a"), (2, "c", "b"));
        let table = [
            (vec![], (9, "a", "c"), false),
            (vec![a_for_b], (9, "a", "c"), false),
            (vec![a_for_b], (9, "a", "b"), true),
            (vec![a_for_b, b_for_c], (9, "a", "c"), true),
            (vec![a_for_b, b_for_c], (9, "a", "x"), false),
            (vec![a_for_b, b_for_c], (9, "x", "c"), false),
            // The new wait is not part of a ring of others.
            (vec![a_for_b, (2, "a", "b")], (9, "a", "x"), false),
            (vec![(1, "b", "a:shared")], (9, "a", "b"), true),
            (vec![(1, "moment=", "a")], (9, "a", "moment=:shared"), true),
            (vec![(1, "file=7.1.5", "a")], (9, "a", "file=7.1.5"), true),
            (vec![(1, "pin=7.1.5", "a")], (9, "a", "pin=7.1.5"), true),
            // The directory of a tree can be locked as a file too.
            (vec![(1, "pin=7.1.5", "a")], (9, "a", "file=7.1.5"), true),
            (vec![(1, "pin=7.1.5", "a")], (9, "a", "file=8.1.5"), false),
        ];
        for (lines, own, expected) in table {
            let text = format!("{lines:?} {own:?}");
            let lines: Vec<_> = lines.into_iter().map(line).collect();
            assert_eq!(ring(&lines, &line(own)).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn a_line_reads_what_it_writes_and_rubbish_is_none() {
        let one = line((3, "a", "b:shared,file=7.1.5"));
        assert_eq!(Line::parse(one.text().trim_end()), Some(one));
        for rubbish in ["", "x", "1\t7\ta", "1\t7\t../x\t", "-1\t7\ta\t"] {
            assert_eq!(Line::parse(rubbish), None, "{rubbish}");
        }
    }
}
