//! Alternated pairs, medians, and the table they end in.

use std::time::{Duration, Instant};

use crate::Fallible;

/// The table of all ratios.
#[derive(Debug, Default)]
pub(crate) struct Report {
    missed: Vec<String>,
}

impl Report {
    /// An empty table; prints its head.
    pub(crate) fn new() -> Self {
        println!(
            "{:<58} {:>10} {:>10} {:>7} {:>7}",
            "what", "ours", "peer", "ratio", "goal"
        );
        Self::default()
    }

    /// Adds a comparison: `goal` is the highest ratio that is good.
    pub(crate) fn compare(&mut self, what: &str, (ours, peer): (Duration, Duration), goal: f64) {
        self.ratio(
            what,
            (&shown(ours), &shown(peer)),
            ours.as_secs_f64() / peer.as_secs_f64(),
            goal,
        );
    }

    /// Says why something is not compared.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        println!("{what:<58} skipped: {why}");
    }

    /// Adds a ratio that is good when it is at most `goal`.
    pub(crate) fn ratio(&mut self, what: &str, (ours, peer): (&str, &str), ratio: f64, goal: f64) {
        let mark = if ratio <= goal { ' ' } else { '!' };
        println!("{what:<58} {ours:>10} {peer:>10} {ratio:>6.2}{mark} {goal:>7.2}");
        if ratio > goal {
            self.missed
                .push(format!("{what}: {ratio:.2} instead of {goal:.2}"));
        }
    }

    /// Says which goals were missed. A smoke run judges nothing.
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

/// Runs two things in turn, and returns the median time of each. The first pair only warms up.
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

/// The same for things that measure themselves, because part of what they do does not count.
pub(crate) fn timed(
    rounds: usize,
    mut ours: impl FnMut(usize) -> Fallible<Duration>,
    mut peer: impl FnMut(usize) -> Fallible<Duration>,
) -> Fallible<(Duration, Duration)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        // Whoever comes second meets what the first left behind: they take turns at that too.
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

/// How long something takes.
pub(crate) fn time(act: impl FnOnce() -> Fallible<()>) -> Fallible<Duration> {
    let begun = Instant::now();
    act()?;
    Ok(begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
