//! Power cuts at single calls on real filesystems: a process is killed before or after one of its mutating calls, and
//! at the same time the power of its drive is cut.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tljournal_testkit::crash::Subject;
use tljournal_testkit::{Moment, Random, When, World, check_at_rest, explain};
use tljournal_tests::{Case, Drive, End, Format, Interrupted, Shelf, all_cases, counted, number};

use crate::ACTOR;

/// Selects the moments; the same seed selects the same ones.
const SEED: &str = "TLJOURNAL_CUT_SEED";

/// The number of moments per filesystem.
const MOMENTS: &str = "TLJOURNAL_CUT_MOMENTS";

/// Most transactions have ended after this many calls.
const CALLS: u64 = 50;

/// Processes that are started while another test mounts would hold its mounts.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn cut_at_calls(format: Format) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = number(SEED).unwrap_or_else(Random::fresh_seed);
    println!("{SEED}={seed}");
    let Some(shelf) = Shelf::new() else { return };
    let Some(fresh) = shelf.drive(format) else {
        return;
    };
    let mut random = Random::new(seed);
    let cases = all_cases().into_iter();
    let cases: Vec<_> = cases.filter(|case| case.end != End::Conflict).collect();
    let (moments, mut killed, mut wrong) = (number(MOMENTS).unwrap_or(10), 0, Vec::new());
    for _ in 0..moments {
        let case = random.pick(&cases).unwrap();
        let moment = Moment {
            when: *random.pick(&[When::Before, When::After]).unwrap(),
            call: random.below(CALLS) + 1,
        };
        let way = random.pick(format.ways()).unwrap();
        let trial = Trial {
            case,
            moment,
            way,
            flush: random.chance(1, 3),
        };
        let (was_killed, found) = trial.run(&fresh);
        killed += u64::from(was_killed);
        let story = format!("{} cut at {moment} ({way})", case.name);
        wrong.extend(found.into_iter().map(|line| format!("{story}: {line}")));
    }
    println!(
        "{format:?}: {moments} moments, {killed} before the end, {} wrong",
        wrong.len()
    );
    counted(moments as usize, "power cuts at single calls");
    assert!(wrong.is_empty(), "{SEED}={seed}\n{}", wrong.join("\n"));
    assert!(killed > 0, "every process came to its end");
}

/// One transaction that is cut at one of its calls.
struct Trial<'a> {
    case: &'a Case,
    moment: Moment,
    way: &'a str,
    flush: bool,
}

impl Trial<'_> {
    /// Whether the process was killed, and the problems afterwards.
    fn run(&self, fresh: &Drive<'_>) -> (bool, Vec<String>) {
        let drive = fresh.cut("trial.img");
        let running = drive.power_up(self.way).unwrap();
        let world = World::at(running.root().join("project"));
        world.make_dir("");
        let subject = Interrupted::new(self.case.clone());
        subject.prepare(&world);
        running.sync();
        let (killed, done) = self.kill(&world);
        if self.flush {
            running.flush();
        }
        let cut = drive.cut("cut.img");
        drop(running);
        let running = cut.power_up(fresh.ways()[0]).unwrap();
        let world = World::at(running.root().join("project"));
        (killed, check(&world, &subject, u32::from(done)))
    }

    /// Runs the transaction in a process until it is killed; returns whether it was, and whether the commit had
    /// returned.
    fn kill(&self, world: &World) -> (bool, bool) {
        let moment = self.moment.to_string();
        let ran = Command::new(ACTOR)
            .args([
                "kill-one",
                world.root().as_str(),
                "run",
                self.case.name,
                &moment,
            ])
            .output()
            .unwrap();
        let killed = ran.status.signal() == Some(9);
        let complaint = String::from_utf8_lossy(&ran.stderr);
        assert!(killed || ran.status.success(), "at {moment}: {complaint}");
        (killed, ran.stdout == b"done\n")
    }
}

/// Recovers, and returns the problems afterwards.
fn check(world: &World, subject: &Interrupted, done: u32) -> Vec<String> {
    match world.try_open() {
        Ok(journal) => journal.recover().unwrap(),
        Err(error) => return vec![format!("it cannot be opened: {}", explain(&error))],
    };
    let mut wrong = subject.check(world, done, 1);
    wrong.extend(check_at_rest(world));
    wrong
}

/// Every transaction without a cut has the same result on each filesystem.
fn without_a_cut(format: Format) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(shelf) = Shelf::new() else { return };
    let Some(drive) = shelf.drive(format) else {
        return;
    };
    let running = drive.power_up(drive.ways()[0]).unwrap();
    let mut wrong = Vec::new();
    let cases = all_cases().into_iter();
    for case in cases.filter(|case| case.end == End::Commit) {
        let world = World::at(running.root().join(case.name));
        world.make_dir("");
        let subject = Interrupted::new(case.clone());
        subject.prepare(&world);
        let journal = world.open();
        case.run(&journal).unwrap();
        journal.close().unwrap();
        let found = check(&world, &subject, 1).into_iter();
        wrong.extend(found.map(|line| format!("{}: {line}", case.name)));
    }
    assert!(wrong.is_empty(), "{format:?}\n{}", wrong.join("\n"));
}

#[test]
fn g1_every_transaction_completes_on_ext4() {
    without_a_cut(Format::Ext4);
}

#[test]
fn g1_every_transaction_completes_on_xfs() {
    without_a_cut(Format::Xfs);
}

#[test]
fn g1_every_transaction_completes_on_btrfs() {
    without_a_cut(Format::Btrfs);
}

#[test]
fn g1_g2_a_cut_at_any_call_on_ext4() {
    cut_at_calls(Format::Ext4);
}

#[test]
fn g1_g2_a_cut_at_any_call_on_xfs() {
    cut_at_calls(Format::Xfs);
}

#[test]
fn g1_g2_a_cut_at_any_call_on_btrfs() {
    cut_at_calls(Format::Btrfs);
}
