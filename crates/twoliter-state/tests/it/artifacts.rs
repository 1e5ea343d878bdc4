//! Artifacts: published atomically, owned by path, and cleaned.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use camino::Utf8Path;
use tljournal::{ConflictKind, OnPinned, TreeOptions, TreeSource};
use tljournal_testkit::World;
use twoliter_state::{Artifact, Error, Kind, LATEST, Outputs, State};

fn state(world: &World) -> State {
    State::with(world.open())
}

fn package(name: &str) -> Artifact {
    Artifact {
        arch: "x86_64".into(),
        kind: Kind::Package,
        name: name.into(),
        state_dir: "build/state".into(),
        output_dir: "build/rpms".into(),
        shares_output_dir: true,
    }
}

/// Creates these files in a directory of their own, with their names as content.
fn built(world: &World, dir: &str, names: &[&str]) -> Outputs {
    for name in names {
        world.write(&format!("{dir}/{name}"), format!("{name} from {dir}"));
    }
    Outputs::below(world.path(dir)).unwrap()
}

/// The names of all files below a directory.
fn names(world: &World, dir: &str) -> BTreeSet<String> {
    let snapshot = world.snapshot().below(dir);
    let files = snapshot
        .paths()
        .filter(|path| !world.path(dir).join(path).is_dir());
    files.map(ToOwned::to_owned).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_published_set_replaces_the_old_one_with_its_markers() {
    let world = World::new();
    let state = state(&world);
    let outputs = built(&world, "out", &["a-1.rpm", "sub/b-1.rpm"]);
    let inode = world.path("out/a-1.rpm").metadata().unwrap().ino();
    let done = state.publish(&package("a"), &outputs).unwrap();
    assert_eq!((done.put.len(), done.removed.len()), (2, 0));
    assert_eq!(
        names(&world, "build/rpms"),
        set(&["a-1.rpm", "sub/b-1.rpm"])
    );
    let markers = set(&["a-1.rpm.buildsys_marker", "sub/b-1.rpm.buildsys_marker"]);
    assert_eq!(names(&world, "build/state/x86_64/packages/a"), markers);
    assert_eq!(
        world.path("build/rpms/a-1.rpm").metadata().unwrap().ino(),
        inode,
        "moved"
    );
    assert!(names(&world, "out").is_empty(), "moved");

    let outputs = built(&world, "out", &["a-2.rpm"]);
    let done = state.publish(&package("a"), &outputs).unwrap();
    assert_eq!(done.removed.len(), 2);
    assert_eq!(names(&world, "build/rpms"), set(&["a-2.rpm"]));
    assert_eq!(
        names(&world, "build/state/x86_64/packages/a"),
        set(&["a-2.rpm.buildsys_marker"])
    );
}

#[test]
fn g4_an_unchanged_set_is_not_touched_and_its_source_files_are_removed() {
    let world = World::new();
    let state = state(&world);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(1_234_567_890_123_456_789);
    let build = || {
        let outputs = built(&world, "out", &["a-1.rpm"]);
        let file = fs::File::options()
            .append(true)
            .open(world.path("out/a-1.rpm"))
            .unwrap();
        file.set_modified(time).unwrap();
        outputs
    };
    state.publish(&package("a"), &build()).unwrap();
    let look = || {
        let meta = world.path("build/rpms/a-1.rpm").metadata().unwrap();
        (
            meta.ino(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        )
    };
    let before = look();
    let done = state.publish(&package("a"), &build()).unwrap();
    assert!(done.put.is_empty());
    assert_eq!(look(), before);
    assert!(!world.exists("out/a-1.rpm"));
}

/// Upstream issue bottlerocket#3926: a subpackage moved from one package to another, and the next build of the first
/// one deleted it, because its marker still existed.
#[test]
fn a_package_that_moved_is_not_deleted_by_its_former_owner() {
    let world = World::new();
    let state = state(&world);
    state
        .publish(
            &package("old"),
            &built(&world, "out", &["sub.rpm", "old.rpm"]),
        )
        .unwrap();
    state
        .publish(
            &package("new"),
            &built(&world, "out", &["sub.rpm", "new.rpm"]),
        )
        .unwrap();
    assert_eq!(
        names(&world, "build/state/x86_64/packages/old"),
        set(&["old.rpm.buildsys_marker"])
    );
    state
        .publish(&package("old"), &built(&world, "out", &["old.rpm"]))
        .unwrap();
    assert_eq!(
        names(&world, "build/rpms"),
        set(&["new.rpm", "old.rpm", "sub.rpm"])
    );
    // Markers of both, as upstream left them: a package that no longer builds it leaves it to the other.
    world.write(
        "build/state/x86_64/packages/old/sub.rpm.buildsys_marker",
        "",
    );
    let done = state
        .publish(&package("old"), &built(&world, "out", &["old.rpm"]))
        .unwrap();
    assert_eq!(done.left, ["sub.rpm"]);
    assert!(world.exists("build/rpms/sub.rpm"));
    assert_eq!(
        names(&world, "build/state/x86_64/packages/old"),
        set(&["old.rpm.buildsys_marker"])
    );
}

#[test]
fn kits_with_files_of_the_same_names_are_independent() {
    let world = World::new();
    let state = state(&world);
    let kit = |name: &str| Artifact {
        kind: Kind::Kit,
        output_dir: format!("build/kits/{name}/x86_64").into(),
        shares_output_dir: false,
        ..package(name)
    };
    for name in ["core", "extra"] {
        let outputs = built(&world, "out", &["repodata/repomd.xml"]);
        state.publish(&kit(name), &outputs).unwrap();
    }
    state.publish(&kit("core"), &Outputs::new()).unwrap();
    assert!(names(&world, "build/kits/core").is_empty());
    assert_eq!(
        names(&world, "build/kits/extra"),
        set(&["x86_64/repodata/repomd.xml"])
    );
    assert_eq!(names(&world, "build/state/x86_64/kits/extra").len(), 1);
}

#[test]
fn files_of_upstream_are_adopted() {
    let world = World::new();
    world.write("build/rpms/a-0.rpm", "old");
    world.write("build/rpms/other.rpm", "stray");
    world.write("build/state/x86_64/packages/a/a-0.rpm.buildsys_marker", "");
    world.write("build/state/x86_64/packages/a/gone.rpm.buildsys_marker", "");
    let state = state(&world);
    state
        .publish(&package("a"), &built(&world, "out", &["a-1.rpm"]))
        .unwrap();
    assert_eq!(names(&world, "build/rpms"), set(&["a-1.rpm", "other.rpm"]));
    assert_eq!(
        names(&world, "build/state/x86_64/packages/a"),
        set(&["a-1.rpm.buildsys_marker"])
    );
}

#[test]
fn outputs_in_the_directory_of_markers_are_published_from_there() {
    let world = World::new();
    let state = state(&world);
    let dir = "build/state/x86_64/packages/a";
    let outputs = built(&world, dir, &["a.img"]);
    world.link("a.img", &format!("{dir}/a.link"));
    let outputs = outputs.with("a.link", world.path(dir).join("a.link"));
    state.publish(&package("a"), &outputs).unwrap();
    assert_eq!(names(&world, "build/rpms"), set(&["a.img", "a.link"]));
    let markers = set(&["a.img.buildsys_marker", "a.link.buildsys_marker"]);
    assert_eq!(names(&world, dir), markers);
    assert_eq!(
        fs::read_link(world.path("build/rpms/a.link"))
            .unwrap()
            .to_str(),
        Some("a.img")
    );
}

#[test]
fn g1_concurrent_publishers_leave_one_complete_set_per_name() {
    let world = Arc::new(World::in_memory());
    let publish = |name: &'static str, who: usize| {
        let world = world.clone();
        move || {
            let state = state(&world);
            for round in 0..6 {
                let dir = format!("out-{name}-{who}-{round}");
                let files = [format!("{name}.rpm"), format!("{name}-{who}.rpm")];
                let files = [files[0].as_str(), files[1].as_str()];
                state
                    .publish(&package(name), &built(&world, &dir, &files))
                    .unwrap();
            }
            state.close().unwrap();
        }
    };
    let threads: Vec<_> = [("a", 0), ("a", 1), ("b", 0), ("c", 0)]
        .into_iter()
        .map(|(name, who)| std::thread::spawn(publish(name, who)))
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let found = names(&world, "build/rpms");
    assert_eq!(found.len(), 6, "{found:?}");
    for name in ["a", "b", "c"] {
        let owned = names(&world, &format!("build/state/x86_64/packages/{name}"));
        let outputs: Vec<_> = found.iter().filter(|file| file.starts_with(name)).collect();
        let marked: Vec<_> = owned
            .iter()
            .map(|file| file.replace(".buildsys_marker", ""))
            .collect();
        assert_eq!(outputs, marked.iter().collect::<Vec<_>>());
        // Both files are of the same build.
        let whole =
            |file: &&String| fs::read_to_string(world.path("build/rpms").join(file)).unwrap();
        let from: BTreeSet<_> = outputs
            .iter()
            .map(|file| whole(file).split(" from ").nth(1).map(str::to_owned))
            .collect();
        assert_eq!(from.len(), 1, "{from:?}");
    }
}

#[test]
fn a_clean_removes_everything_atomically_and_keeps_pinned_trees() {
    let world = World::new();
    let state = state(&world);
    world.write("source/sub/file", "kit");
    let source = TreeSource::at(world.path("source"));
    let installed = state
        .journal()
        .install("build/kits/core", source, TreeOptions::default())
        .unwrap();
    world.write("build/rpms/go/mod/file", "x");
    world.set_mode("build/rpms/go/mod", 0o555);
    let pinned = Utf8Path::new(&installed.pin.path()).join("sub/file");
    for paths in [
        ["build/kits", "build/rpms"],
        ["build/kits/core", "build/rpms"],
    ] {
        let refused = state.clean(paths, OnPinned::Fail).unwrap_err();
        let Error::Journal(tljournal::Error::Conflict(conflict)) = refused else {
            panic!("{refused}");
        };
        assert!(
            matches!(conflict.kind, ConflictKind::Pinned { .. }),
            "{conflict}"
        );
        assert!(world.exists("build/rpms/go/mod/file"), "all or nothing");
    }
    let all = ["build/rpms", "build/kits", "build/rpms/go", "build/none"];
    let removed = state.clean(all, OnPinned::Exchange).unwrap();
    assert_eq!(removed, ["build/kits", "build/rpms"]);
    assert!(!world.exists("build/kits") && !world.exists("build/rpms"));
    assert_eq!(fs::read_to_string(&pinned).unwrap(), "kit");
    let again = state.clean(["build/rpms", "build/kits"], OnPinned::Fail);
    assert_eq!(again.unwrap(), [""; 0]);
    drop(installed);
    state.journal().recover().unwrap();
    assert_eq!(world.left_in_staging(), [""; 0]);
}

#[test]
fn latest_is_replaced_even_if_it_was_a_directory() {
    let world = World::new();
    let state = state(&world);
    let dir = "build/images/x86_64-dev";
    world.write(&format!("{dir}/{LATEST}/old.img"), "of an older version");
    for target in ["1.0.0", "1.1.0"] {
        assert!(state.flip_latest(dir, target).unwrap());
        let link = fs::read_link(world.path(dir).join(LATEST)).unwrap();
        assert_eq!(link.to_str(), Some(target));
    }
    assert!(!state.flip_latest(dir, "1.1.0").unwrap());
}
