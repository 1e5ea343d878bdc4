//! The process is killed before and after every mutating call of every kind of transaction, and of the recovery after
//! it. The next process must find everything right without help.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tljournal::RebuildOptions;
use tljournal_testkit::{
    Moment, Snapshot, Steps, When, World, check_agreement, check_at_rest, check_clean,
};
use tljournal_tests::{
    Case, End, WITHOUT_CALLS, at_every, case_named, counted, quiet, small, start, state_of,
};

use crate::ACTOR;

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Killed { done: bool },
    ToItsEnd,
}

fn run_killed(world: &World, what: &str, case: &str, moment: Moment) -> Ended {
    let mut command = Command::new(ACTOR);
    command.args([
        "kill-one",
        world.root().as_str(),
        what,
        case,
        &moment.to_string(),
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = start(&mut command).wait_with_output().unwrap();
    let done = ran.stdout == b"done\n";
    match (ran.status.signal(), ran.status.success()) {
        (Some(9), _) => Ended::Killed { done },
        (_, true) => Ended::ToItsEnd,
        _ => panic!(
            "{what} {case} at {moment} failed by itself: {}",
            String::from_utf8_lossy(&ran.stderr)
        ),
    }
}

/// Checks every guarantee after a kill.
fn check(world: &World, case: &Case, allowed: &[Snapshot], done: bool, story: &str) {
    let _quiet = quiet();
    let journal = case.reopen(world);
    let found = world.snapshot();
    let all: Vec<_> = allowed.iter().map(|one| found.differences(one)).collect();
    assert!(
        all.iter().any(Vec::is_empty),
        "G1, {story}: it is none of what it may be:\n{}",
        all.iter()
            .map(|one| one.join("\n"))
            .collect::<Vec<_>>()
            .join("\nor\n")
    );
    assert!(
        !done || all.last().is_none_or(Vec::is_empty),
        "G2, {story}: a durable change is missing:\n{all:?}"
    );
    // Changes of another program are not recorded until a transaction finds them.
    if done && case.end == End::Commit || !case.is_meddled_with() {
        let wrong = check_agreement(world, &journal, &case.steps);
        assert!(wrong.is_empty(), "G9, {story}:\n{}", wrong.join("\n"));
    }
    // Syncs rebuildable trees, after which the trees that they replaced are no longer needed.
    journal.recover().unwrap();
    drop(journal);
    let mut wrong = check_at_rest(world);
    // Entries that were recorded without birth times differ when there are some.
    if !case.is_meddled_with() && case.lack.is_none() {
        wrong.extend(check_clean(world));
    }
    assert!(wrong.is_empty(), "{story}:\n{}", wrong.join("\n"));
}

/// Checks that the next run works.
fn check_next(world: &World, case: &Case) {
    let journal = case.reopen(world);
    case.steps.try_commit(&journal).unwrap();
    journal.close().unwrap();
}

fn fresh(case: &Case) -> (World, Vec<Snapshot>) {
    let world = World::new();
    case.prepare(&world);
    let allowed = case.allowed(&world);
    (world, allowed)
}

fn kill_everywhere(name: &str) {
    let case = case_named(name);
    let states = Mutex::new(BTreeMap::new());
    let kills = at_every(Moment::all(), |moment| {
        let (world, allowed) = fresh(&case);
        let Ended::Killed { done } = run_killed(&world, "run", name, moment) else {
            return false;
        };
        let state = state_of(&world);
        states.lock().unwrap().entry(state).or_insert(moment);
        let story = format!("{name} killed at {moment}");
        check(&world, &case, &allowed, done, &story);
        check_next(&world, &case);
        true
    });
    // Recovery is killed once for each state that it can find.
    let states = states.into_inner().unwrap();
    let again: usize = states
        .values()
        .map(|first| kill_recovery(name, &case, *first))
        .sum();
    println!("{name}: {kills} kills, {again} more in recoveries");
    counted(kills, "kills");
    counted(again, "kills in recoveries");
    assert!(kills > 0, "{name} makes no call that changes anything");
}

/// Kills the recovery after one kill at every call of its own.
fn kill_recovery(name: &str, case: &Case, first: Moment) -> usize {
    // The moment after a call equals that before the next one: here one side is enough.
    let before = Moment::all().filter(|moment| moment.when == When::Before);
    at_every(before, |moment| {
        let (world, allowed) = fresh(case);
        let Ended::Killed { done } = run_killed(&world, "run", name, first) else {
            panic!("{name} was killed at {first} before, and now is not");
        };
        if run_killed(&world, "recover", name, moment) == Ended::ToItsEnd {
            return false;
        }
        let story = format!("{name} killed at {first}, its recovery at {moment}");
        check(&world, case, &allowed, done, &story);
        true
    })
}

/// Whatever the old database was, and wherever a rebuild is killed: no file is lost, and the entries are recorded in
/// the current database, or the rebuild can be repeated.
fn kill_rebuild(salvages: bool, damage: impl Fn(&World) + Sync) {
    let kills = at_every(Moment::all(), |moment| {
        let world = World::new();
        let journal = world.open();
        for text in ["one", "two"] {
            let steps = Steps::new(text).tree("build/tools", small(text));
            steps.put("build/file", text).try_commit(&journal).unwrap();
        }
        journal.close().unwrap();
        let content = || world.snapshot().below("build/tools");
        let before = content();
        damage(&world);
        if run_killed(&world, "rebuild", "-", moment) == Ended::ToItsEnd {
            return false;
        }
        let _quiet = quiet();
        content().assert_matches(&before);
        // The content of the old one is in the new one, and in one rebuilt from that.
        for again in [false, true] {
            if again || !salvages {
                let adopt = match salvages {
                    true => Vec::new(),
                    false => vec!["build/tools".parse().unwrap()],
                };
                let options = RebuildOptions { adopt, force: true };
                let _rebuilt = world.options().rebuild(&options).unwrap();
            }
            let journal = world.open();
            let history = journal.history();
            let tools = history.manifest("build/tools").unwrap();
            assert!(tools.is_some(), "killed at {moment}");
            let file = history.entry("build/file").unwrap();
            assert_eq!(file.is_some(), salvages, "killed at {moment}");
            journal.close().unwrap();
        }
        content().assert_matches(&before);
        let journal = world.open();
        let steps = Steps::new("three").tree("build/tools", small("three"));
        steps.try_commit(&journal).unwrap();
        journal.close().unwrap();
        let wrong = check_clean(&world);
        assert!(
            wrong.is_empty(),
            "killed at {moment}:\n{}",
            wrong.join("\n")
        );
        true
    });
    counted(kills, "kills");
    assert!(kills > 10, "{kills}");
}

/// The second one discarded the first one's result before it had one itself.
#[test]
fn g9_two_killed_rebuilds_of_a_database() {
    let seconds = |when| {
        Moment::all()
            .filter(move |moment: &Moment| moment.when == when)
            .take(5)
    };
    let kills = at_every(Moment::all().step_by(2), |first| {
        for second in seconds(When::Before) {
            let world = World::new();
            let journal = world.open();
            let steps = Steps::new("one")
                .put("build/file", "one")
                .tree("build/tools", small("one"));
            steps.try_commit(&journal).unwrap();
            journal.close().unwrap();
            if run_killed(&world, "rebuild", "-", first) == Ended::ToItsEnd {
                return false;
            }
            let _ended = run_killed(&world, "rebuild", "-", second);
            let _quiet = quiet();
            let journal = world.open();
            let file = journal.history().entry("build/file").unwrap();
            assert!(file.is_some(), "killed at {first}, then at {second}");
            journal.close().unwrap();
        }
        true
    });
    counted(kills, "kills");
    assert!(kills > 5, "{kills}");
}

#[test]
fn g9_a_killed_rebuild_of_a_sound_database() {
    kill_rebuild(true, |_| {});
}

#[test]
fn g9_a_killed_rebuild_of_a_lost_database() {
    kill_rebuild(false, |world| {
        for suffix in ["", "-wal", "-shm"] {
            std::fs::remove_file(world.path(&format!("build/.state.db{suffix}"))).unwrap();
        }
    });
}

#[test]
fn g9_a_killed_rebuild_of_another_file() {
    kill_rebuild(false, |world| {
        world.write("build/.state.db", "no database".repeat(1000))
    });
}

macro_rules! cases {
    ($($test:ident: $case:literal,)*) => {$(
        #[test]
        fn $test() {
            kill_everywhere($case);
        }
    )*

        #[test]
        fn no_case_is_forgotten() {
            let tested = [$($case),*];
            let all: Vec<_> = tljournal_tests::all_cases().iter().map(|case| case.name).collect();
            let missing = |name: &&&str| !tested.contains(name) && !WITHOUT_CALLS.contains(name)
                // It only takes other steps on an overlay.
                && **name != "tree-reshape";
            assert_eq!(all.iter().find(missing), None);
        }
    };
}

cases! {
    g1_the_first_transaction_ever: "first-ever",
    g1_a_new_file: "put-new",
    g1_a_replaced_file: "put-replace",
    g1_a_file_in_new_directories: "put-in-new-parents",
    g1_a_file_beside_the_home: "put-beside-home",
    g1_a_file_that_is_adopted: "adopt",
    g1_a_removed_file: "remove-file",
    g1_a_removed_link: "remove-link",
    g1_a_removed_tree_with_read_only_directories: "remove-tree",
    g1_a_new_link: "link-new",
    g1_a_flipped_link: "link-flip",
    g1_a_new_tree: "tree-new",
    g1_a_replaced_tree: "tree-replace",
    g1_a_tree_that_turns_out_unchanged: "tree-unchanged",
    g1_a_repaired_tree: "tree-repair",
    g1_a_new_rebuildable_tree: "rebuildable-new",
    g1_a_replaced_rebuildable_tree: "rebuildable-replace",
    g1_several_changes_at_once: "several",
    g1_a_rollback: "rollback",
    g9_an_edit_in_the_middle: "conflict",
    g1_a_file_replaced_without_exchange: "put-replace-without-exchange",
    g1_a_tree_replaced_without_exchange: "tree-replace-without-exchange",
    g1_a_flipped_link_without_exchange: "link-flip-without-exchange",
    g1_a_replaced_rebuildable_tree_without_exchange: "rebuildable-replace-without-exchange",
    g1_a_replaced_tree_without_birth_times: "tree-replace-without-birth-times",
    g1_a_replaced_file_without_openat2: "put-replace-without-openat2",
    g9_an_edit_in_the_middle_without_exchange: "conflict-without-exchange",
    g1_new_tags: "tags-new",
    g1_replaced_tags: "tags-replace",
    g1_a_populated_tree: "populate",
    g1_a_transaction_that_is_undone: "undo",
    g1_a_tree_that_is_restored: "restore",
    g11_what_is_kept_is_deleted: "gc",
    g1_a_kit_of_layers: "kit-new",
    g1_a_kit_over_a_poisoned_one: "kit-poisoned",
    g1_tags_of_a_lower_level: "tags-less",
    g1_cleared_tags: "tags-clear",
    g1_published_artifacts: "artifacts-publish",
    g1_cleaned_artifacts: "artifacts-clean",
    g1_a_repaired_tree_with_what_is_kept: "repair-tree",
    g1_a_repaired_file_with_what_is_kept: "repair-file",
    g1_what_a_repair_sets_aside: "repair-stray",
}
