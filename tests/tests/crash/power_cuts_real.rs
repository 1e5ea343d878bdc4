//! Real power cuts: the medium is cloned at random moments of a storm, and each clone is mounted and recovered
//! afterwards. Half of the recoveries are cut too.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tljournal::Recovery;
use tljournal_testkit::{Account, Moment, Random, Role, Steps, Storm, When, World};
use tljournal_tests::{Drive, Format, Promised, Running, Shelf, counted, number, storm_tree};

use crate::ACTOR;

/// Repeats the storms and the moments, as far as timing allows.
const SEED: &str = "TLJOURNAL_CUT_SEED";

/// The number of storms per filesystem.
const ROUNDS: &str = "TLJOURNAL_CUT_ROUNDS";

/// The largest number of cuts per storm.
const CUTS_MAX: usize = 8;

/// The duration of a storm.
const LENGTH: Duration = Duration::from_millis(1500);

/// The delay between a report of the storm and a cut, unless the cut is immediate.
const DELAY: std::ops::Range<Duration> = Duration::ZERO..Duration::from_millis(40);

/// An interrupted recovery is killed at one of these calls, or completes before.
const RECOVERY_CALLS: u64 = 30;

/// Mounting and starting processes concurrently do not work together.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The result of all rounds.
#[derive(Debug, Default)]
struct Total {
    cuts: u32,
    promising: u32,
    cut_recoveries: u32,
    commits: u64,
    recovered: Recovery,
    violations: Vec<String>,
}

/// A power cut: the content of the medium, and the guarantees before.
struct Cut<'a> {
    drive: Drive<'a>,
    promised: Promised,
}

fn cut_power(format: Format) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = number(SEED).unwrap_or_else(Random::fresh_seed);
    println!("{SEED}={seed}");
    let Some(shelf) = Shelf::new() else { return };
    let mut random = Random::new(seed);
    let mut total = Total::default();
    let rounds = number(ROUNDS).unwrap_or(2);
    for round in 0..rounds {
        let Some(drive) = shelf.drive(format) else {
            return;
        };
        let way = random.pick(format.ways()).unwrap();
        let cuts = storm(&drive, way, roles(round), &mut random, &mut total);
        for (at, cut) in cuts.into_iter().enumerate() {
            let wrong = check(&cut, at, &mut random, &mut total);
            if !wrong.is_empty() {
                let story = format!("cut {at} of a storm on {format:?} ({way})");
                let kept = cut.drive.keep();
                total
                    .violations
                    .push(format!("{story}, {kept}:\n{}", wrong.join("\n")));
            }
        }
    }
    println!(
        "{format:?}: {rounds} storms, {} commits, {} cuts ({} with promises), {} recoveries cut, \
         {} violations, {:?}",
        total.commits,
        total.cuts,
        total.promising,
        total.cut_recoveries,
        total.violations.len(),
        total.recovered
    );
    counted(total.cuts as usize, "power cuts in storms");
    counted(total.cut_recoveries as usize, "power cuts in recoveries");
    assert!(
        total.violations.is_empty(),
        "{SEED}={seed}\n{}",
        total.violations.join("\n")
    );
    assert!(total.promising > 0, "no cut came after a commit: {total:?}");
}

/// Runs processes on a drive, and cuts its power repeatedly.
fn storm<'a>(
    drive: &Drive<'a>,
    way: &str,
    roles: Vec<Role>,
    random: &mut Random,
    total: &mut Total,
) -> Vec<Cut<'a>> {
    let running = drive.power_up(way).unwrap();
    let world = World::at(running.root().join("project"));
    std::fs::create_dir(world.root()).unwrap();
    running.sync();
    let has_tree = random.chance(1, 2);
    if has_tree {
        let journal = world.open();
        let steps = Steps::new("tree").tree("build/tools", storm_tree(0));
        steps.try_commit(&journal).unwrap();
        journal.close().unwrap();
    }
    let seed = random.next();
    let command = |role: &Role, generation: u64, last: u64| {
        let mixed = seed ^ generation << 16 ^ u64::from(role.name.bytes().last().unwrap());
        let mut command = Command::new(ACTOR);
        command.args(["storm-one", world.root().as_str(), &role.name]);
        command.args([last.to_string(), mixed.to_string()]);
        command
    };
    let mut cuts = Vec::new();
    let cut = |account: &Account| {
        if cuts.len() == CUTS_MAX || random.chance(1, 3) {
            return;
        }
        // An immediate cut comes right after a report, before another process has synced anything.
        if random.chance(1, 2) {
            std::thread::park_timeout(random.duration(&DELAY));
        }
        let promised = Promised::by(account, has_tree);
        if random.chance(1, 2) {
            running.flush();
        }
        let drive = drive.cut(&format!("cut-{}.img", cuts.len()));
        cuts.push(Cut { drive, promised });
    };
    let account = Storm::new(roles, LENGTH, seed).run(command, cut).unwrap();
    println!("{account}");
    total.commits += account.commits;
    total.violations.extend(account.violations);
    cuts
}

/// Alternates a single process, so that no other one syncs what it forgot, and several.
fn roles(round: u64) -> Vec<Role> {
    let worker = |number| Role {
        name: format!("worker-{number}"),
        life: Some(Duration::from_millis(200)..Duration::from_millis(1500)),
        stops: None,
    };
    let reader = Role {
        name: "reader-1".to_owned(),
        life: None,
        stops: None,
    };
    match round % 2 {
        0 => vec![worker(1)],
        _ => (1..=4).map(worker).chain([reader]).collect(),
    }
}

/// Restores the power and recovers; or cuts the power again meanwhile.
fn check(cut: &Cut<'_>, at: usize, random: &mut Random, total: &mut Total) -> Vec<String> {
    total.cuts += 1;
    total.promising += u32::from(cut.promised.anything());
    let again;
    let (mut running, mut wrong) = power_up(&cut.drive, &cut.promised);
    if random.chance(1, 2) {
        total.cut_recoveries += u32::from(recover_until(&running, random));
        again = cut.drive.cut(&format!("again-{at}.img"));
        drop(running);
        let (second, also_wrong) = power_up(&again, &cut.promised);
        running = second;
        wrong.extend(also_wrong);
    }
    let world = World::at(running.root().join("project"));
    wrong.extend(cut.promised.check_recovered(&world, &mut total.recovered));
    wrong
}

fn power_up(drive: &Drive<'_>, promised: &Promised) -> (Running, Vec<String>) {
    let running = drive.power_up(drive.ways()[0]).unwrap();
    let world = World::at(running.root().join("project"));
    let wrong = promised.check_unrecovered(&world);
    (running, wrong)
}

/// Recovers in a process that is killed at one of its calls; returns whether it was.
fn recover_until(running: &Running, random: &mut Random) -> bool {
    let moment = Moment {
        when: *random.pick(&[When::Before, When::After]).unwrap(),
        call: random.below(RECOVERY_CALLS) + 1,
    };
    let root = running.root().join("project");
    let ran = Command::new(ACTOR)
        .args([
            "kill-one",
            root.as_str(),
            "recover",
            "several",
            &moment.to_string(),
        ])
        .output()
        .unwrap();
    let killed = ran.status.signal() == Some(9);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(killed || ran.status.success(), "at {moment}: {complaint}");
    killed
}

#[test]
fn g1_g2_g3_power_cuts_on_ext4_lose_no_commit() {
    cut_power(Format::Ext4);
}

#[test]
fn g1_g2_g3_power_cuts_on_xfs_lose_no_commit() {
    cut_power(Format::Xfs);
}

#[test]
fn g1_g2_g3_power_cuts_on_btrfs_lose_no_commit() {
    cut_power(Format::Btrfs);
}

/// Otherwise the tests above would prove nothing.
#[test]
fn a_power_cut_loses_what_was_not_synced_and_nothing_else() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(shelf) = Shelf::new() else { return };
    for format in [Format::Ext4, Format::Xfs, Format::Btrfs] {
        let Some(drive) = shelf.drive(format) else {
            continue;
        };
        let running = drive.power_up(format.ways()[0]).unwrap();
        for name in ["kept", "lost"] {
            std::fs::write(running.root().join(name), name).unwrap();
        }
        let sync = |name| File::open(running.root().join(name)).unwrap().sync_all();
        sync("kept").unwrap();
        // The drive's own flush does not include data that it never received.
        running.flush();
        let cut = drive.cut("cut.img");
        drop(running);
        let running = cut.power_up(format.ways()[0]).unwrap();
        let read = |name| std::fs::read_to_string(running.root().join(name)).unwrap_or_default();
        assert_eq!(
            (read("kept").as_str(), read("lost").as_str()),
            ("kept", ""),
            "{format:?}"
        );
    }
}
