//! Power cuts in every kind of transaction, in memory; `tljournal_testkit::crash` describes the model.

use std::collections::BTreeMap;

use tljournal_testkit::Steps;
use tljournal_testkit::crash::{Budget, Explorer, Progress, Sabotage, Subject, check_one_of};
use tljournal_testkit::{Model, Snapshot, World, check_clean};
use tljournal_tests::{End, Interrupted, all_cases, case_named, counted, number, tools_like};

/// Selects the cases if not all are tried.
const SEED: &str = "TLJOURNAL_CRASH_SEED";

/// The number of states per kind of transaction.
const STATES: &str = "TLJOURNAL_CRASH_STATES";

/// Tries one cut again, and prints the calls before it: `CASE: at=N ..`, as a failure prints it.
const REPLAY: &str = "TLJOURNAL_CRASH_REPLAY";

/// Transactions take other steps on a filesystem without exchange.
const LACKING: [&str; 4] = [
    "put-replace-without-exchange",
    "several-without-exchange",
    "tree-replace-without-exchange",
    "rebuildable-replace-without-exchange",
];

fn budget(states: u64) -> Budget {
    let states = number(STATES).unwrap_or(states);
    let seed = number(SEED).unwrap_or(1);
    println!("{SEED}={seed} {STATES}={states}");
    Budget {
        seed,
        states: states as usize,
        recoveries: states.div_ceil(10) as usize,
    }
}

/// Explores one piece of work; returns the problems.
fn explore(name: &str, subject: &dyn Subject, budget: Budget) -> Vec<String> {
    let explorer = Explorer::record(subject);
    if let Ok(replay) = std::env::var(REPLAY) {
        return match replay.strip_prefix(&format!("{name}: ")) {
            None => Vec::new(),
            Some(cut) => {
                println!("{}", explorer.story().join("\n"));
                explorer.replay(cut).unwrap()
            }
        };
    }
    let report = explorer.explore(budget);
    println!("{name}: {report}");
    counted(report.states + report.states_in_recovery, "crash states");
    counted(report.calls, "recorded calls");
    let line = |found: &_| format!("{REPLAY}='{name}: {found}'");
    report.found.iter().map(line).collect()
}

#[test]
fn g1_g2_every_cut_leaves_all_or_nothing() {
    let budget = budget(60);
    // Nothing outside of the home changes, but its own name must be durable.
    let first = Steps::new("first").put("build/a", "a");
    let mut wrong = explore("first-in-home", &first, budget);
    // In one of the cases another program interferes while the calls are recorded. Files to be moved in are written
    // by another program, whose writes are not recorded.
    let plain = all_cases()
        .into_iter()
        .filter(|case| case.end != End::Conflict && case.name != "artifacts-publish");
    let lacking = LACKING.map(case_named);
    for case in plain.chain(lacking) {
        let name = case.name;
        wrong.extend(explore(name, &Interrupted::new(case), budget));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Several consecutive transactions, by two handles; each replaces what the previous one created.
struct Sequence(Vec<Steps>);

impl Sequence {
    fn states(&self) -> Vec<Snapshot> {
        let mut model = Model::default();
        model.commit(&Steps::new("nothing"));
        let mut states = vec![model.snapshot()];
        for steps in &self.0 {
            model.commit(steps);
            states.push(model.snapshot());
        }
        states
    }
}

impl Subject for Sequence {
    fn prepare(&self, world: &World) {
        world.open().close().unwrap();
    }

    fn work(&self, world: &World, progress: &Progress) {
        for half in self.0.chunks(2) {
            let journal = world.open();
            for steps in half {
                progress.begin();
                steps.try_commit(&journal).unwrap();
                progress.done();
            }
            journal.close().unwrap();
        }
    }

    fn check(&self, world: &World, done: u32, begun: u32) -> Vec<String> {
        let states = self.states();
        let last = self.0.get(begun.saturating_sub(1) as usize);
        let steps = last.cloned().unwrap_or_else(|| Steps::new("nothing"));
        let mut wrong = check_one_of(world, &states[done as usize..=begun as usize], &steps);
        wrong.extend(check_clean(world));
        wrong
    }
}

#[test]
fn g1_g2_consecutive_transactions_are_cut_anywhere() {
    let both = |label, text: &str| Steps::new(label).put("build/one", text).put("two", text);
    let sequence = Sequence(vec![
        both("first", "first").link("build/latest", "first"),
        both("second", "second").tree("build/tools", tools_like("second", 0o755)),
        both("third", "third").remove("build/latest"),
        both("fourth", "fourth").tree("build/tools", tools_like("fourth", 0o755)),
    ]);
    let wrong = explore("sequence", &sequence, budget(200));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn g2_an_omitted_or_late_sync_is_detected() {
    let budget = Budget {
        seed: number(SEED).unwrap_or(1),
        states: 25,
        recoveries: 0,
    };
    let mut noticed: BTreeMap<String, Option<String>> = BTreeMap::new();
    for name in [
        "put-replace",
        "put-in-new-parents",
        "several",
        "tree-replace",
        "remove-tree",
    ] {
        let subject = Interrupted::new(case_named(name));
        let explorer = Explorer::record(&subject);
        for sync in explorer.syncs() {
            for how in [Sabotage::Removed, Sabotage::Late] {
                counted(1, "sabotaged syncs");
                let found = explorer.sabotage(&sync, how, budget);
                let known = noticed.entry(sync.what.clone()).or_default();
                *known = known
                    .take()
                    .or(found.map(|found| format!("{name}: {how:?}: {found}")));
            }
        }
    }
    let mut missing = Vec::new();
    for (what, found) in noticed {
        println!("{what}: {}", found.as_deref().unwrap_or("not noticed"));
        if found.is_none() {
            missing.push(what);
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "needed by no tried case");
}
