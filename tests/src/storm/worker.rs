use std::fs;
use std::time::Instant;

use camino::Utf8PathBuf;
use tljournal::{Digest, Durability, Error, Expect, Journal, LockMode, OnPinned, TreeOptions};
use tljournal_testkit::{Random, Snapshot, Steps, Tell, World, tell};

use super::Done;
use super::material::{
    LINK, PAIR, TREE, check_own, counter, is_no_tree, sealed, step_own, storm_tree,
};

/// The file that a worker changes only if it knows its content.
const TURNS: &str = "build/state/turns";

/// The lock that protects the file next to the project.
const ROOM: &str = "room";

/// A process of a storm.
#[derive(Debug)]
pub struct Worker {
    pub(super) world: World,
    role: String,
    last: u64,
    /// The number of its last turn.
    turn: Option<u64>,
    pub(super) random: Random,
}

impl Worker {
    /// A process for a role on a project.
    #[must_use]
    pub fn new(root: Utf8PathBuf, role: String, last: u64, seed: u64) -> Self {
        let (world, random) = (World::at(root), Random::new(seed));
        Self {
            world,
            role,
            last,
            turn: None,
            random,
        }
    }

    /// Makes changes until it is killed.
    ///
    /// # Errors
    /// When the journal refuses, or the storm has ended.
    pub fn work(&mut self) -> Done {
        loop {
            let journal = self.open()?;
            self.check_promise()?;
            for _ in 0..self.random.below(10) + 1 {
                match self.random.below(12) {
                    0 | 1 => self.install(&journal)?,
                    2 => self.roll_back(&journal)?,
                    3 => self.take_turn(&journal)?,
                    4 => self.be_alone(&journal)?,
                    5 => self.look_together(&journal)?,
                    6 => self.install_pinned(&journal)?,
                    _ => self.write(&journal)?,
                }
            }
            journal.close()?;
        }
    }

    pub(super) fn open(&self) -> Result<Journal, Box<dyn std::error::Error>> {
        let journal = self.world.try_open()?;
        let (finished, rolled_back) = (journal.recovery().finished, journal.recovery().rolled_back);
        if finished + rolled_back > 0 {
            tell(&Tell::Recovered {
                finished,
                rolled_back,
            })?;
        }
        if let Some(kept) = &journal.recovery().database_set_aside {
            tell(&Tell::Violation(format!(
                "a good database was set aside: {kept}"
            )))?;
        }
        Ok(journal)
    }

    /// Checks that the last durable number exists, or the next one, whose commit was not reported before a kill; and
    /// everything that belongs to it.
    fn check_promise(&mut self) -> Done {
        let text = fs::read_to_string(self.world.path(&counter(&self.role))).unwrap_or_default();
        let found = text.parse().unwrap_or(0);
        if found != self.last && found != self.last + 1 {
            let text = format!("G2: {} was promised, {found} is there", self.last);
            tell(&Tell::Violation(text))?;
        }
        let wrong = check_own(&self.world, &self.role, found);
        if !wrong.is_empty() {
            tell(&Tell::Violation(format!("G1: at {found}: {wrong:?}")))?;
        }
        self.last = found;
        // The next process counts from here, even if this one is killed before it reports a commit.
        Ok(tell(&Tell::Found { number: found })?)
    }

    fn install(&mut self, journal: &Journal) -> Done {
        let tree = storm_tree(self.random.below(2));
        let steps = match self.random.chance(1, 2) {
            true => Steps::new("tree").tree(TREE, tree),
            false => Steps::new("tree").rebuildable(TREE, tree),
        };
        self.commit(journal, &steps)
    }

    /// Writes two files, the link, and its own files in one transaction.
    fn write(&mut self, journal: &Journal) -> Done {
        let number = self.last + 1;
        let text = sealed(&format!("{} {number}", self.role));
        let steps = Steps::new("tags")
            .put(PAIR[0], text.as_str())
            .put(PAIR[1], text.as_str())
            .link(LINK, &format!("{number}"));
        let steps = step_own(steps, &self.role, number, self.random.chance(1, 2));
        self.commit(journal, &steps)?;
        self.last = number;
        let (took, bytes) = (std::time::Duration::ZERO, 0);
        Ok(tell(&Tell::Committed {
            number,
            took,
            bytes,
        })?)
    }

    fn roll_back(&mut self, journal: &Journal) -> Done {
        let steps = Steps::new("never")
            .put(PAIR[0], "never")
            .tree(TREE, storm_tree(7))
            .put("build/never/there", "never");
        Ok(steps.prepare(journal)?.rollback()?)
    }

    /// Changes its own line of a file, unless another process changes the file meanwhile.
    fn take_turn(&mut self, journal: &Journal) -> Done {
        let text = fs::read_to_string(self.world.path(TURNS)).ok();
        let expect = text.as_ref().map_or(Expect::Absent, |text| {
            Expect::Digest(Digest::of(text.as_bytes()))
        });
        let lines = text.as_deref().unwrap_or_default().lines();
        let (own, others): (Vec<_>, Vec<_>) = lines
            .filter_map(|line| line.split_once(' '))
            .partition(|(role, _)| *role == self.role);
        let found = own.first().and_then(|(_, turn)| turn.parse::<u64>().ok());
        if self.turn.is_some() && found != self.turn {
            let text = format!("G9: turn {:?} was taken, {found:?} is there", self.turn);
            tell(&Tell::Violation(text))?;
        }
        let next = found.unwrap_or(0) + 1;
        let mut lines: Vec<_> = others
            .iter()
            .map(|(role, turn)| format!("{role} {turn}\n"))
            .collect();
        lines.push(format!("{} {next}\n", self.role));
        let steps = Steps::new("turn").put(TURNS, lines.concat());
        match self.commit(journal, &steps.expecting(expect)) {
            Err(error) => refused(error),
            Ok(()) => {
                self.turn = Some(next);
                Ok(())
            }
        }
    }

    /// Checks that an exclusive lock excludes all others.
    fn be_alone(&mut self, journal: &Journal) -> Done {
        let lock = journal.lock(ROOM, LockMode::Exclusive, "be alone", None)?;
        tell(&Tell::Waited(lock.waited()))?;
        let (room, mine) = (
            self.world.outside().join(ROOM),
            format!("{} {}", self.role, self.random.next()),
        );
        fs::write(&room, &mine)?;
        self.take_turn(journal)?;
        let found = fs::read_to_string(&room)?;
        if found != mine {
            tell(&Tell::Violation(format!(
                "G6: {mine} was alone with {found}"
            )))?;
        }
        Ok(())
    }

    /// Checks that nothing changes under a shared lock.
    fn look_together(&mut self, journal: &Journal) -> Done {
        let lock = journal.lock(ROOM, LockMode::Shared, "look", None)?;
        tell(&Tell::Waited(lock.waited()))?;
        let room = self.world.outside().join(ROOM);
        let before = fs::read_to_string(&room).ok();
        // A holder of a lock does not wait for a tree that is held exclusively.
        self.roll_back(journal).or_else(refused)?;
        let after = fs::read_to_string(&room).ok();
        if before != after {
            let text = format!("G6: {before:?} became {after:?} under a shared lock");
            tell(&Tell::Violation(text))?;
        }
        Ok(())
    }

    /// Replaces a tree that this process and others have pinned: the pinned tree stays complete.
    fn install_pinned(&mut self, journal: &Journal) -> Done {
        let pin = match self.random.chance(1, 2) {
            true => journal.pin(TREE)?,
            false => None,
        };
        let on_pinned = match self.random.below(3) {
            0 => OnPinned::Exchange,
            1 => OnPinned::Wait,
            _ => OnPinned::Fail,
        };
        let options = TreeOptions {
            on_pinned,
            durability: Durability::Durable,
            ..TreeOptions::default()
        };
        let source = storm_tree(self.random.below(2)).source();
        let begun = Instant::now();
        let mut txn = journal.begin("pinned");
        let installed = txn
            .tree(TREE, source, options)
            .and_then(|()| txn.prepare()?.commit());
        tell(&Tell::Waited(begun.elapsed()))?;
        if let Some(pin) = pin {
            let found = Snapshot::of(pin.path().as_str().into());
            if let Some(differences) = is_no_tree(&found) {
                let text = format!("G7: a pinned tree is {differences:?}");
                tell(&Tell::Violation(text))?;
            }
        }
        match installed {
            Ok(_) => Ok(()),
            Err(error) => refused(error.into()),
        }
    }

    fn commit(&self, journal: &Journal, steps: &Steps) -> Done {
        let begun = Instant::now();
        let receipt = steps.try_commit(journal)?;
        let took = begun.elapsed();
        if !receipt.changed_anything() {
            tell(&Tell::Unchanged { took })?;
        }
        Ok(tell(&Tell::Waited(took))?)
    }
}

/// Reports a conflict where one is permitted.
fn refused(error: Box<dyn std::error::Error>) -> Done {
    match error.downcast_ref::<Error>() {
        Some(Error::Conflict(conflict)) => {
            let kind = format!("{:?}", conflict.kind);
            let word = kind.split([' ', '(']).next().unwrap_or_default();
            Ok(tell(&Tell::Refused(format!("{}: {word}", conflict.path)))?)
        }
        _ => Err(error),
    }
}
