use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::tell::Tell;
use super::waits::Waits;

/// The result of a storm.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The seed that determined the kills.
    pub seed: u64,
    /// Commits that changed something.
    pub commits: u64,
    /// Commits that changed nothing.
    pub unchanged: u64,
    /// Bytes of new content that were committed.
    pub bytes: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Times that a process was stopped for a while.
    pub stops: u64,
    /// Processes that were started.
    pub starts: u64,
    /// Transactions that a killed process left past their commit point, finished by another process.
    pub finished: u64,
    /// Transactions that a killed process left before their commit point.
    pub rolled_back: u64,
    /// Checks without a problem.
    pub reads: u64,
    /// The longest commit, including its waits.
    pub longest_commit: Duration,
    /// The longest wait for a lock.
    pub longest_wait: Duration,
    /// The waits, by the kind of role.
    pub waits: BTreeMap<String, Waits>,
    /// The number of refusals, by their description.
    pub refusals: BTreeMap<String, u64>,
    /// The duration of the storm.
    pub took: Duration,
    /// The violated guarantees.
    pub violations: Vec<String>,
    /// The number that each process last made durable, by role.
    pub last: BTreeMap<String, u64>,
}

impl Account {
    pub(super) fn add(&mut self, kind: &str, who: &str, told: Tell) {
        match told {
            Tell::Committed {
                number,
                took,
                bytes,
            } => {
                self.commits += 1;
                self.bytes += bytes;
                self.longest_commit = self.longest_commit.max(took);
                self.last.insert(who.to_owned(), number);
            }
            Tell::Found { number } => {
                self.last.insert(who.to_owned(), number);
            }
            Tell::Unchanged { took } => {
                self.unchanged += 1;
                self.longest_commit = self.longest_commit.max(took);
            }
            Tell::Recovered {
                finished,
                rolled_back,
            } => {
                self.finished += u64::from(finished);
                self.rolled_back += u64::from(rolled_back);
            }
            Tell::Read => self.reads += 1,
            Tell::Waited(long) => {
                self.longest_wait = self.longest_wait.max(long);
                self.waits.entry(kind.to_owned()).or_default().add(long);
            }
            Tell::Refused(what) => *self.refusals.entry(what).or_default() += 1,
            Tell::Violation(text) => self.violations.push(format!("{who}: {text}")),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} commits, {} unchanged, {} kills and {} stops of {} processes, {} finished, {} rolled back, \
             {} reads, longest commit {:.3} s, longest wait {:.3} s, {} violations in {:.1} s",
            self.seed,
            self.commits,
            self.unchanged,
            self.kills,
            self.stops,
            self.starts,
            self.finished,
            self.rolled_back,
            self.reads,
            self.longest_commit.as_secs_f64(),
            self.longest_wait.as_secs_f64(),
            self.violations.len(),
            self.took.as_secs_f64(),
        )?;
        for (kind, waits) in &self.waits {
            write!(f, "\n  {kind}: {waits}")?;
        }
        for (what, count) in &self.refusals {
            write!(f, "\n  refused {count} times: {what}")?;
        }
        Ok(())
    }
}
