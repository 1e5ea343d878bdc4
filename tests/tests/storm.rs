//! Eight processes at once, killed at random, and readers that check all the time.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that says how much it did"
)]

use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tljournal_testkit::{Random, Role, Storm, World};
use tljournal_tests::check_after_storm;

/// Repeats a storm: its seed.
const SEED: &str = "TLJOURNAL_STORM_SEED";

/// How many seconds a storm goes on.
const SECONDS: &str = "TLJOURNAL_STORM_SECONDS";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A storm starts processes all the time, which is no quiet time to check what another one has left.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn storm(roles: Vec<Role>) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = number(SEED).unwrap_or_else(Random::fresh_seed);
    println!("{SEED}={seed}");
    let world = World::new();
    let length = Duration::from_secs(number(SECONDS).unwrap_or(5));
    let command = |role: &Role, generation: u64, last: u64| {
        let mixed = seed ^ generation << 16 ^ u64::from(role.name.bytes().last().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_storm-one"));
        command.args([world.root().as_str(), &role.name]);
        command.args([last.to_string(), mixed.to_string()]);
        command
    };
    let account = Storm::new(roles, length, seed)
        .run(command, |_| {})
        .unwrap();
    println!("{account}");
    let mut wrong = account.violations.clone();
    wrong.extend(check_after_storm(&world));
    for (role, last) in &account.last {
        let found: u64 = world.read(&format!("build/state/{role}")).parse().unwrap();
        if found != *last && found != last + 1 {
            wrong.push(format!("G2: {role} was promised {last}, {found} is there"));
        }
    }
    if !wrong.is_empty() {
        let kept = world.keep();
        panic!(
            "seed {seed}, everything is in {kept}:\n{}",
            wrong.join("\n")
        );
    }
    assert!(account.reads > 0 && account.commits > 0, "{account}");
}

fn roles(kind: &str, count: u32, life: Option<std::ops::Range<Duration>>) -> Vec<Role> {
    let role = |number| Role {
        name: format!("{kind}-{number}"),
        life: life.clone(),
    };
    (1..=count).map(role).collect()
}

#[test]
fn g1_g2_g3_g7_processes_that_are_killed_at_random_leave_everything_right() {
    let life = Duration::from_millis(5)..Duration::from_millis(700);
    let mut all = roles("worker", 8, Some(life));
    all.extend(roles("reader", 2, None));
    storm(all);
}

#[test]
fn g6_readers_may_be_killed_too_and_hold_nobody_up() {
    let life = Duration::from_millis(20)..Duration::from_millis(200);
    let mut all = roles("reader", 4, Some(life));
    all.extend(roles("worker", 2, None));
    storm(all);
}
