//! Concurrent processes that are stopped and killed at random, readers that check continuously, and a vandal that
//! removes the build directory.

use std::ops::Range;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tljournal_testkit::{Account, Random, Role, Stops, Storm, World};
use tljournal_tests::{check_after_storm, check_after_vandal, counted, number};

use crate::ACTOR;

/// Repeats a storm: its seed.
const SEED: &str = "TLJOURNAL_STORM_SEED";

/// The duration of a storm in seconds.
const SECONDS: &str = "TLJOURNAL_STORM_SECONDS";

/// A storm starts processes all the time, which disturbs checks of leftovers.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a storm of the roles, each process started with this command, and checks the result.
fn storm(
    roles: Vec<Role>,
    begin: &[&str],
    check: impl FnOnce(&World, &Account) -> Vec<String>,
) -> Account {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = number(SEED).unwrap_or_else(Random::fresh_seed);
    println!("{SEED}={seed}");
    let world = World::new();
    let length = Duration::from_secs(number(SECONDS).unwrap_or(5));
    let command = |role: &Role, generation: u64, last: u64| {
        let mixed = seed ^ generation << 16 ^ u64::from(role.name.bytes().last().unwrap());
        let words = [begin, &[ACTOR, "storm-one"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command.args([world.root().as_str(), &role.name]);
        command.args([last.to_string(), mixed.to_string()]);
        command
    };
    let account = Storm::new(roles, length, seed)
        .run(command, |_| {})
        .unwrap();
    println!("{account}");
    counted(account.commits as usize, "commits");
    counted(account.kills as usize, "kills");
    counted(account.reads as usize, "reads that were checked");
    let mut wrong = account.violations.clone();
    wrong.extend(check(&world, &account));
    if !wrong.is_empty() {
        let kept = world.keep();
        panic!(
            "seed {seed}, everything is in {kept}:\n{}",
            wrong.join("\n")
        );
    }
    account
}

/// Checks everything after a storm, and that the last durable number of each role exists.
fn check_all(world: &World, account: &Account) -> Vec<String> {
    let mut wrong = check_after_storm(world);
    for (role, last) in &account.last {
        // A process that was killed before its first commit has no number.
        let path = format!("build/state/{role}");
        let found: u64 = match world.exists(&path) {
            true => world.read(&path).parse().unwrap(),
            false => 0,
        };
        if found != *last && found != last + 1 {
            wrong.push(format!("G2: {role} was promised {last}, {found} is there"));
        }
    }
    if account.reads == 0 || account.commits == 0 {
        wrong.push("nothing was read or committed".to_owned());
    }
    wrong
}

fn ms(range: Range<u64>) -> Range<Duration> {
    Duration::from_millis(range.start)..Duration::from_millis(range.end)
}

fn roles(count: u32, role: impl Fn(u32) -> Role) -> Vec<Role> {
    (1..=count).map(role).collect()
}

#[test]
fn g1_g2_g3_g7_processes_that_are_killed_at_random_leave_everything_right() {
    let worker = |n| Role::new(format!("worker-{n}")).living(ms(5..700));
    let reader = |n| Role::new(format!("reader-{n}"));
    storm(
        [roles(8, worker), roles(2, reader)].concat(),
        &[],
        check_all,
    );
}

#[test]
fn g6_killed_readers_block_no_other_process() {
    let reader = |n| Role::new(format!("reader-{n}")).living(ms(20..200));
    let worker = |n| Role::new(format!("worker-{n}"));
    storm(
        [roles(4, reader), roles(2, worker)].concat(),
        &[],
        check_all,
    );
}

/// Some processes restore and undo the tree, while others install and pin it, and retained content is deleted
/// concurrently.
#[test]
fn g1_g7_g9_concurrent_undos_lose_no_change() {
    let regretter = |n| Role::new(format!("regretter-{n}")).living(ms(50..900));
    let worker = |n| {
        let role = Role::new(format!("worker-{n}"));
        match n % 2 {
            0 => role.living(ms(50..900)),
            _ => role,
        }
    };
    let reader = |n| Role::new(format!("reader-{n}"));
    let all = [roles(3, regretter), roles(4, worker), roles(2, reader)].concat();
    let account = storm(all, &[], check_all);
    assert!(!account.refusals.is_empty(), "{account}");
}

/// A concurrent check reports only damage, and a repair of leftovers breaks nothing of running processes.
#[test]
fn g3_g9_a_check_during_a_storm_finds_no_problem() {
    let worker = |n| Role::new(format!("worker-{n}")).living(ms(50..900));
    let regretter = |n| Role::new(format!("regretter-{n}")).living(ms(50..900));
    let checker = |n| Role::new(format!("checker-{n}"));
    let mender = |n| Role::new(format!("mender-{n}")).living(ms(50..1500));
    let reader = |n| Role::new(format!("reader-{n}"));
    let living = [roles(4, worker), roles(2, regretter), roles(2, mender)];
    let all = [&living.concat()[..], &roles(1, checker), &roles(1, reader)].concat();
    storm(all, &[], check_all);
}

#[test]
fn g1_g6_stopped_and_continued_processes_make_progress() {
    let stops = Stops {
        after: ms(20..400),
        long: ms(5..200),
    };
    let worker = |n| {
        let role = Role::new(format!("worker-{n}")).stopped(stops.clone());
        match n % 2 {
            0 => role.living(ms(50..1500)),
            _ => role,
        }
    };
    let reader = |n| Role::new(format!("reader-{n}")).stopped(stops.clone());
    let account = storm(
        [roles(6, worker), roles(2, reader)].concat(),
        &[],
        check_all,
    );
    assert!(account.stops > 0, "{account}");
}

#[test]
fn g1_g9_g10_the_loss_of_the_home_is_reported_and_work_continues() {
    let survivor = |n| {
        let role = Role::new(format!("survivor-{n}"));
        match n % 2 {
            0 => role.living(ms(50..1500)),
            _ => role,
        }
    };
    let all = [roles(6, survivor), vec![Role::new("vandal-1")]].concat();
    let account = storm(all, &[], |world, account| {
        let mut wrong = check_after_vandal(world);
        // Only these commits can be checked.
        if account.reads == 0 {
            wrong.push("no process made progress".to_owned());
        }
        wrong
    });
    let told = |word: &str| account.refusals.keys().any(|what| what.contains(word));
    assert!(told("the vandal"), "{account}");
}

/// Every process is the first one of its own pid namespace: all of them have the same pid.
#[test]
fn g6_processes_with_equal_pids_are_distinguished() {
    let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let mut tried = Command::new(unshare[0]);
    tried.args(&unshare[1..]).arg("true");
    if !tried.output().is_ok_and(|tried| tried.status.success()) {
        println!("skipped: there are no pid namespaces here");
        return;
    }
    let worker = |n| Role::new(format!("worker-{n}")).living(ms(50..900));
    let reader = |n| Role::new(format!("reader-{n}"));
    storm(
        [roles(6, worker), roles(1, reader)].concat(),
        &unshare,
        check_all,
    );
}
