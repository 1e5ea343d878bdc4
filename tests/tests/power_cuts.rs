//! Every power cut that may interrupt a transaction of each kind, in memory: see `tljournal_testkit::crash`
//! for what is modelled.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that says how much it did"
)]

use tljournal_testkit::crash::{Budget, Explorer};
use tljournal_tests::{Interrupted, all_cases, End};

/// Chooses what is tried.
const SEED: &str = "TLJOURNAL_CRASH_SEED";

/// How many states of each kind of transaction are tried.
const STATES: &str = "TLJOURNAL_CRASH_STATES";

/// Tries one cut again: `CASE: at=N ..`.
const REPLAY: &str = "TLJOURNAL_CRASH_REPLAY";

fn number(name: &str, default: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(default, |said| said.parse().unwrap())
}

#[test]
fn g1_g2_every_cut_leaves_all_or_nothing() {
    let states = number(STATES, 100) as usize;
    let budget = Budget {
        seed: number(SEED, 1),
        states,
        recoveries: states / 20,
    };
    println!("{SEED}={}", budget.seed);
    let mut failures = Vec::new();
    let mut total = 0;
    for case in all_cases().into_iter().filter(|case| case.end != End::Conflict) {
        if std::env::var("CASE").is_ok_and(|only| only != case.name) { continue; }
        let name = case.name;
        let subject = Interrupted::new(case);
        let explorer = Explorer::record(&subject);
        if let Ok(replay) = std::env::var(REPLAY) {
            let Some(cut) = replay.strip_prefix(&format!("{name}: ")) else {
                continue;
            };
            println!("{}", explorer.story().join("\n"));
            println!("{:#?}", explorer.replay(cut).unwrap());
            continue;
        }
        let begun = std::time::Instant::now();
        let report = explorer.explore(budget, &|| {});
        println!("{name}: {} calls, {} cuts, {} states, {} in {} recoveries, {} wrong, {:?}", report.calls, report.cuts, report.states, report.states_in_recovery, report.recoveries, report.found.len(), begun.elapsed());
        total += report.states + report.states_in_recovery;
        for found in report.found.iter().take(3) {
            println!("{REPLAY}='{name}: {}'\n{}", found.replay, found.wrong.join("\n"));
        }
        failures.extend(report.found);
    }
    println!("{total} states");
    assert!(failures.is_empty(), "{} states", failures.len());
}
