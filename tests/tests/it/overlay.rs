//! A project in the lower layer of an overlay, as in a container image: files are copied up when they are replaced,
//! and a tree can be neither exchanged nor renamed.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::Utf8PathBuf;
use rustix::io::Errno;
use tljournal::{Error, EventKind, Journal};
use tljournal_testkit::{
    Count, Fail, Moment, Snapshot, Steps, When, World, check_agreement, check_at_rest, explain,
};
use tljournal_tests::{
    Case, Mounted, at_every, case_named, events, quiet, start, tools, tools_reshaped,
};

use crate::ACTOR;

/// Overlays over one lower layer.
struct Layers {
    // Unmounted before the directory of the mount is removed.
    _memory: Mounted,
    base: World,
    count: AtomicUsize,
}

/// A fresh overlay with the project in it, until this is dropped.
struct Project {
    world: World,
    mounted: Option<Mounted>,
    scratch: Utf8PathBuf,
}

impl Drop for Project {
    fn drop(&mut self) {
        drop(self.mounted.take());
        std::fs::remove_dir_all(&self.scratch).unwrap();
    }
}

impl Layers {
    /// With the initial state of a case, and no journal; `None` if nothing can be mounted.
    fn new(case: &Case) -> Option<Self> {
        let base = World::new();
        let memory = Mounted::tmpfs_with(base.root().to_owned(), c"size=256m")?;
        let lower = World::at(base.path("lower/project"));
        std::fs::create_dir_all(lower.root()).unwrap();
        case.prepare(&lower);
        std::fs::remove_dir_all(lower.path("build/.state")).unwrap();
        for entry in lower.path("build").read_dir_utf8().unwrap().flatten() {
            if entry.file_name().starts_with(".state") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        let count = AtomicUsize::new(0);
        Some(Self {
            _memory: memory,
            base,
            count,
        })
    }

    fn project(&self) -> Project {
        let number = self.count.fetch_add(1, Ordering::AcqRel);
        let at = |what: &str| self.base.path(&format!("{what}-{number}"));
        let scratch = at("scratch");
        let mounted = Mounted::overlay(&self.base.path("lower"), &scratch, at("merged"));
        assert!(mounted.is_some(), "no overlay where a tmpfs can be mounted");
        let world = World::at(at("merged").join("project"));
        Project {
            world,
            mounted,
            scratch,
        }
    }
}

fn check(world: &World, case: &Case, allowed: &[Snapshot], done: bool, story: &str) {
    let journal = world.open();
    let found = world.snapshot();
    let all: Vec<_> = allowed.iter().map(|one| found.differences(one)).collect();
    assert!(all.iter().any(Vec::is_empty), "G1, {story}: {all:#?}");
    assert!(
        !done || all.last().unwrap().is_empty(),
        "G2, {story}: {all:#?}"
    );
    let wrong = check_agreement(world, &journal, &case.steps);
    assert!(wrong.is_empty(), "G9, {story}: {wrong:?}");
    journal.recover().unwrap();
    drop(journal);
    let wrong = check_at_rest(world);
    assert!(wrong.is_empty(), "{story}: {wrong:?}");
    case.steps.try_commit(&world.open()).unwrap();
    let last = world.snapshot().differences(allowed.last().unwrap());
    assert!(last.is_empty(), "{story}, the next run: {last:?}");
}

fn kill(world: &World, what: &str, case: &str, moment: Moment) -> Option<bool> {
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
    let said = String::from_utf8_lossy(&ran.stderr);
    let killed = ran.status.signal() == Some(9);
    assert!(killed || ran.status.success(), "{case} at {moment}: {said}");
    killed.then_some(ran.stdout == b"done\n")
}

fn kill_at(name: &str, moments: impl Iterator<Item = Moment> + Send) {
    let case = case_named(name);
    let Some(layers) = Layers::new(&case) else {
        return;
    };
    let kills = at_every(moments, |moment| {
        let project = layers.project();
        let world = &project.world;
        let allowed = case.allowed(world);
        let Some(done) = kill(world, "run", name, moment) else {
            return false;
        };
        // Recovery is killed too, once for each kill, somewhere on its way.
        let again = Moment {
            when: When::After,
            call: 1 + moment.call % 7,
        };
        kill(world, "recover", name, again);
        let _quiet = quiet();
        check(
            world,
            &case,
            &allowed,
            done,
            &format!("{name} killed at {moment}, then at {again}"),
        );
        true
    });
    println!("{name}: {kills} kills on an overlay");
    tljournal_tests::counted(kills, "kills on an overlay");
    assert!(kills > 0);
}

#[test]
fn g1_the_replacement_of_a_tree_of_the_lower_layer_is_atomic_under_kills() {
    kill_at("tree-reshape", Moment::all());
}

#[test]
fn g1_the_removal_of_a_tree_of_the_lower_layer_is_atomic_under_kills() {
    kill_at("remove-tree", Moment::all());
}

#[test]
fn g1_changes_of_files_and_links_of_the_lower_layer_are_atomic_under_kills() {
    // The moment after a call equals that before the next one.
    let before = Moment::all().filter(|moment| moment.when == When::Before);
    kill_at("several", before);
}

#[test]
fn g1_any_call_may_fail_on_a_tree_of_the_lower_layer() {
    for (name, errno) in [("tree-reshape", Errno::IO), ("several", Errno::NOSPC)] {
        let case = case_named(name);
        let Some(layers) = Layers::new(&case) else {
            return;
        };
        let count = at_every(1.., |call| {
            let _quiet = quiet();
            let project = layers.project();
            let world = &project.world;
            let allowed = case.allowed(world);
            let fail = Arc::new(Fail::at(call, errno));
            let said = world
                .open_witnessed(&fail)
                .and_then(|journal| case.run(&journal));
            let struck = fail.struck();
            if struck.is_empty() {
                said.unwrap();
                return false;
            }
            let story = format!("{name} with {errno} at call {call} ({struck:?})");
            let unfinished = matches!(said, Err(Error::Unfinished { .. }));
            if said.is_err() && !unfinished {
                let found = world.snapshot().differences(&allowed[0]);
                assert!(found.is_empty(), "G1, {story}: {found:#?}");
            }
            check(world, &case, &allowed, said.is_ok() || unfinished, &story);
            true
        });
        println!("{name}: {count} calls failed with {errno} on an overlay");
        tljournal_tests::counted(count, "calls that failed on an overlay");
    }
}

/// Runs a test on a tree of the lower layer.
fn with_tree(test: impl FnOnce(&World, &Journal)) {
    let _quiet = quiet();
    let case = case_named("tree-reshape");
    let Some(layers) = Layers::new(&case) else {
        return;
    };
    let project = layers.project();
    let world = &project.world;
    let journal = world.open();
    test(world, &journal);
}

#[test]
fn g3_filling_a_tree_in_place_is_reported_and_the_replaced_entries_are_kept() {
    with_tree(|world, journal| {
        let steps = Steps::new("reshape").tree("build/tools", tools_reshaped());
        let receipt = steps.try_commit(journal).unwrap();
        assert!(receipt.changed_anything());
        let said = events(journal, &EventKind::WeakerPromise);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].path.as_deref(), Some("build/tools"));
        assert!(said[0].detail.contains("in place"), "{said:?}");
        let drift = events(journal, &EventKind::Drift);
        assert_eq!(drift.len(), 1, "{drift:?}");
        let aside = tljournal_tests::aside(world);
        assert_eq!(aside.len(), 1, "{aside:?}");
        let kept = world.path("build/.state/aside").join(&aside[0]);
        let run = std::fs::read_to_string(kept.join("bin/run")).unwrap();
        assert_eq!(run, "#!/bin/sh\none\n");
        assert!(kept.join("sealed").exists() && !kept.join("bin/long").exists());
        // Now it is recorded, and not touched.
        let count = Arc::new(Count::default());
        let again = world.open_witnessed(&count).unwrap();
        assert!(!steps.try_commit(&again).unwrap().changed_anything());
    });
}

#[test]
fn g4_an_unchanged_tree_of_the_lower_layer_is_not_touched() {
    with_tree(|world, journal| {
        let inode = || {
            use std::os::unix::fs::MetadataExt;
            let meta = world.path("build/tools/bin/run").metadata().unwrap();
            (meta.ino(), meta.ctime(), meta.ctime_nsec())
        };
        let before = inode();
        let steps = Steps::new("same").tree("build/tools", tools());
        assert!(!steps.try_commit(journal).unwrap().changed_anything());
        assert_eq!(inode(), before);
    });
}

#[test]
fn g7_a_pinned_tree_is_not_filled_in_place() {
    with_tree(|world, journal| {
        let pin = journal.pin("build/tools").unwrap().unwrap();
        let before = world.snapshot();
        let steps = Steps::new("reshape").tree("build/tools", tools_reshaped());
        let said = steps.try_commit(journal).unwrap_err();
        assert!(matches!(said, Error::Conflict(_)), "{}", explain(&said));
        world.snapshot().assert_matches(&before);
        drop(pin);
        steps.try_commit(journal).unwrap();
    });
}

/// It was taken for another program's change: the copy that an overlay makes has another birth time.
#[test]
fn g9_copying_up_a_file_of_the_lower_layer_is_not_a_conflict() {
    with_tree(|world, journal| {
        let steps = Steps::new("files")
            .put("build/old.txt", "new")
            .link("build/latest", "2.0.0");
        steps
            .remove("build/dir/bystander")
            .try_commit(journal)
            .unwrap();
        assert_eq!(world.read("build/old.txt"), "new");
        assert!(!world.exists("build/dir/bystander"));
    });
}

/// After it was filled in place it belongs to the upper layer, but its directories still cannot be moved.
#[test]
fn g1_a_tree_that_was_filled_in_place_is_filled_again() {
    with_tree(|world, journal| {
        for tree in [tools_reshaped(), tools(), tools_reshaped()] {
            let steps = Steps::new("again").tree("build/tools", tree);
            steps.try_commit(journal).unwrap();
            assert!(journal.verify("build/tools", true).unwrap().is_empty());
            let wrong = check_agreement(world, journal, &steps);
            assert!(wrong.is_empty(), "{wrong:?}");
        }
    });
}
