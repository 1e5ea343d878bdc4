//! The guarantees one by one, from the point of view of a user. G1, G2 and G11 also have suites of their own
//! (`kill_everywhere`, `fail_everywhere`, `storm`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8Path;
use tljournal::{
    Digest, Durability, EventKind, Expect, Journal, OnPinned, Payload, Timestamp, TreeOptions,
    TreeSource,
};
use tljournal_testkit::{Snapshot, Steps, TreeSpec, World, check_at_rest};
use tljournal_tests::{holding, tools, tools_like};

fn at(nanos: u32) -> Timestamp {
    Timestamp::new(1_111_111_111, nanos)
}

/// Identity and times of everything below the home, including the journal's own files; of the database the bytes too.
/// The index of its log is shared memory, whose times the kernel changes at will.
fn fingerprint(world: &World) -> BTreeMap<String, String> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![world.path("build")]);
    while let Some(dir) = waiting.pop() {
        for entry in dir.read_dir_utf8().unwrap().flatten() {
            let path = entry.path();
            let meta = path.symlink_metadata().unwrap();
            if entry.file_name().ends_with("-shm") {
                continue;
            }
            if meta.is_dir() {
                waiting.push(path.to_owned());
            }
            let bytes = match entry.file_name().starts_with(".state.db") {
                true => Digest::of(&fs::read(path).unwrap()).hex(),
                false => String::new(),
            };
            let (ino, size) = (meta.ino(), meta.len());
            let mtime = (meta.mtime(), meta.mtime_nsec());
            // As root, SQLite changes the owner of the log to that of the database at each opening, which changes its
            // ctime.
            let ctime = match entry.file_name().ends_with("-wal") {
                true => (0, 0),
                false => (meta.ctime(), meta.ctime_nsec()),
            };
            let all = format!("{ino} {size} mtime {mtime:?} ctime {ctime:?} {bytes}");
            found.insert(path.to_string(), all);
        }
    }
    found
}

/// Fails with the names of what has changed.
fn assert_untouched(world: &World, before: &BTreeMap<String, String>, when: &str) {
    let now = fingerprint(world);
    let paths: BTreeSet<_> = now.keys().chain(before.keys()).collect();
    for path in paths {
        assert_eq!(now.get(path), before.get(path), "{path} was touched {when}");
    }
}

fn install(journal: &Journal, path: &str, source: &Utf8Path) -> tljournal::Installed {
    let source = TreeSource::dir(source);
    journal
        .install(path, source, TreeOptions::default())
        .unwrap()
}

#[test]
fn g3_nothing_is_ever_missing_empty_or_torn_while_it_is_replaced() {
    let world = World::new();
    let journal = world.open();
    let version = |n: u32| {
        let tree = TreeSpec::new(0o755, at(n)).file("file", 0o644, at(n), vec![b'x'; 5000]);
        Steps::new("version")
            .put("build/file", vec![b'x'; 5000 + n as usize % 7])
            .link("build/link", &format!("file{n}"))
            .tree("build/tree", tree)
    };
    version(0).try_commit(&journal).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..60 {
                version(n).try_commit(&journal).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            assert!(fs::read(world.path("build/file")).unwrap().len() >= 5000);
            assert!(fs::read_link(world.path("build/link")).is_ok());
            assert!(
                fs::symlink_metadata(world.path("build/tree"))
                    .unwrap()
                    .is_dir()
            );
            let pin = journal.pin("build/tree").unwrap().unwrap();
            let inside = Utf8Path::new(&pin.path()).join("file");
            assert_eq!(fs::read(inside).unwrap().len(), 5000);
        }
    });
}

#[test]
fn g4_what_is_unchanged_is_not_touched_nor_anything_of_the_journals_own() {
    let world = World::new();
    let source = world.outside().join("source");
    tools().write_to(&source);
    let again = |journal: &Journal| {
        let mut txn = journal.begin("again");
        txn.put(
            "build/a",
            Payload::from("a").mode(0o600).mtime(at(1)),
            Expect::Any,
        )
        .unwrap();
        txn.put("build/b", "no mode, no mtime", Expect::Any)
            .unwrap();
        txn.link("build/l", "a", Expect::Any).unwrap();
        txn.remove("build/gone", Expect::Any).unwrap();
        txn.tree(
            "build/tools",
            TreeSource::dir(&source),
            TreeOptions::default(),
        )
        .unwrap();
        txn.prepare().unwrap().commit().unwrap()
    };
    let journal = world.open();
    assert!(again(&journal).changed_anything());
    let before = fingerprint(&world);
    for _ in 0..3 {
        assert!(!again(&journal).changed_anything());
    }
    assert_untouched(&world, &before, "within one process");
    journal.close().unwrap();
    let before = fingerprint(&world);
    for _ in 0..3 {
        let journal = world.open();
        assert!(!again(&journal).changed_anything());
        journal.close().unwrap();
    }
    assert_untouched(&world, &before, "by other processes");
}

#[test]
fn g4_an_edit_that_keeps_size_and_mtime_is_found_and_mended() {
    let world = World::new();
    let source = world.outside().join("source");
    tools().write_to(&source);
    let journal = world.open();
    drop(install(&journal, "build/tools", &source));
    let file = world.path("build/tools/bin/run");
    let meta = file.metadata().unwrap();
    let edited = fs::read_to_string(&file).unwrap().replace("one", "two");
    fs::write(&file, edited).unwrap();
    let open = fs::File::options().append(true).open(&file).unwrap();
    open.set_modified(meta.modified().unwrap()).unwrap();
    assert!(!journal.verify("build/tools", false).unwrap().is_empty());
    assert!(install(&journal, "build/tools", &source).changed);
    assert!(world.read("build/tools/bin/run").contains("one"));
}

#[test]
fn g5_times_and_modes_are_kept_to_the_nanosecond() {
    let world = World::new();
    let journal = world.open();
    let mut model = tljournal_testkit::Model::default();
    for version in ["one", "two", "one"] {
        let steps = Steps::new(version)
            .put_as("build/file", version, 0o640, at(123_456_789))
            .put_as(
                "build/ancient",
                version,
                0o400,
                Timestamp::new(-1_000_000, 1),
            )
            .tree("build/tools", tools_like(version, 0o750));
        for _ in 0..2 {
            model.commit(&steps);
            steps.try_commit(&journal).unwrap();
            world.snapshot().assert_matches(&model.snapshot());
        }
        steps.roll_back(&journal);
        world.snapshot().assert_matches(&model.snapshot());
    }
    // Unspecified properties are those of the replaced file.
    let mut txn = journal.begin("content only");
    txn.put("build/file", "three", Expect::Present).unwrap();
    txn.prepare().unwrap().commit().unwrap();
    assert_eq!(
        world.path("build/file").metadata().unwrap().mode() & 0o7777,
        0o640
    );
}

#[test]
fn g7_a_pinned_tree_stays_complete_until_it_is_unpinned() {
    let world = World::new();
    let journal = world.open();
    let wanted = Snapshot::of(&{
        let copy = world.outside().join("copy");
        tools().write_to(&copy);
        copy
    });
    Steps::new("one")
        .tree("build/tools", tools())
        .try_commit(&journal)
        .unwrap();
    let pin = journal.pin("build/tools").unwrap().unwrap();
    let two = Steps::new("two").tree("build/tools", tools_like("two", 0o755));
    let whole = |pin: &tljournal::Pin| {
        Snapshot::of(Utf8Path::new(&pin.path()))
            .ignoring_link_times()
            .assert_matches(&wanted);
    };
    two.try_commit(&journal).unwrap();
    whole(&pin);
    Steps::new("none")
        .remove("build/tools")
        .try_commit(&journal)
        .unwrap();
    journal.recover().unwrap();
    whole(&pin);
    // The cleanup of another process does not delete it either.
    drop(world.open());
    whole(&pin);
    drop(pin);
    journal.recover().unwrap();
    assert!(
        world.left_in_staging().is_empty(),
        "it is deleted after it is unpinned"
    );
    assert!(!world.exists("build/tools"));
}

#[test]
fn g7_an_error_names_the_holder_of_a_pin() {
    let world = World::new();
    let journal = world.open();
    Steps::new("one")
        .tree("build/tools", tools())
        .try_commit(&journal)
        .unwrap();
    let pin = journal.pin("build/tools").unwrap().unwrap();
    let options = TreeOptions {
        on_pinned: OnPinned::Fail,
        ..TreeOptions::default()
    };
    let other = || tools_like("two", 0o755).source();
    let refused = journal
        .install("build/tools", other(), options.clone())
        .unwrap_err();
    assert!(refused.to_string().contains("pinned by"), "{refused}");
    drop(pin);
    assert!(
        journal
            .install("build/tools", other(), options)
            .unwrap()
            .changed
    );
}

#[test]
fn g9_an_edited_file_is_not_overwritten_silently() {
    let world = World::new();
    let journal = world.open();
    Steps::new("one")
        .put("build/file", "one")
        .try_commit(&journal)
        .unwrap();
    world.write("build/file", "other words");
    Steps::new("two")
        .put("build/file", "two")
        .try_commit(&journal)
        .unwrap();
    assert_eq!(world.read("build/file"), "two");
    let events = journal
        .history()
        .events(&tljournal::EventFilter::default())
        .unwrap();
    assert!(
        events.iter().any(|event| event.kind == EventKind::Drift),
        "{events:?}"
    );
    let aside = world.path("build/.state/aside");
    assert_eq!(holding(&aside, "other words").len(), 1);
}

#[test]
fn the_tree_replaced_by_a_rebuildable_one_is_retained_until_the_sync() {
    let world = World::new();
    let journal = world.open();
    let source = || tools_like("two", 0o755).source();
    Steps::new("one")
        .tree("build/tools", tools())
        .try_commit(&journal)
        .unwrap();
    let options = TreeOptions {
        durability: Durability::Rebuildable,
        ..TreeOptions::default()
    };
    drop(journal.install("build/tools", source(), options).unwrap());
    assert_eq!(world.left_in_staging().len(), 1);
    journal.recover().unwrap();
    assert!(world.left_in_staging().is_empty());
}

#[test]
fn an_empty_transaction_leaves_no_trace() {
    let world = World::new();
    let journal = world.open();
    let before = fingerprint(&world);
    journal
        .begin("nothing")
        .prepare()
        .unwrap()
        .commit()
        .unwrap();
    journal.begin("nothing").rollback().unwrap();
    drop(journal.begin("nothing"));
    journal.close().unwrap();
    assert_untouched(&world, &before, "by nothing");
    assert_eq!(check_at_rest(&world), [""; 0]);
}
