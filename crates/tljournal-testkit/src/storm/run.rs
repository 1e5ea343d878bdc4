use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::account::Account;
use super::evidence;
use super::process::{News, Process};
use super::role::Role;
use super::tell::Tell;
use crate::random::Random;

/// Processes that work concurrently and are stopped and killed at random.
#[derive(Debug)]
pub struct Storm {
    roles: Vec<Role>,
    length: Duration,
    random: Random,
    account: Account,
    processes: BTreeMap<usize, Process>,
    sender: Sender<News>,
    news: Receiver<News>,
}

impl Storm {
    /// A storm of these processes with this duration. The seed determines the kills.
    #[must_use]
    pub fn new(roles: Vec<Role>, length: Duration, seed: u64) -> Self {
        let (sender, news) = channel();
        Self {
            roles,
            length,
            random: Random::new(seed),
            account: Account {
                seed,
                ..Account::default()
            },
            processes: BTreeMap::new(),
            sender,
            news,
        }
    }

    /// Runs the storm. `command` creates the command of a role for a generation, from the number that its
    /// predecessors last made durable; `watch` receives the state several times a second.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn run(
        mut self,
        command: impl Fn(&Role, u64, u64) -> Command,
        mut watch: impl FnMut(&Account),
    ) -> io::Result<Account> {
        let begun = Instant::now();
        let end = begun + self.length;
        for slot in 0..self.roles.len() {
            self.start(slot, 0, &command)?;
        }
        let mut told = begun;
        while Instant::now() < end {
            let due = |process: &Process| [process.dies, process.turns];
            let next = self.processes.values().flat_map(due).flatten();
            let next = next.chain([end, Instant::now() + WATCH_EVERY]).min();
            let pause = next.map_or(WATCH_EVERY, |at| {
                at.saturating_duration_since(Instant::now())
            });
            let news = self.news.recv_timeout(pause).ok();
            if let Some((slot, generation)) = news.and_then(|news| self.take(news)) {
                self.start(slot, generation + 1, &command)?;
            }
            self.strike_due();
            self.end_silence();
            self.account.took = begun.elapsed();
            if told.elapsed() >= WATCH_EVERY {
                told = Instant::now();
                watch(&self.account);
            }
        }
        self.calm();
        self.stop();
        self.account.took = begun.elapsed();
        Ok(self.account)
    }

    fn start(
        &mut self,
        slot: usize,
        generation: u64,
        command: &impl Fn(&Role, u64, u64) -> Command,
    ) -> io::Result<()> {
        let role = &self.roles[slot];
        let last = self.account.last.get(&role.name).copied().unwrap_or(0);
        let now = Instant::now();
        let life = role.life.as_ref();
        let dies = life.map(|life| now + self.random.duration(life));
        let stops = role.stops.as_ref();
        let turns = stops.map(|stops| now + self.random.duration(&stops.after));
        let command = command(role, generation, last);
        let due = (dies, turns);
        let process = Process::start(command, (slot, generation), due, &self.sender)?;
        self.processes.insert(slot, process);
        self.account.starts += 1;
        Ok(())
    }

    /// Processes a message; returns the slot and generation if the process has ended.
    fn take(&mut self, News { from, line }: News) -> Option<(usize, u64)> {
        let (slot, generation) = from;
        let role = &self.roles[slot];
        let (kind, name) = (role.kind().to_owned(), role.name.clone());
        if let Some(process) = self.processes.get_mut(&slot) {
            process.heard = Instant::now();
        }
        if let Some(line) = line {
            match line.parse::<Tell>() {
                Ok(told) => self.account.add(&kind, &name, told),
                // A process may be killed in the middle of a line, and only then.
                Err(()) => note_unknown(&mut self.account, &name, &line),
            }
            return None;
        }
        let current = |process: &Process| process.generation == generation;
        if !self.processes.get(&slot).is_some_and(current) {
            return None;
        }
        let (status, complaint) = self.processes.remove(&slot)?.end();
        match status {
            // Processes without a limited life are killed only because the storm is over.
            Ok(status) if status.signal() == Some(SIGKILL) => {
                self.account.kills += u64::from(self.roles[slot].life.is_some());
            }
            Ok(status) if status.success() => {}
            ended => {
                let ended =
                    ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                let text = format!("{name}: it failed ({ended}): {complaint}");
                self.account.violations.push(text);
            }
        }
        Some(from)
    }

    /// Kills, stops and continues the processes whose time has come.
    fn strike_due(&mut self) {
        let now = Instant::now();
        for (slot, process) in &mut self.processes {
            if process.dies.is_some_and(|at| at <= now) {
                process.kill();
                (process.dies, process.turns) = (None, None);
            }
            if process.turns.is_some_and(|at| at <= now) {
                process.set_stopped(!process.stopped);
                self.account.stops += u64::from(process.stopped);
                process.turns = self.roles[*slot].stops.as_ref().map(|stops| {
                    let next = if process.stopped {
                        &stops.long
                    } else {
                        &stops.after
                    };
                    now + self.random.duration(next)
                });
            }
        }
    }

    /// Kills processes that have been silent for too long.
    fn end_silence(&mut self) {
        for (slot, process) in &mut self.processes {
            if !process.stopped && process.heard.elapsed() > SILENCE_MAX {
                let found = evidence::of_silence(process.pid());
                let name = &self.roles[*slot].name;
                let text = format!("{name}: it is silent:\n  {found}");
                self.account.violations.push(text);
                process.kill();
                (process.dies, process.turns) = (None, None);
                process.heard = Instant::now();
            }
        }
    }

    /// Continues all processes, and waits for a report of each, to detect deadlocks.
    fn calm(&mut self) {
        for process in self.processes.values_mut() {
            (process.dies, process.turns) = (None, None);
            process.set_stopped(false);
        }
        // Reports from before the calm do not count.
        while let Ok(news) = self.news.try_recv() {
            let _ = self.take(news);
        }
        let begun = Instant::now();
        for process in self.processes.values_mut() {
            process.heard = begun;
        }
        while self
            .processes
            .values()
            .any(|process| process.heard <= begun)
        {
            if let Ok(news) = self.news.recv_timeout(WATCH_EVERY) {
                let _ = self.take(news);
            }
            self.end_silence();
        }
    }

    /// Kills the remaining processes, and reads their output to the end.
    fn stop(&mut self) {
        for process in self.processes.values_mut() {
            process.kill();
        }
        while !self.processes.is_empty() {
            match self.news.recv() {
                Ok(news) => {
                    let _ = self.take(news);
                }
                Err(_) => return,
            }
        }
    }
}

const SIGKILL: i32 = 9;

/// The longest silence of a process that is not stopped. No wait takes nearly as long.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How often `watch` is called.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// Reports an invalid line, unless it is the start of one that was truncated by a kill.
fn note_unknown(account: &mut Account, who: &str, line: &str) {
    const WORDS: [&str; 8] = [
        "commit",
        "found",
        "same",
        "recovered",
        "read",
        "waited",
        "refused",
        "violation",
    ];
    let word = line.split(' ').next().unwrap_or(line);
    if !WORDS.iter().any(|known| known.starts_with(word)) {
        account
            .violations
            .push(format!("{who}: invalid output {line:?}"));
    }
}
