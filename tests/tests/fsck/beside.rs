//! What is found while somebody else lives, or in a place that is not at home.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::Command;

use tljournal::{Code, Expect, FsckDepth, FsckOptions, Payload, RelPath, RepairOptions};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{tools, tools_like};

use crate::scene::{look, look_with, repair_with, scene, wrong};

fn codes(world: &World) -> Vec<Code> {
    let (found, _) = look(world, FsckDepth::Default);
    found.iter().map(|finding| finding.code).collect()
}

#[test]
fn g7_what_is_pinned_is_a_notice_also_when_it_was_replaced() {
    let world = scene();
    let journal = world.open();
    let pin = journal.pin("build/tools").unwrap().unwrap();
    assert_eq!(codes(&world), [Code::TreePinned]);
    let other = Steps::new("other").tree("build/tools", tools_like("three", 0o755));
    other.try_commit(&journal).unwrap();
    journal.close().unwrap();
    assert_eq!(codes(&world), [Code::KeptPinned]);
    drop(pin);
}

#[test]
fn what_a_living_transaction_has_staged_is_no_finding() {
    let world = scene();
    let journal = world.open();
    let mut txn = journal.begin("at work");
    txn.put("build/new", Payload::from("new"), Expect::Any)
        .unwrap();
    txn.tree(
        "build/more",
        tools().source(),
        tljournal::TreeOptions::default(),
    )
    .unwrap();
    assert_eq!(codes(&world), []);
    let prepared = txn.prepare().unwrap();
    assert_eq!(codes(&world), []);
    prepared.commit().unwrap();
    journal.close().unwrap();
    assert_eq!(codes(&world), []);
}

#[test]
fn a_tree_that_is_not_on_the_medium_yet_is_a_notice() {
    let world = scene();
    let journal = world.open();
    Steps::new("quick")
        .rebuildable("build/quick", tools())
        .try_commit(&journal)
        .unwrap();
    assert_eq!(codes(&world), [Code::TreeUnsettled]);
    journal.recover().unwrap();
    assert_eq!(codes(&world), []);
}

#[test]
fn what_the_journal_itself_changed_in_a_tree_is_no_damage() {
    let world = scene();
    let journal = world.open();
    let inside = Steps::new("inside")
        .put("build/tools/bin/long", "by a later transaction")
        .put("build/tools/bin/new", "by it too")
        .remove("build/tools/nothing");
    inside.try_commit(&journal).unwrap();
    journal.close().unwrap();
    let (found, report) = look(&world, FsckDepth::Full);
    assert!(report.is_clean(), "{found:?}");
    let is_known = |code| matches!(code, Code::Overlaid | Code::Aside);
    assert!(found.iter().all(|finding| is_known(finding.code)));
    world.write("build/tools/bin/third", "by nobody known");
    let (found, _) = look(&world, FsckDepth::Full);
    assert_eq!(wrong(&found), [(Code::Extra, "build/tools/bin/third")]);
}

#[test]
fn a_tag_is_missing_if_a_run_that_lives_vouches_for_it() {
    let world = scene();
    let journal = world.open();
    let path = RelPath::new("build/.tag").unwrap();
    let tags = journal.tags([path.clone()]).unwrap();
    let digest = tljournal::Digest::of(b"verified");
    let files = BTreeMap::from([(path, b"tag".to_vec())]);
    tags.vouch(digest, &files).unwrap();
    assert_eq!(codes(&world), []);
    std::fs::remove_file(world.path("build/.tag")).unwrap();
    let found = codes(&world);
    assert!(found.contains(&Code::TagMissing), "{found:?}");
    world.write("build/.tag", "tag");
    tags.revoke(digest, "it was wrong").unwrap();
    drop(tags);
    assert!(codes(&world).contains(&Code::VoucherRevoked));
    journal.close().unwrap();
}

#[test]
fn g9_missing_content_of_a_tree_is_taken_from_a_source_whatever_its_times_are() {
    let world = scene();
    std::fs::remove_file(world.path("build/alone/bin/run")).unwrap();
    std::fs::remove_file(world.path("build/alone/bin/walk")).unwrap();
    let source = world.outside().join("source");
    std::fs::create_dir_all(&source).unwrap();
    std::fs::write(source.join("under-another-name"), "#!/bin/sh\nalone\n").unwrap();
    let (found, _) = look(&world, FsckDepth::Default);
    let options = RepairOptions {
        source: Some(source),
        ..RepairOptions::default()
    };
    let repairs = repair_with(&world, &found, &options);
    assert!(repairs.iter().all(|repair| repair.mended), "{repairs:?}");
    assert_eq!(wrong(&look(&world, FsckDepth::Full).0), []);
}

#[test]
fn only_the_paths_that_are_named_are_looked_at() {
    let world = scene();
    world.write("build/tools/bin/more", "more");
    world.write("build/tools/up-to-you", "more");
    world.write("build/.state/stray", "stray");
    let options = FsckOptions {
        paths: vec![RelPath::new("build/tools/bin").unwrap()],
        ..FsckOptions::default()
    };
    let (found, _) = look_with(&world, &options);
    assert_eq!(wrong(&found), [(Code::Extra, "build/tools/bin/more")]);
}

#[test]
fn a_check_ends_when_whoever_is_told_has_heard_enough() {
    let world = scene();
    world.write("build/.state/one", "stray");
    world.write("build/.state/two", "stray");
    let mut heard = 0;
    let mut told = |_| {
        heard += 1;
        ControlFlow::Break(())
    };
    let report = world
        .options()
        .fsck(&FsckOptions::default(), &mut told)
        .unwrap();
    assert!(report.cancelled);
    assert_eq!(heard, 1);
    let options = FsckOptions::default();
    options.watch.stop();
    assert!(look_with(&world, &options).1.cancelled);
}

/// Copies a project as one would to look into it elsewhere.
fn copy(world: &World, what: &[&str]) -> World {
    let to = world.outside().join("copy");
    std::fs::create_dir_all(to.join("build")).unwrap();
    for path in what {
        let copied = Command::new("cp")
            .arg("-a")
            .args([world.path(path), to.join(path)])
            .status();
        assert!(copied.unwrap().success());
    }
    World::at(to)
}

#[test]
fn a_copy_is_compared_by_content_and_a_database_alone_says_what_it_cannot_tell() {
    let world = scene();
    let all = [
        "build/.state.db",
        "build/.state",
        "build/tools",
        "build/alone",
        "build/kept.txt",
    ];
    let whole = [&all[..], &["build/only.txt", "build/link", "Project.lock"]].concat();
    let (found, report) = look(&copy(&world, &whole), FsckDepth::Default);
    assert_eq!(wrong(&found), []);
    assert!(report.hashed_bytes > 0);
    assert!(
        report
            .unchecked
            .iter()
            .any(|what| what.contains("who lives")),
        "{report:?}"
    );
    std::fs::remove_dir_all(world.outside().join("copy")).unwrap();
    let (found, report) = look(&copy(&world, &["build/.state.db"]), FsckDepth::Full);
    assert!(found.is_empty(), "{found:?}");
    let left_out = report.unchecked.join("; ");
    assert!(left_out.contains("staged and kept content"), "{left_out}");
    assert!(left_out.contains("files, links and trees"), "{left_out}");
}
