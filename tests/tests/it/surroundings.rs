//! The environment of a project: mount points, attributes, filesystems and kernels without some feature, absolute
//! paths. Impossible changes are refused before anything is committed, with the reason.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::IFlags;
use tljournal::disk::{Call, Verb, Witness};
use tljournal::{
    ConflictKind, Error, Expect, NamedPath, RelPath, Timestamp, TreeOptions, TreeSource,
    UsageError, below_root,
};
use tljournal_testkit::{Both, Lack, Steps, TreeSpec, When, World, check_agreement, explain};
use tljournal_tests::{Hook, Mounted, Record, small, tools};

/// An inode flag, until this is dropped.
struct Flagged {
    file: fs::File,
}

impl Flagged {
    /// `None` if the filesystem has no such flag, or does not let this user set it, which is reported.
    fn new(path: &Utf8Path, flag: IFlags) -> Option<Self> {
        let file = fs::File::open(path).unwrap();
        let set = rustix::fs::ioctl_getflags(&file)
            .and_then(|flags| rustix::fs::ioctl_setflags(&file, flags | flag));
        match set {
            Ok(()) => Some(Self { file }),
            Err(error) => {
                let text = format!("skipped: no flag for {path}: {error}\n");
                let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
                None
            }
        }
    }
}

impl Drop for Flagged {
    fn drop(&mut self) {
        let flags = rustix::fs::ioctl_getflags(&self.file).unwrap();
        let without = flags.difference(IFlags::IMMUTABLE | IFlags::APPEND);
        rustix::fs::ioctl_setflags(&self.file, without).unwrap();
    }
}

/// The reason and path of a refusal to move something.
fn immovable(error: &Error) -> (&str, &str) {
    match error {
        Error::Conflict(conflict) => match &conflict.kind {
            ConflictKind::Immovable { path, why } => (path, why),
            other => panic!("{other}"),
        },
        other => panic!("{}", explain(other)),
    }
}

/// A world with a file, a directory and a tree; and changes of each.
fn world() -> World {
    let world = World::new();
    let steps = Steps::new("first")
        .put("build/x", "old")
        .put("build/dir/x", "old")
        .tree("build/t", tools());
    steps.try_commit(&world.open()).unwrap();
    world
}

#[test]
fn g10_a_target_that_is_a_mount_point_is_refused_before_the_commit() {
    let targets: [(&str, &str, Steps); 5] = [
        (
            "build/x",
            "build/x",
            Steps::new("put").put("build/x", "new"),
        ),
        ("build/x", "build/x", Steps::new("rm").remove("build/x")),
        (
            "build/t",
            "build/t",
            Steps::new("tree").tree("build/t", small("2")),
        ),
        (
            "build/dir",
            "build/dir",
            Steps::new("rm").remove("build/dir"),
        ),
        (
            "build/dir/x",
            "build/dir/x",
            Steps::new("rm").remove("build/dir"),
        ),
    ];
    for (at, named, steps) in targets {
        let world = world();
        let other = world.outside().join("other");
        match world.path(at).is_dir() {
            true => fs::create_dir(&other).unwrap(),
            false => fs::write(&other, "mounted").unwrap(),
        }
        let Some(mounted) = Mounted::bind(&other, world.path(at)) else {
            return;
        };
        let record = Arc::new(Record::default());
        let journal = world.open_witnessed(&record).unwrap();
        let before = world.snapshot();
        let error = steps.try_commit(&journal).unwrap_err();
        let (path, why) = immovable(&error);
        assert_eq!(path, named);
        assert!(why.contains("mounted"), "{why}");
        assert_eq!(world.snapshot().differences(&before), [""; 0]);
        let renames = record
            .take()
            .into_iter()
            .filter(|(verb, ..)| matches!(verb, Verb::Exchange | Verb::RenameNew));
        assert_eq!(renames.count(), 0);
        // Without the mount the same change works.
        drop(mounted);
        steps.try_commit(&journal).unwrap();
    }
}

#[test]
fn what_is_equal_at_a_mount_point_needs_no_rename() {
    let world = World::new();
    let other = world.outside().join("other");
    fs::write(&other, "same").unwrap();
    world.write("build/x", "");
    let Some(_mounted) = Mounted::bind(&other, world.path("build/x")) else {
        return;
    };
    let journal = world.open();
    let mut txn = journal.begin("put");
    txn.put("build/x", "same", Expect::Any).unwrap();
    txn.prepare().unwrap().commit().unwrap();
}

#[test]
fn g10_what_is_immutable_or_can_only_grow_is_refused_before_the_commit() {
    let (fixed, grows) = (IFlags::IMMUTABLE, IFlags::APPEND);
    let put = |path| Steps::new("put").put(path, "new");
    let rm = |path| Steps::new("rm").remove(path);
    let refused = [
        ("build/x", fixed, put("build/x"), "immutable"),
        ("build/x", grows, rm("build/x"), "appended"),
        ("build/t", fixed, rm("build/t"), "immutable"),
        (
            "build/dir",
            fixed,
            put("build/dir/x"),
            "directory is immutable",
        ),
        (
            "build/dir",
            fixed,
            put("build/dir/new"),
            "directory is immutable",
        ),
        (
            "build/dir",
            fixed,
            put("build/dir/sub/new"),
            "directory is immutable",
        ),
        (
            "build/dir",
            grows,
            rm("build/dir/x"),
            "directory can only be added to",
        ),
    ];
    for (at, flag, steps, wanted) in refused {
        let world = world();
        let journal = world.open();
        let Some(flagged) = Flagged::new(&world.path(at), flag) else {
            return;
        };
        let before = world.snapshot();
        let error = steps.try_commit(&journal).unwrap_err();
        let (path, why) = immovable(&error);
        assert_eq!(Some(path), steps.paths().next());
        assert!(why.contains(wanted), "{why}");
        assert_eq!(world.snapshot().differences(&before), [""; 0]);
        drop(flagged);
        steps.try_commit(&journal).unwrap();
    }
    // A new name in an append-only directory works.
    let world = world();
    let journal = world.open();
    if let Some(_flagged) = Flagged::new(&world.path("build/dir"), grows) {
        put("build/dir/new").try_commit(&journal).unwrap();
    }
}

#[test]
fn g8_absolute_paths_below_the_root_name_the_same_places() {
    let world = World::new();
    let root = world.root().to_owned();
    let alias = world.outside().join("alias");
    symlink(&root, &alias).unwrap();
    let inner = world.outside().join("inner");
    world.make_dir("build/dir");
    symlink(world.path("build"), &inner).unwrap();
    let named = |path: &str| below_root(&root, &NamedPath::new(path).unwrap());
    let good = [
        format!("{root}/build/x"),
        format!("{root}//./build//x/"),
        format!("{root}/build/dir/../../build/x"),
        format!("{root}/../project/build/x"),
        format!("{alias}/build/x"),
        format!("{inner}/x"),
        format!("{inner}/../build/x"),
    ];
    for path in good {
        assert_eq!(named(&path).unwrap().as_str(), "build/x", "{path}");
    }
    assert_eq!(
        named(&format!("{root}/none/of/it")).unwrap().as_str(),
        "none/of/it"
    );
    // The last component is not followed.
    world.link(root.as_str(), "build/self");
    assert_eq!(
        named(&format!("{root}/build/self")).unwrap().as_str(),
        "build/self"
    );
    let beside = world.outside();
    let outside = ["/etc/passwd", "/", "/nowhere/at/all", beside.as_str()];
    for path in outside {
        let error = named(path).unwrap_err();
        assert!(
            matches!(error, Error::Usage(UsageError::Outside { .. })),
            "{path}: {}",
            explain(&error)
        );
    }
    for path in [
        root.to_string(),
        alias.to_string(),
        format!("{root}/a/../x"),
    ] {
        let error = named(&path).unwrap_err();
        assert!(
            matches!(error, Error::Usage(UsageError::Path(_))),
            "{path}: {}",
            explain(&error)
        );
    }
    assert!(NamedPath::new(&format!("/{}", "a/".repeat(3000))).is_err());
}

#[test]
fn the_library_takes_absolute_paths_wherever_it_takes_paths() {
    let world = World::new();
    let at = |path: &str| world.path(path).into_string();
    let journal = world
        .options()
        .territory(RelPath::new("build").unwrap())
        .work()
        .unwrap();
    let mut txn = journal.begin("all");
    txn.put(at("build/x").as_str(), "x", Expect::Absent)
        .unwrap();
    txn.link(at("build/l"), "x", Expect::Absent).unwrap();
    txn.remove(at("build/gone"), Expect::Any).unwrap();
    let receipt = txn.prepare().unwrap().commit().unwrap();
    assert!(receipt.changed(&at("build/x")) && receipt.changed("build/l"));
    world.write("src/file", "1");
    let source = TreeSource::dir(world.path("src"));
    let installed = journal.install(&at("build/t"), source, TreeOptions::default());
    assert!(installed.unwrap().changed);
    let source = TreeSource::filled(|path| fs::write(path.join("file"), "1"));
    let populated = journal.populate(&at("build/p"), "k", source, Default::default());
    assert!(populated.unwrap().changed);
    assert!(journal.pin(&at("build/t")).unwrap().is_some());
    assert!(journal.verify(&at("build/t"), true).unwrap().is_empty());
    assert!(journal.exists(&at("build/x")).unwrap());
    assert!(journal.history().entry(&at("build/x")).unwrap().is_some());
    assert!(
        journal
            .read()
            .unwrap()
            .open(&at("build/x"))
            .unwrap()
            .is_some()
    );
    let refused = journal.begin("x").put(at("elsewhere"), "x", Expect::Any);
    assert!(matches!(
        refused,
        Err(Error::Usage(UsageError::Territory { .. }))
    ));
}

#[test]
fn g6_a_home_without_locks_is_refused_by_name() {
    for (lack, what) in [
        (Lack::of_flock(), "flock"),
        (Lack::of_byte_locks(), "open file description"),
    ] {
        let world = World::new();
        world.make_dir("build");
        let error = explain(&world.open_witnessed(&Arc::new(lack)).unwrap_err());
        for part in [what, "lies on", "--home", world.path("build").as_str()] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!world.exists("build/.state.db"));
    }
}

/// A fuse-overlayfs over a directory, until this is dropped; `None` if it is not installed, which is reported.
struct InUserSpace(Utf8PathBuf);

impl InUserSpace {
    fn over(lower: &Utf8Path, scratch: &Utf8Path, at: Utf8PathBuf) -> Option<Self> {
        let (upper, work) = (scratch.join("upper"), scratch.join("work"));
        for dir in [&upper, &work, &at] {
            fs::create_dir_all(dir).unwrap();
        }
        let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let ran = Command::new("fuse-overlayfs")
            .args(["-o", &layers, at.as_str()])
            .output();
        if ran.is_ok_and(|ran| ran.status.success()) {
            return Some(Self(at));
        }
        let text = "skipped: no fuse-overlayfs\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        None
    }
}

impl Drop for InUserSpace {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["-l", self.0.as_str()])
            .status();
    }
}

#[test]
fn entries_of_the_lower_layer_of_a_fuse_overlay_are_replaced_and_removed() {
    let base = World::new();
    base.write("lower/build/t/file", "old");
    base.write("lower/build/t/sub/deep", "old");
    base.write("lower/build/gone/sub/file", "old");
    base.write("lower/build/x", "old");
    base.link("file", "lower/build/t/link");
    base.link("x", "lower/build/l");
    fs::hard_link(
        base.path("lower/build/t/file"),
        base.path("lower/build/t/same"),
    )
    .unwrap();
    let lower = base.path("lower");
    let Some(mounted) = InUserSpace::over(&lower, &base.path("scratch"), base.path("merged"))
    else {
        return;
    };
    let world = World::at(mounted.0.clone());
    let journal = world.open();
    let steps = [
        Steps::new("put").put("build/x", "new"),
        Steps::new("link").link("build/l", "y"),
        Steps::new("tree").tree("build/t", tools()),
        Steps::new("tree").tree("build/t", small("2")),
        Steps::new("rm").remove("build/gone"),
    ];
    for steps in &steps {
        steps.try_commit(&journal).unwrap();
        let wrong = check_agreement(&world, &journal, steps);
        assert_eq!(wrong, [""; 0]);
    }
    assert!(journal.verify("build/t", true).unwrap().is_empty());
    assert_eq!(world.read("build/x"), "new");
    assert!(!world.exists("build/gone"));
    // The layer itself is unchanged.
    assert_eq!(base.read("lower/build/t/file"), "old");
}

#[test]
fn a_rebuildable_tree_is_synced_entry_by_entry_if_syncfs_does_nothing() {
    let world = World::new();
    let record = Arc::new(Record::default());
    let told = record.clone();
    let hook = Hook(move |when, call: &Call<'_>| match when {
        When::Before => told.before(call),
        When::After => Ok(()),
    });
    let witness = Arc::new(Both(Lack::of_syncfs(), hook));
    let journal = world.open_witnessed(&witness).unwrap();
    let time = Timestamp::new(1, 0);
    let tree = TreeSpec::new(0o755, time).dir("dir", 0o755, time);
    let tree = (0..40).fold(tree, |tree, n| {
        tree.file(&format!("dir/{n}"), 0o644, time, format!("{n}"))
    });
    Steps::new("tree")
        .rebuildable("build/t", tree)
        .try_commit(&journal)
        .unwrap();
    let _ = record.take();
    journal.recover().unwrap();
    let calls = record.take();
    let synced = |verb: Verb, part: &str| {
        let is_it = |(done, path, _): &&tljournal_tests::Seen| {
            *done == verb && path.as_str().contains(part)
        };
        calls.iter().filter(is_it).count()
    };
    assert_eq!(synced(Verb::SyncFile, "build/t/dir/"), 40);
    assert!(synced(Verb::SyncDir, "build/t/dir") > 0);
    assert_eq!(synced(Verb::SyncFilesystem, "build/t"), 0);
}
