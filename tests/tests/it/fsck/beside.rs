//! Checks while other processes run, or of a copy.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::Command;

use tljournal::{
    Code, Expect, Finding, FsckDepth, FsckOptions, Payload, RelPath, RepairOptions, Retention,
    TxnFilter,
};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{Mounted, tools, tools_like};

use super::scene::{downgrade, look, look_with, repair_with, scene, staged, wrong};

fn codes(world: &World) -> Vec<Code> {
    let (found, _) = look(world, FsckDepth::Default);
    found.iter().map(|finding| finding.code).collect()
}

#[test]
fn g7_a_pinned_tree_is_a_notice_even_after_its_replacement() {
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
fn staged_content_of_a_running_transaction_is_not_a_finding() {
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
fn changes_of_a_transaction_inside_a_tree_are_not_damage() {
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
    world.write("build/tools/bin/third", "unknown");
    let (found, _) = look(&world, FsckDepth::Full);
    assert_eq!(wrong(&found), [(Code::Extra, "build/tools/bin/third")]);
}

#[test]
fn a_claimed_tag_that_does_not_exist_is_missing() {
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
    world.write("build/.tag", "tag");
    assert!(codes(&world).contains(&Code::TagUnvouched));
}

#[test]
fn a_leftover_on_another_filesystem_is_found_beside_its_target_and_removed() {
    let world = World::new();
    std::fs::create_dir(world.path("other")).unwrap();
    let Some(_mounted) = Mounted::tmpfs(world.path("other")) else {
        return;
    };
    let journal = world.open();
    for text in ["one", "two"] {
        Steps::new(text)
            .put("other/file", text)
            .try_commit(&journal)
            .unwrap();
    }
    let txns = journal.history().transactions(&TxnFilter::latest(1));
    let name = format!("other/.tljournal-{}-0", txns.unwrap()[0].id);
    journal.close().unwrap();
    world.write(&name, "half of it");
    world.write("other/.tljournal-of-no-txn", "not named by the journal");
    let (found, _) = look(&world, FsckDepth::Quick);
    let expected = [
        (Code::BesideLeftover, name.as_str()),
        (Code::BesideLeftover, "other/.tljournal-of-no-txn"),
    ];
    let mut there = wrong(&found);
    there.sort_by_key(|(_, path)| *path);
    assert_eq!(there, expected);
    let repairs = repair_with(&world, &found, &RepairOptions::default());
    assert!(repairs.iter().all(|repair| repair.mended), "{repairs:?}");
    assert!(!world.exists(&name));
    assert_eq!(wrong(&look(&world, FsckDepth::Full).0), []);
    assert_eq!(world.read("other/file"), "two");
}

#[test]
fn files_left_by_sudo_are_found() {
    let world = scene();
    if std::os::unix::fs::chown(world.path("build/.state/lock/db"), Some(1), None).is_err() {
        return;
    }
    let (found, _) = look(&world, FsckDepth::Quick);
    assert_eq!(wrong(&found), [(Code::Owner, "build/.state/lock/db")]);
    assert_eq!(found[0].actual.as_deref(), Some("user 1"));
}

/// The owner of the project cannot delete it, and the check did not report it.
#[test]
fn content_retained_by_sudo_is_found() {
    let world = scene();
    let kept = staged(&world, 3);
    if std::os::unix::fs::chown(world.path(&kept), Some(1), None).is_err() {
        return;
    }
    let (found, _) = look(&world, FsckDepth::Quick);
    assert_eq!(wrong(&found), [(Code::Owner, kept.as_str())]);
}

/// No command could work, but the check reported no error.
#[test]
fn g9_a_link_in_the_place_of_the_journals_directory_is_an_error() {
    let world = scene();
    let elsewhere = world.outside().join("state");
    std::fs::rename(world.path("build/.state"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, world.path("build/.state")).unwrap();
    let (found, report) = look(&world, FsckDepth::Quick);
    assert!(!report.is_clean());
    assert!(
        wrong(&found).contains(&(Code::Planted, "build/.state")),
        "{found:?}"
    );
}

#[test]
fn a_database_of_an_older_version_is_a_notice() {
    let world = scene();
    downgrade(&world);
    for depth in [FsckDepth::Quick, FsckDepth::Full] {
        let (found, report) = look(&world, depth);
        let found: Vec<_> = found.iter().map(|finding| finding.code).collect();
        // What is kept has no row that says so.
        let other = |code: &&Code| **code != Code::StagingLeftover;
        let found: Vec<_> = found.iter().filter(other).collect();
        assert_eq!(found, [&Code::DatabaseOlder], "{depth:?}");
        assert_eq!(report.unchecked, [""; 0]);
    }
    let inspection = world.options().inspect().unwrap();
    let would = inspection.history().plan_gc(&Retention::default()).unwrap();
    assert_eq!((would.history_txns, would.left_txns), (0, 0));
}

/// Changes by others were taken for damage: a private copy of a database shows no newer rows.
#[test]
fn a_check_of_a_private_copy_reports_that_it_is_outdated() {
    let world = scene();
    let view = world.outside().join("view");
    std::fs::create_dir(&view).unwrap();
    let Some(_mounted) = Mounted::bind(world.root(), view.clone()) else {
        return;
    };
    let only = ["-o", "remount,ro,bind", view.as_str()];
    assert!(Command::new("mount").args(only).status().unwrap().success());
    let journal = world.open();
    // A finding that is reported first, and is not about the journal's own files.
    world.write("Project.lock", "an edit");
    let mut told = |_: Finding| {
        let steps = Steps::new("meanwhile").tree("build/tools", tools_like("new", 0o755));
        steps
            .put("build/kept.txt", "new")
            .try_commit(&journal)
            .unwrap();
        ControlFlow::Continue(())
    };
    let options = FsckOptions::default();
    let seen_from_view = World::at(view);
    let report = seen_from_view.options().fsck(&options, &mut told).unwrap();
    assert!(report.outdated && !report.is_clean(), "{report:?}");
    assert_eq!((report.errors, report.warnings), (0, 1));
    journal.close().unwrap();
    let (found, report) = look(&seen_from_view, FsckDepth::Full);
    assert!(!report.outdated);
    assert_eq!(wrong(&found), [(Code::Changed, "Project.lock")]);
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
fn only_named_paths_are_checked() {
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
fn a_check_ends_when_the_callback_breaks() {
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

/// Copies a project for inspection elsewhere.
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
fn a_copy_is_compared_by_content_and_a_database_alone_lists_what_is_unchecked() {
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
            .any(|what| what.contains("which runs are running")),
        "{report:?}"
    );
    std::fs::remove_dir_all(world.outside().join("copy")).unwrap();
    let (found, report) = look(&copy(&world, &["build/.state.db"]), FsckDepth::Full);
    assert!(found.is_empty(), "{found:?}");
    let left_out = report.unchecked.join("; ");
    assert!(left_out.contains("staged and kept content"), "{left_out}");
    assert!(left_out.contains("files, links and trees"), "{left_out}");
}
