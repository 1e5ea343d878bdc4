//! Regressions: content that is not the journal's own: edits of users, other filesystems, pinned trees; and the
//! journal's own files.

use std::os::unix::fs::symlink;

use tljournal::disk::Verb;
use tljournal::{Conflict, ConflictKind, Error, EventKind, Journal, TreeOptions, UsageError};
use tljournal_testkit::{Steps, World};
use tljournal_tests::{Mounted, Strike, aside, events, holding, kill_at, small};

use crate::ACTOR;

const EDIT: &str = "a person's edit";

fn commit(journal: &Journal, steps: &Steps) {
    steps.try_commit(journal).unwrap();
}

fn with_tools(path: &str) -> (World, Journal) {
    let world = World::new();
    let journal = world.open();
    commit(&journal, &Steps::new("tools").tree(path, small("one")));
    (world, journal)
}

fn assert_kept(world: &World, journal: &Journal) {
    let kept = holding(&world.path("build/.state/aside"), EDIT);
    assert_eq!(kept.len(), 1, "the edit is not kept: {:?}", aside(world));
    let told = events(journal, &EventKind::Drift);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].detail.contains("aside"), "{told:?}");
}

/// Only the root of a tree was checked: removing a tree deleted edits inside it without a message.
#[test]
fn g9_an_edit_inside_a_tree_that_is_removed_is_kept_aside() {
    let (world, journal) = with_tools("build/tools");
    world.write("build/tools/sub/f1", EDIT);
    commit(&journal, &Steps::new("rm").remove("build/tools"));
    assert!(!world.exists("build/tools"));
    assert_kept(&world, &journal);
}

/// A new file inside counts like a changed one.
#[test]
fn g9_a_file_that_was_added_inside_a_tree_that_is_removed_is_kept_aside() {
    let (world, journal) = with_tools("build/tools");
    world.write("build/tools/sub/mine", EDIT);
    commit(&journal, &Steps::new("rm").remove("build/tools"));
    assert_kept(&world, &journal);
}

/// A recovery that finds the removed tree in staging, because its process was killed, keeps the edit too.
#[test]
fn g9_an_edit_inside_a_tree_whose_remover_was_killed_is_kept_aside() {
    let (world, journal) = with_tools("build/tools");
    journal.close().unwrap();
    world.write("build/tools/sub/f1", EDIT);
    let strike = Strike::before(Verb::RenameNew, "/.state/aside/");
    kill_at(ACTOR, &world, &strike, &["rm=build/tools"]);
    assert!(!world.exists("build/tools"));
    let journal = world.open();
    assert_kept(&world, &journal);
}

/// An unedited tree is not set aside.
#[test]
fn g9_an_unedited_tree_is_removed_without_a_trace() {
    let (world, journal) = with_tools("build/tools");
    commit(&journal, &Steps::new("rm").remove("build/tools"));
    assert_eq!(aside(&world), [""; 0]);
    assert!(events(&journal, &EventKind::Drift).is_empty());
}

/// Edits were searched for while the next tree was staged, and not when it was put in place.
#[test]
fn g9_an_edit_inside_a_tree_after_its_successor_was_staged_is_kept_aside() {
    let (world, journal) = with_tools("build/tools");
    let two = Steps::new("two").tree("build/tools", small("two"));
    let prepared = two.prepare(&journal).unwrap();
    world.write("build/tools/sub/f1", EDIT);
    prepared.commit().unwrap();
    assert_eq!(world.read("build/tools/sub/f1"), "two");
    assert_kept(&world, &journal);
}

/// On another filesystem a replaced edit was deleted, although an event said that it was kept.
#[test]
fn g9_an_edit_that_is_replaced_on_another_filesystem_is_kept_aside() {
    let world = World::new();
    world.make_dir("out");
    let Some(_mounted) = Mounted::tmpfs(world.path("out")) else {
        return;
    };
    let journal = world.open();
    commit(&journal, &Steps::new("one").put("out/f", "one"));
    world.write("out/f", EDIT);
    commit(&journal, &Steps::new("two").put("out/f", "two"));
    assert_eq!(world.read("out/f"), "two");
    assert_kept(&world, &journal);
    commit(&journal, &Steps::new("tree").tree("out/t", small("one")));
    world.write("out/t/sub/f1", "another edit");
    commit(&journal, &Steps::new("rm").remove("out/t"));
    let kept = holding(&world.path("build/.state/aside"), "another edit");
    assert_eq!(kept.len(), 1);
}

/// Tries to change the journal's own files by a path, in every way.
fn assert_reserved(journal: &Journal, path: &str) {
    let tries = [
        Steps::new("put").put(path, "planted"),
        Steps::new("rm").remove(path),
        Steps::new("link").link(path, "planted"),
        Steps::new("tree").tree(path, small("planted")),
    ];
    for steps in tries {
        let said = steps.try_commit(journal);
        assert!(
            matches!(
                said,
                Err(Error::Usage(UsageError::Reserved { .. }) | Error::Conflict(_))
            ),
            "{} {path}: {said:?}",
            steps.label
        );
    }
}

const OWN: [&str; 6] = [
    ".state/lock/commit",
    ".state/lock/runs",
    ".state/aside/x",
    ".state/txn",
    ".state",
    ".state.db",
];

/// Own files were recognized by the text of their path: if `build` is a link, its target led into them, and all lock
/// files could be removed.
#[test]
fn g8_the_journals_own_files_are_refused_where_the_home_is_behind_a_link() {
    let world = World::new();
    world.make_dir("out");
    world.link("out", "build");
    let journal = world.open();
    commit(&journal, &Steps::new("ok").put("out/mine", "mine"));
    for own in OWN {
        assert_reserved(&journal, &format!("out/{own}"));
        assert_reserved(&journal, &format!("build/{own}"));
    }
    assert!(world.exists("out/.state/lock/commit"));
    assert!(world.exists("out/.state/lock/runs"));
    commit(&journal, &Steps::new("ok").put("out/mine", "again"));
}

/// The same if the root is reached through a link, and the home by the other path.
#[test]
fn g8_the_journals_own_files_are_refused_where_the_root_is_behind_a_link() {
    let world = World::new();
    world.make_dir("build");
    let alias = world.outside().join("alias");
    symlink(world.root(), &alias).unwrap();
    let options = Journal::options(alias).home(world.path("build"));
    let journal = options.work().unwrap();
    for own in OWN {
        assert_reserved(&journal, &format!("build/{own}"));
    }
    assert!(world.exists("build/.state/lock/commit"));
    commit(&journal, &Steps::new("ok").put("build/mine", "mine"));
}

/// The same through a bind mount of the home, which comparing paths cannot detect.
#[test]
fn g8_the_journals_own_files_are_refused_through_a_bind_mount_of_the_home() {
    let world = World::new();
    world.make_dir("build");
    world.make_dir("view");
    let Some(_mounted) = Mounted::bind(&world.path("build"), world.path("view")) else {
        return;
    };
    let journal = world.open();
    for own in OWN {
        assert_reserved(&journal, &format!("view/{own}"));
    }
    assert!(world.exists("build/.state/lock/commit"));
}

/// An unchanged tree was checked again only at its root: a change inside it by another transaction was not detected,
/// and the commit returned Ok.
#[test]
fn g4_a_tree_is_as_wanted_after_a_commit_that_found_it_unchanged() {
    let (world, journal) = with_tools("build/t");
    let source = world.outside().join("source");
    small("one").write_to(&source);
    let other = world.open();
    let mut txn = journal.begin("same");
    let from = tljournal::TreeSource::dir(source);
    txn.tree("build/t", from, TreeOptions::default()).unwrap();
    let prepared = txn.prepare().unwrap();
    // The unchanged tree is pinned, so no transaction can change it; a person can.
    let meddle = Steps::new("meddle").put("build/t/sub/f1", "changed");
    let _refused = meddle.try_commit(&other);
    commit(&other, &Steps::new("else").put("build/else", "else"));
    world.write("build/t/sub/f1", "changed");
    assert_eq!(world.read("build/t/sub/f1"), "changed");
    prepared.commit().unwrap();
    assert_eq!(world.read("build/t/sub/f1"), "one");
    assert_eq!(journal.verify("build/t", true).unwrap(), []);
}

/// A change below a pinned tree was made in the pinned tree itself: its reader lost what was removed.
#[test]
fn g7_a_pinned_tree_stays_complete_when_something_inside_it_is_changed() {
    let (world, journal) = with_tools("build/t");
    let pin = journal.pin("build/t").unwrap().unwrap();
    let other = world.open();
    let tries = [
        Steps::new("rm").remove("build/t/sub"),
        Steps::new("rm").remove("build/t/sub/f1"),
        Steps::new("put").put("build/t/sub/f1", "changed"),
        Steps::new("put").put("build/t/sub/new", "new"),
        Steps::new("tree").tree("build/t/sub", small("two")),
    ];
    for steps in &tries {
        let said = steps.try_commit(&other);
        assert!(
            matches!(
                said,
                Err(Error::Conflict(Conflict {
                    kind: ConflictKind::Pinned { .. },
                    ..
                }))
            ),
            "{said:?}"
        );
        assert_eq!(journal.verify("build/t", true).unwrap(), []);
    }
    drop(pin);
    commit(&other, &tries[2]);
    assert_eq!(world.read("build/t/sub/f1"), "changed");
}

/// A filesystem mounted inside a tree was deleted with it.
#[test]
fn g8_a_filesystem_mounted_inside_a_tree_is_not_deleted_with_it() {
    let (world, journal) = with_tools("build/t");
    let precious = world.outside().join("precious");
    std::fs::create_dir(&precious).unwrap();
    std::fs::write(precious.join("file"), "precious").unwrap();
    let Some(mounted) = Mounted::bind(&precious, world.path("build/t/sub")) else {
        return;
    };
    let removed = Steps::new("rm").remove("build/t").try_commit(&journal);
    let content = std::fs::read_to_string(precious.join("file"));
    assert_eq!(content.ok().as_deref(), Some("precious"), "{removed:?}");
    commit(&journal, &Steps::new("else").put("build/else", "else"));
    drop(journal);
    let journal = world.open();
    commit(&journal, &Steps::new("else").put("build/else", "again"));
    let content = std::fs::read_to_string(precious.join("file"));
    assert_eq!(content.ok().as_deref(), Some("precious"));
    drop(mounted);
}

/// A quarantined item with a mount inside cannot be deleted, and then no other item was reported or deleted any more.
#[test]
fn g9_an_undeletable_quarantined_item_does_not_block_later_ones() {
    let (world, journal) = with_tools("build/t");
    let Some(mounted) = Mounted::tmpfs(world.path("build/t/sub")) else {
        return;
    };
    let _refused = Steps::new("rm").remove("build/t").try_commit(&journal);
    for round in 0..70 {
        world.write("build/else", format!("an edit {round}"));
        let steps = Steps::new("else").put("build/else", format!("{round}"));
        commit(&journal, &steps);
    }
    let told = events(&journal, &EventKind::Drift);
    let told = told
        .iter()
        .filter(|event| event.path.as_deref() == Some("build/else"));
    assert_eq!(told.count(), 70);
    assert!(aside(&world).len() <= 65, "{:?}", aside(&world));
    drop(mounted);
}

/// The same when the tree is replaced, with nested mounts.
#[test]
fn g8_a_filesystem_mounted_inside_a_tree_is_not_deleted_when_it_is_replaced() {
    let (world, journal) = with_tools("build/t");
    let Some(mounted) = Mounted::tmpfs(world.path("build/t/sub")) else {
        return;
    };
    let view = world.outside().join("view");
    std::fs::create_dir(&view).unwrap();
    world.write("build/t/sub/file", "precious");
    let view_of = Mounted::bind(&world.path("build/t/sub"), view.clone()).unwrap();
    let two = Steps::new("two").tree("build/t", small("two"));
    let replaced = two.try_commit(&journal);
    drop(journal);
    world.open().close().unwrap();
    let content = std::fs::read_to_string(view.join("file"));
    assert_eq!(content.ok().as_deref(), Some("precious"), "{replaced:?}");
    drop((mounted, view_of));
}

/// A commit without changes checked only the open home, and returned Ok although that had been moved away or removed:
/// the confirmed content was not at its path.
#[test]
fn g1_g9_nothing_counts_as_unchanged_in_a_missing_home() {
    let take_away: [fn(&World); 2] = [
        |world| std::fs::rename(world.path("build"), world.outside().join("away")).unwrap(),
        |world| std::fs::remove_dir_all(world.path("build")).unwrap(),
    ];
    for take_away in take_away {
        let world = World::new();
        let steps = Steps::new("same").put("build/a", "a").put("beside", "b");
        let journal = world.open();
        steps.try_commit(&journal).unwrap();
        take_away(&world);
        let beside = Steps::new("same").put("beside", "b");
        for steps in [&steps, &beside] {
            let done = steps
                .try_commit(&journal)
                .map(|receipt| receipt.changed_anything());
            assert!(matches!(done, Err(Error::Replaced { .. })), "{done:?}");
        }
        drop(journal);
        steps.try_commit(&world.open()).unwrap();
        assert_eq!(world.read("build/a"), "a");
    }
}

/// Staging or committing after the build directory was removed failed with an error about a lock file.
#[test]
fn g10_a_removed_home_is_reported() {
    for staged in [false, true] {
        let world = World::new();
        let journal = world.open();
        let steps = Steps::new("new").put("build/a", "a");
        let remove = || std::fs::remove_dir_all(world.path("build")).unwrap();
        let done = match staged {
            true => {
                let prepared = steps.prepare(&journal).unwrap();
                remove();
                prepared.commit().map(drop)
            }
            false => {
                remove();
                steps.prepare(&journal).map(drop)
            }
        };
        assert!(matches!(done, Err(Error::Replaced { .. })), "{done:?}");
    }
}

/// SQLite continues to write to a removed log, which no process can read: a commit was confirmed, but its record was
/// lost with the process.
#[test]
fn g2_g9_a_removed_log_is_not_written_any_more() {
    for name in [".state.db", ".state.db-wal", ".state.db-shm"] {
        let world = World::new();
        let journal = world.open();
        let steps = |text| Steps::new("new").put("build/a", text);
        steps("old").try_commit(&journal).unwrap();
        std::fs::remove_file(world.path("build").join(name)).unwrap();
        let done = steps("new").try_commit(&journal).map(drop);
        assert!(
            matches!(done, Err(Error::Replaced { .. })),
            "{name}: {done:?}"
        );
        assert_eq!(world.read("build/a"), "old", "{name}");
        drop(journal);
        let journal = world.open();
        steps("new").try_commit(&journal).unwrap();
        let entry = journal.history().entry("build/a").unwrap();
        assert!(entry.is_some(), "{name}: it is not recorded");
    }
}
