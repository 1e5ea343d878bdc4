//! The recorded content is what was read (G9): content that changes while it is read is refused, and an edit is
//! detected whatever its mtime.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::disk::{Call, Verb};
use tljournal::{ConflictKind, Digest, Error, Expect, Journal, Payload, Prepared, TreeSource};
use tljournal_testkit::{Steps, When, World, explain};
use tljournal_tests::{Hook, aside, holding, tools};

/// More than one buffer.
const BYTES: usize = 1 << 20;

/// A journal with a callback `write` that receives its number of calls, whenever something of this kind was staged.
fn written_at(world: &World, verb: Verb, write: impl Fn(usize) + Send + Sync + 'static) -> Journal {
    let times = AtomicUsize::new(0);
    let hook = Hook(move |when, call: &Call<'_>| {
        let staged = |path: &Utf8Path| path.as_str().contains("/.state/txn/");
        let is_it = staged(call.path) || call.other.as_deref().is_some_and(staged);
        if when == When::After && call.verb == verb && is_it && !call.path.ends_with("paths") {
            write(times.fetch_add(1, Ordering::SeqCst));
        }
        Ok(())
    });
    world.open_witnessed(&Arc::new(hook)).unwrap()
}

/// Writes to a file in place.
fn rewrite(path: &Utf8Path, content: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    io::Write::write_all(&mut file, content).unwrap();
}

/// Overwrites a file in place with the same length, and restores its mtime.
fn edit(world: &World, path: &str, content: &str) {
    let path = world.path(path);
    let before = fs::metadata(&path).unwrap();
    assert_eq!(before.len(), content.len() as u64);
    rewrite(&path, content.as_bytes());
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

fn prepared(journal: &Journal, payload: Payload) -> Result<Prepared, Error> {
    let mut txn = journal.begin("put");
    txn.put("build/x", payload, Expect::Any)?;
    txn.prepare()
}

fn is_source_changed(error: &Error) -> bool {
    let kind = |kind: &ConflictKind| matches!(kind, ConflictKind::SourceChanged { .. });
    matches!(error, Error::Conflict(conflict) if kind(&conflict.kind))
}

#[test]
fn g9_a_file_that_changes_while_it_is_copied_is_read_again() {
    let world = World::new();
    let source = world.outside().join("source");
    fs::write(&source, vec![b'a'; BYTES]).unwrap();
    let path = source.clone();
    let journal = written_at(&world, Verb::Write, move |times| {
        if times == 0 {
            rewrite(&path, &vec![b'b'; BYTES]);
        }
    });
    let receipt = prepared(&journal, Payload::file(&source)).unwrap().commit();
    assert!(receipt.unwrap().changed("build/x"));
    assert!(world.read("build/x").bytes().all(|byte| byte == b'b'));
}

#[test]
fn g9_a_file_that_is_written_to_again_and_again_is_refused_and_nothing_changes() {
    type Write = fn(&Utf8Path, usize);
    let writes: [(&str, Write); 4] = [
        ("the same length", |path, times| {
            rewrite(path, &vec![b'b' + times as u8; BYTES])
        }),
        ("longer", |path, times| {
            fs::write(path, vec![b'b'; BYTES + times + 1]).unwrap();
        }),
        ("shorter", |path, times| {
            fs::write(path, vec![b'b'; BYTES - times - 1]).unwrap();
        }),
        ("the mtime set back", |path, times| {
            let before = fs::metadata(path).unwrap().modified().unwrap();
            rewrite(path, &vec![b'b' + times as u8; BYTES]);
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(before).unwrap();
        }),
    ];
    let moved = [
        (Verb::Write, Payload::file as fn(Utf8PathBuf) -> Payload),
        (Verb::HardLink, Payload::moved),
    ];
    for (what, write) in writes {
        for (verb, payload) in moved {
            if what == "the mtime set back" && verb == Verb::HardLink {
                // The link moves the ctime itself: the mtime has to tell.
                continue;
            }
            let world = World::new();
            let source = world.outside().join("source");
            fs::write(&source, vec![b'a'; BYTES]).unwrap();
            world.write("build/x", "before");
            let path = source.clone();
            let journal = written_at(&world, verb, move |times| write(&path, times));
            let error = prepared(&journal, payload(source.clone())).unwrap_err();
            assert!(is_source_changed(&error), "{what}: {}", explain(&error));
            assert!(
                explain(&error).contains(source.as_str()),
                "{}",
                explain(&error)
            );
            assert_eq!(world.read("build/x"), "before", "{what}");
            assert!(source.exists(), "{what}");
            drop(journal);
            assert_eq!(world.left_in_staging(), [""; 0], "{what}");
        }
    }
}

#[test]
fn g9_a_file_that_is_moved_in_and_written_to_before_the_commit_is_refused() {
    let world = World::new();
    let journal = world.open();
    let source = world.path("out");
    fs::write(&source, "built").unwrap();
    let prepared = prepared(&journal, Payload::moved(&source)).unwrap();
    rewrite(&source, b"BUILT");
    let error = prepared.commit().unwrap_err();
    assert!(is_source_changed(&error), "{}", explain(&error));
    assert!(!world.exists("build/x"));
    assert_eq!(fs::read_to_string(&source).unwrap(), "BUILT");
}

#[test]
fn two_names_of_one_file_can_be_moved_in_together() {
    let world = World::new();
    let journal = world.open();
    fs::write(world.path("one"), "built").unwrap();
    fs::hard_link(world.path("one"), world.path("two")).unwrap();
    let mut txn = journal.begin("both");
    for name in ["one", "two"] {
        let target = format!("build/{name}");
        txn.put(target, Payload::moved(world.path(name)), Expect::Absent)
            .unwrap();
    }
    txn.prepare().unwrap().commit().unwrap();
    assert_eq!(world.read("build/one"), "built");
    assert_eq!(world.read("build/two"), "built");
    assert!(!world.exists("one") && !world.exists("two"));
}

#[test]
fn a_file_below_proc_can_be_put_although_it_has_no_size() {
    let world = World::new();
    let journal = world.open();
    let version = fs::read_to_string("/proc/version").unwrap();
    let prepared = prepared(&journal, Payload::file("/proc/version")).unwrap();
    assert!(prepared.commit().unwrap().changed("build/x"));
    assert_eq!(world.read("build/x"), version);
}

#[test]
fn g9_an_edit_with_a_restored_mtime_is_set_aside_by_every_replacement() {
    type Change = fn(&World) -> Steps;
    let ways: [(&str, Change); 4] = [
        ("put", |_| Steps::new("put").put("build/x", "version 2")),
        ("rm", |_| Steps::new("rm").remove("build/x")),
        ("rm of its directory", |_| {
            Steps::new("rm").remove("build/dir")
        }),
        ("rm of a directory further up", |_| {
            Steps::new("rm").remove("build/up")
        }),
    ];
    for (what, change) in ways {
        let world = World::new();
        let journal = world.open();
        let first = Steps::new("first")
            .put("build/x", "version 1")
            .put("build/dir/x", "version 1")
            .put("build/up/dir/x", "version 1");
        first.try_commit(&journal).unwrap();
        for path in ["build/x", "build/dir/x", "build/up/dir/x"] {
            edit(&world, path, "EDITED ##");
        }
        change(&world).try_commit(&journal).unwrap();
        let kept = holding(&world.path("build/.state/aside"), "EDITED ##");
        assert_eq!(kept.len(), 1, "{what}");
    }
}

#[test]
fn g9_an_edit_in_a_tree_is_set_aside_by_every_removal_or_replacement() {
    type Change = fn() -> Steps;
    let ways: [(&str, Change); 5] = [
        ("put of the file", || {
            Steps::new("put").put("build/up/tools/bin/tool", "x")
        }),
        ("rm of the file", || {
            Steps::new("rm").remove("build/up/tools/bin/tool")
        }),
        ("rm of its directory", || {
            Steps::new("rm").remove("build/up/tools/bin")
        }),
        ("rm of the tree", || {
            Steps::new("rm").remove("build/up/tools")
        }),
        ("rm of what the tree is in", || {
            Steps::new("rm").remove("build/up")
        }),
    ];
    for (what, change) in ways {
        let world = World::new();
        world.write("src/bin/tool", "version 1");
        let journal = world.open();
        let installed = journal.install(
            "build/up/tools",
            TreeSource::dir(world.path("src")),
            tljournal::TreeOptions::default(),
        );
        drop(installed.unwrap());
        edit(&world, "build/up/tools/bin/tool", "EDITED ##");
        change().try_commit(&journal).unwrap();
        let kept = holding(&world.path("build/.state/aside"), "EDITED ##");
        assert_eq!(kept.len(), 1, "{what}");
    }
}

#[test]
fn g9_a_difference_in_links_mode_or_time_only_is_not_an_edit() {
    type Touch = fn(&World);
    let ways: [(&str, Touch); 4] = [
        ("a mode that was changed and changed back", |world| {
            world.set_mode("build/x", 0o600);
            world.set_mode("build/x", 0o644);
        }),
        ("a further name", |world| {
            fs::hard_link(world.path("build/x"), world.outside().join("y")).unwrap();
        }),
        ("another time", |world| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(world.path("build/x"))
                .unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("another inode with the same content", |world| {
            fs::copy(world.path("build/x"), world.path("build/y")).unwrap();
            fs::rename(world.path("build/y"), world.path("build/x")).unwrap();
        }),
    ];
    for (what, touch) in ways {
        let world = World::new();
        let journal = world.open();
        Steps::new("put")
            .put("build/x", "version 1")
            .try_commit(&journal)
            .unwrap();
        touch(&world);
        Steps::new("put")
            .put("build/x", "version 2")
            .try_commit(&journal)
            .unwrap();
        assert_eq!(aside(&world), [""; 0], "{what}");
    }
}

#[test]
fn g14_nothing_in_a_copy_of_a_project_counts_as_edited() {
    let world = World::new();
    let steps = Steps::new("first")
        .put("build/x", "version 1")
        .link("build/l", "x")
        .tree("build/tools", tools());
    steps.try_commit(&world.open()).unwrap();
    let copy = World::at(world.outside().join("copy"));
    let copied = std::process::Command::new("cp")
        .args(["-a", world.root().as_str(), copy.root().as_str()])
        .status();
    assert!(copied.unwrap().success());
    let journal = copy.open();
    let steps = Steps::new("second")
        .put("build/x", "version 2")
        .link("build/l", "y")
        .remove("build/tools");
    steps.try_commit(&journal).unwrap();
    assert_eq!(aside(&copy), [""; 0]);
}

#[test]
fn g9_a_link_with_a_changed_target_is_set_aside() {
    let world = World::new();
    let journal = world.open();
    Steps::new("first")
        .link("build/l", "x")
        .try_commit(&journal)
        .unwrap();
    fs::remove_file(world.path("build/l")).unwrap();
    world.link("y", "build/l");
    Steps::new("rm")
        .remove("build/l")
        .try_commit(&journal)
        .unwrap();
    assert_eq!(aside(&world).len(), 1);
    // The digest of the replaced content was given, so it is not set aside.
    Steps::new("put")
        .put("build/x", "version 1")
        .try_commit(&journal)
        .unwrap();
    edit(&world, "build/x", "EDITED ##");
    let mut txn = journal.begin("put");
    let named = Expect::Digest(Digest::of(b"EDITED ##"));
    txn.put("build/x", "version 2", named).unwrap();
    txn.prepare().unwrap().commit().unwrap();
    assert_eq!(aside(&world).len(), 1);
}
