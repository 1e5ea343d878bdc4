//! Where a repair finds content, and what it must not replace.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tljournal::{Code, Finding, FsckDepth, FsckOptions, Repair, RepairOptions, Timestamp};
use tljournal_testkit::{Steps, TreeSpec, When, World};
use tljournal_tests::{Hook, aside};

use super::scene::{
    chmod, flip, look, look_with, repair, repair_by, rot, scene, sql, staged, wrong,
};

fn tree(files: &[(&str, &str)]) -> TreeSpec {
    let tree = TreeSpec::new(0o755, Timestamp::new(1, 0));
    files.iter().fold(tree, |tree, (name, content)| {
        tree.file(name, 0o644, Timestamp::new(2, 0), *content)
    })
}

fn commit(world: &World, steps: &Steps) {
    steps.try_commit(&world.open()).unwrap();
}

/// Finds the problems of these kinds, and repairs them.
fn mend(world: &World, codes: &[Code]) -> Vec<Repair> {
    let (found, _) = look(world, FsckDepth::Default);
    let of: Vec<_> = wrong(&found).iter().map(|(code, _)| *code).collect();
    assert_eq!(of, codes, "{found:?}");
    repair(world, &found, &[])
}

fn is_clean(world: &World) {
    assert_eq!(wrong(&look(world, FsckDepth::Full).0), []);
}

#[test]
fn g9_a_file_of_a_tree_is_taken_from_what_is_kept_of_another_tree() {
    let world = World::new();
    for version in ["one", "two"] {
        let tree = tree(&[("same", "in both"), ("other", version)]);
        commit(&world, &Steps::new(version).tree("build/tree", tree));
    }
    std::fs::remove_file(world.path("build/tree/same")).unwrap();
    let repairs = mend(&world, &[Code::Missing]);
    assert!(repairs[0].mended, "{repairs:?}");
    is_clean(&world);
}

#[test]
fn g9_a_file_of_a_tree_is_taken_from_another_one_of_the_tree() {
    let world = World::new();
    let tree = tree(&[("a", "the same"), ("b", "the same")]);
    commit(&world, &Steps::new("one").tree("build/tree", tree));
    std::fs::remove_file(world.path("build/tree/a")).unwrap();
    let repairs = mend(&world, &[Code::Missing]);
    assert!(repairs[0].mended, "{repairs:?}");
    is_clean(&world);
}

/// Only the latest retained content was considered.
#[test]
fn g9_a_file_is_taken_from_undamaged_retained_content() {
    let world = World::new();
    for content in ["one", "two", "one", "two", "one"] {
        commit(&world, &Steps::new(content).put("build/file", content));
    }
    flip(&world, &format!("{}/0", staged(&world, 4)));
    std::fs::remove_file(world.path("build/file")).unwrap();
    let repairs = mend(&world, &[Code::Missing]);
    assert!(repairs[0].mended, "{repairs:?}");
    assert_eq!(world.read("build/file"), "one");
}

/// One unreadable row of the history had the whole database set aside, and the next check was clean.
#[test]
fn g9_an_unreadable_row_of_the_history_does_not_discard_entries() {
    let damages = [
        "UPDATE manifest SET encoded = x'00' WHERE digest NOT IN
             (SELECT digest FROM entry WHERE digest IS NOT NULL)",
        "UPDATE change SET pre_mtime = 'yesterday' WHERE txn = 3",
    ];
    for damage in damages {
        let world = scene();
        sql(&world, damage);
        std::fs::remove_file(world.path("build/tools/bin/long")).unwrap();
        let options = FsckOptions {
            paths: vec!["build/tools".parse().unwrap()],
            ..FsckOptions::default()
        };
        let (found, _) = look_with(&world, &options);
        repair(&world, &found, &[]);
        let journal = world.open();
        assert!(journal.history().entry("build/only.txt").unwrap().is_some());
        assert!(
            aside(&world).iter().all(|name| !name.contains("database")),
            "{damage}"
        );
    }
}

/// To repair a mode, the tree was installed as it had been before later transactions.
#[test]
fn g2_g9_a_repair_undoes_no_commit_inside_a_tree() {
    let world = scene();
    let nested = tree(&[("file", "nested")]);
    let later = Steps::new("later")
        .put("build/tools/new", "new")
        .tree("build/tools/more", nested);
    commit(&world, &later);
    chmod(&world, "build/tools/nothing", 0o644);
    let (found, _) = look(&world, FsckDepth::Default);
    assert_eq!(wrong(&found), [(Code::WrongMode, "build/tools/nothing")]);
    let repairs = repair(&world, &found, &[]);
    assert!(!repairs[0].mended, "{repairs:?}");
    assert_eq!(world.read("build/tools/new"), "new");
    assert_eq!(world.read("build/tools/more/file"), "nested");
}

/// Runs something right before the repair of a file is committed.
fn repair_while(world: &World, found: &[Finding], meanwhile: impl Fn() + Send + Sync + 'static) {
    let done = AtomicBool::new(false);
    let hook = Arc::new(Hook(move |_: When, call: &tljournal::disk::Call<'_>| {
        let is_staging = call.path.as_str().contains("/.state/txn/");
        if is_staging && !done.swap(true, Ordering::AcqRel) {
            meanwhile();
        }
        Ok(())
    }));
    let journal = world.open_witnessed(&hook).unwrap();
    repair_by(journal, found, &RepairOptions::default());
}

#[test]
fn g9_a_change_after_the_check_is_not_replaced() {
    let damages: [fn(&World); 2] = [
        |world| std::fs::remove_file(world.path("build/kept.txt")).unwrap(),
        |world| rot(world, "build/kept.txt"),
    ];
    for damage in damages {
        for before_the_repair in [true, false] {
            let world = scene();
            damage(&world);
            let (found, _) = look(&world, FsckDepth::Full);
            assert_eq!(wrong(&found).len(), 1);
            let path = world.path("build/kept.txt");
            let write = move || std::fs::write(&path, "their own work").unwrap();
            match before_the_repair {
                true => {
                    write();
                    repair(&world, &found, &[]);
                }
                false => repair_while(&world, &found, write),
            }
            assert_eq!(world.read("build/kept.txt"), "their own work");
        }
    }
}

/// Each repair was an item of its own in quarantine, and the first ones were deleted when there were too many.
#[test]
fn g9_one_repair_quarantines_everything_it_replaces() {
    const FILES: usize = 80;
    let world = World::new();
    let path = |number: usize| format!("build/{number}");
    for content in ["one", "two", "one"] {
        let put = |steps: Steps, number| steps.put(&path(number), content);
        commit(&world, &(0..FILES).fold(Steps::new(content), put));
    }
    let edit = |number: usize| format!("edit {number}");
    for number in 0..FILES {
        world.write(&path(number), edit(number));
    }
    let (found, _) = look(&world, FsckDepth::Default);
    let repairs = repair(&world, &found, &["build"]);
    assert_eq!(
        repairs.iter().filter(|repair| repair.mended).count(),
        FILES,
        "{repairs:?}"
    );
    let [group] = &aside(&world)[..] else {
        panic!("not one thing: {:?}", aside(&world));
    };
    let group = world.path(&format!("build/.state/aside/{group}"));
    let mut edits = Vec::new();
    for txn in std::fs::read_dir(group).unwrap() {
        for file in std::fs::read_dir(txn.unwrap().path().join("build")).unwrap() {
            edits.push(std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    edits.sort();
    let mut all: Vec<_> = (0..FILES).map(edit).collect();
    all.sort();
    assert_eq!(edits, all);
}

/// Unfinished transactions were reported only by a check of the whole journal.
#[test]
fn g9_a_check_of_a_path_reports_what_is_unfinished_or_unreadable_there() {
    let damages = [
        (
            "UPDATE txn SET state = 'committed' WHERE id = 5",
            "build/alone",
            Code::TxnUnfinished,
        ),
        (
            "UPDATE entry SET ctime = 'now' WHERE path = 'only.txt'",
            "build/only.txt",
            Code::RowUnreadable,
        ),
    ];
    for (damage, path, code) in damages {
        let world = scene();
        sql(&world, damage);
        for (path, told) in [
            (path, true),
            ("build", true),
            ("build/link", code == Code::RowUnreadable),
        ] {
            let options = FsckOptions {
                paths: vec![path.parse().unwrap()],
                ..FsckOptions::default()
            };
            let mut codes = Vec::new();
            let mut found = |finding: Finding| {
                codes.push(finding.code);
                ControlFlow::Continue(())
            };
            let report = world.options().fsck(&options, &mut found).unwrap();
            assert_eq!(codes.contains(&code), told, "{path}: {codes:?}");
            assert_eq!(report.is_clean(), !told, "{path}: {report:?}");
        }
    }
}

/// Its installation read the damaged row, and the whole database was set aside.
#[test]
fn g9_a_tree_whose_manifest_is_damaged_is_installed_again_and_the_manifest_with_it() {
    let spec = || tree(&[("a", "one"), ("b", "two")]);
    let world = World::new();
    let install = Steps::new("tree").tree("build/tree", spec());
    commit(&world, &Steps::new("file").put("build/file", "file"));
    commit(&world, &install);
    sql(&world, "UPDATE manifest SET encoded = x'00'");
    world.write("build/tree/a", "an edit");
    commit(&world, &install);
    assert_eq!(world.read("build/tree/a"), "one");
    is_clean(&world);
    let journal = world.open();
    assert!(journal.history().entry("build/file").unwrap().is_some());
}
