//! Alternating pairs, medians, and the table of results.

use std::time::{Duration, Instant};

use crate::Fallible;

/// The table of ratios.
#[derive(Debug, Default)]
pub(crate) struct Report {
    missed: Vec<String>,
}

impl Report {
    /// An empty table; prints its header.
    pub(crate) fn new() -> Self {
        println!(
            "{:<58} {:>10} {:>10} {:>7} {:>7}",
            "what", "ours", "peer", "ratio", "goal"
        );
        Self::default()
    }

    /// Adds a comparison: `goal` is the highest acceptable ratio.
    pub(crate) fn compare(&mut self, what: &str, (ours, peer): (Duration, Duration), goal: f64) {
        self.ratio(
            what,
            (&shown(ours), &shown(peer)),
            ours.as_secs_f64() / peer.as_secs_f64(),
            goal,
        );
    }

    /// Prints why a comparison is skipped.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        println!("{what:<58} skipped: {why}");
    }

    /// Adds a ratio, which must be at most `goal`.
    pub(crate) fn ratio(&mut self, what: &str, (ours, peer): (&str, &str), ratio: f64, goal: f64) {
        let mark = if ratio <= goal { ' ' } else { '!' };
        println!("{what:<58} {ours:>10} {peer:>10} {ratio:>6.2}{mark} {goal:>7.2}");
        if ratio > goal {
            self.missed
                .push(format!("{what}: {ratio:.2} instead of {goal:.2}"));
        }
    }

    /// Reports the goals that were missed. A smoke run checks none.
    pub(crate) fn finish(self, smoke: bool) {
        match (smoke, self.missed.is_empty()) {
            (true, _) => println!("smoke run: the numbers mean nothing"),
            (false, true) => println!("every goal was reached"),
            (false, false) => println!("missed (!): {}", self.missed.join("; ")),
        }
    }
}

fn shown(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// Runs two things alternately, and returns the median time of each. The first pair is a warm-up.
pub(crate) fn pairs(
    rounds: usize,
    mut ours: impl FnMut(usize) -> Fallible<()>,
    mut peer: impl FnMut(usize) -> Fallible<()>,
) -> Fallible<(Duration, Duration)> {
    timed(
        rounds,
        |round| time(|| ours(round)),
        |round| time(|| peer(round)),
    )
}

/// The same for functions that measure themselves, because part of their work does not count.
pub(crate) fn timed(
    rounds: usize,
    mut ours: impl FnMut(usize) -> Fallible<Duration>,
    mut peer: impl FnMut(usize) -> Fallible<Duration>,
) -> Fallible<(Duration, Duration)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        // The second one runs in the state that the first one left, so the order alternates.
        if round % 2 == 0 {
            a.push(ours(round)?);
            b.push(peer(round)?);
        } else {
            b.push(peer(round)?);
            a.push(ours(round)?);
        }
    }
    Ok((median(a.split_off(1)), median(b.split_off(1))))
}

/// The time that something takes.
pub(crate) fn time(act: impl FnOnce() -> Fallible<()>) -> Fallible<Duration> {
    let begun = Instant::now();
    act()?;
    Ok(begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
