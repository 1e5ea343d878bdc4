//! The account of the demo, while it runs and at the end.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tljournal::Recovery;
use tljournal_testkit::Account;

use super::plan::Plan;
use crate::output::{BAD, BOLD, DIM, GOOD, Output};
use crate::text::{bytes, clean};

/// The status line, on a terminal only.
pub(super) struct Live {
    shown: bool,
    turn: usize,
}

const TURNS: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

impl Live {
    pub(super) fn new(output: Output, seed: u64) -> Self {
        let shown = output.shows_progress() && io::stderr().is_terminal();
        if output.shows_progress() {
            let text =
                format!("{DIM}seed {seed}; repeat with: tljournal demo --seed {seed}{DIM:#}\n");
            crate::output::to_stderr(&text);
        }
        Self { shown, turn: 0 }
    }

    pub(super) fn say(&mut self, text: &str) {
        if self.shown {
            self.turn += 1;
            let turn = TURNS[self.turn % TURNS.len()];
            crate::output::to_stderr(&format!("\r\x1b[K{GOOD}{turn}{GOOD:#} {text}"));
        }
    }

    pub(super) fn show(&mut self, account: &Account) {
        let style = if account.violations.is_empty() {
            GOOD
        } else {
            BAD
        };
        let text = format!(
            "{:>4.1} s   {} commits   {} kills   {} reads   {style}{} violations{style:#}",
            account.took.as_secs_f64(),
            grouped(account.commits),
            grouped(account.kills),
            grouped(account.reads),
            account.violations.len(),
        );
        self.say(&text);
    }

    pub(super) fn clear(&self) {
        if self.shown {
            crate::output::to_stderr("\r\x1b[K");
        }
    }
}

/// The data of the summary.
pub(super) struct Shown<'a> {
    pub(super) account: &'a Account,
    pub(super) last: &'a Recovery,
    pub(super) plan: &'a Plan,
    pub(super) processes: u32,
    pub(super) took: Duration,
}

/// Violations beyond these are only counted.
const VIOLATIONS_SHOWN: usize = 20;

impl Shown<'_> {
    pub(super) fn json(&self) -> Value {
        let account = self.account;
        json!({
            "seed": account.seed,
            "processes": self.processes,
            "commits": account.commits,
            "unchanged": account.unchanged,
            "bytes": account.bytes,
            "kills": account.kills,
            "starts": account.starts,
            "rolled_forward": account.finished,
            "rolled_back": account.rolled_back,
            "reads": account.reads,
            "longest_lock_wait_seconds": account.longest_wait.as_secs_f64(),
            "longest_commit_seconds": account.longest_commit.as_secs_f64(),
            "seconds": self.took.as_secs_f64(),
            "violations": account.violations,
        })
    }

    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let account = self.account;
        let variant = &self.plan.variants[0];
        let tree = format!(
            "{} files, {}, in two variants",
            variant.files.len(),
            bytes(variant.bytes())
        );
        let kills = format!(
            "of {} processes, {} at a time",
            account.starts, self.processes
        );
        let last = format!(
            "{} rolled forward, {} rolled back; every byte checked",
            self.last.finished, self.last.rolled_back
        );
        writeln!(
            out,
            "{BOLD}Summary: {} concurrent writers, {} of them killed{BOLD:#}",
            self.processes,
            grouped(account.kills)
        )?;
        let mut row = |name: &str, value: &str, more: &str| {
            let more = match more {
                "" => String::new(),
                more => format!("  {DIM}{more}{DIM:#}"),
            };
            writeln!(out, "  {name:<18}{BOLD}{value:>10}{BOLD:#}{more}")
        };
        row("tree", "", &tree)?;
        let unchanged = format!("and {} that changed nothing", grouped(account.unchanged));
        row("commits", &grouped(account.commits), &unchanged)?;
        row("kills", &grouped(account.kills), &kills)?;
        row(
            "rolled forward",
            &grouped(account.finished),
            "finished by the next process",
        )?;
        row(
            "rolled back",
            &grouped(account.rolled_back),
            "no trace left",
        )?;
        row(
            "checks by readers",
            &grouped(account.reads),
            "concurrent with the writers",
        )?;
        row("worst lock wait", &seconds(account.longest_wait), "")?;
        row(
            "worst commit",
            &seconds(account.longest_commit),
            "from its first byte to its return",
        )?;
        row("content moved", &bytes(account.bytes), "")?;
        row("last recovery", "", &last)?;
        row("took", &seconds(self.took), "")?;
        let count = account.violations.len();
        let style = if count == 0 { GOOD } else { BAD };
        writeln!(out, "  {style}{:<18}{count:>10}{style:#}", "violations")?;
        for violation in account.violations.iter().take(VIOLATIONS_SHOWN) {
            writeln!(out, "    {BAD}{}{BAD:#}", clean(violation))?;
        }
        Ok(())
    }
}

fn seconds(long: Duration) -> String {
    format!("{:.2} s", long.as_secs_f64())
}

/// A number with thousands separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
