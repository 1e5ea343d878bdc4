//! `build/tools`, as several versions of twoliter and their readers use it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use tljournal_testkit::World;
use twoliter_state::{State, Tools};

const TOOLS: &str = "build/tools";
const DATE: u64 = 1_700_000_001;

/// An archive as twoliter's build script creates it: scripts with different mtimes, one of them in a directory.
fn archive(version: &str, names: &[&str]) -> &'static [u8] {
    let zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(zlib);
    for (age, name) in names.iter().enumerate() {
        let content = format!("# {name} of {version}\n");
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(DATE + age as u64);
        tar.append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap().leak()
}

const SCRIPTS: [&str; 3] = ["build.Dockerfile", "Makefile.toml", "waves/default.toml"];

/// The tools of one version: a few scripts, and programs that are large enough to be torn.
fn tools(version: &str) -> Tools {
    let program = |name: &str| {
        let line = format!("{name} of {version}\n");
        move || Cursor::new(line.repeat(20_000))
    };
    Tools::new(archive(version, &SCRIPTS))
        .program("buildsys", program("buildsys"))
        .program("pubsys", program("pubsys"))
}

/// Every entry with all metadata that a reader could notice.
fn look(root: &Path) -> BTreeMap<String, (u64, u32, i64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let change = meta.ctime() * 1_000_000_000 + meta.ctime_nsec();
        let about = (
            meta.ino(),
            meta.mode(),
            meta.mtime(),
            meta.mtime_nsec(),
            change,
        );
        found.insert(name, about);
        if meta.is_dir() {
            waiting.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    found
}

/// Asserts that exactly the tools of this version are in place, with their times.
fn assert_complete(root: &Path, version: &str) {
    // A pin's path is a magic link; the directory behind it is compared.
    let root = &root.join(".");
    let expected = [
        "",
        "Makefile.toml",
        "build.Dockerfile",
        "buildsys",
        "pubsys",
        "waves",
    ];
    let there = look(root);
    let names: Vec<_> = there.keys().map(String::as_str).collect();
    assert_eq!(names, [&expected[..], &["waves/default.toml"]].concat());
    for (name, (_, mode, mtime, nanos, _)) in &there {
        let script = SCRIPTS.iter().position(|script| script == name);
        assert_eq!(*mtime as u64, DATE + script.unwrap_or(0) as u64, "{name}");
        assert_eq!(*nanos, 0, "{name}");
        let wanted = if script.is_some() { 0o644 } else { 0o755 };
        assert_eq!(mode & 0o7777, wanted, "{name}");
        if mode & 0o170_000 == 0o100_000 {
            let content = fs::read_to_string(root.join(name)).unwrap();
            let line = format!("{name} of {version}\n");
            let whole = match script {
                Some(_) => format!("# {line}"),
                None => line.repeat(20_000),
            };
            assert!(content == whole, "{name} is not of {version}");
        }
    }
}

fn install(world: &World, tools: &Tools) -> bool {
    let state = State::with(world.open());
    let installed = state.install_tools(TOOLS, tools).unwrap();
    installed.changed
}

#[test]
fn an_absent_directory_becomes_exactly_the_payload() {
    let world = World::new();
    assert!(install(&world, &tools("1")));
    assert_complete(world.path(TOOLS).as_std_path(), "1");
    assert!(
        !fs::symlink_metadata(world.path(TOOLS))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn g4_tools_that_are_installed_already_are_not_touched() {
    let world = World::new();
    install(&world, &tools("1"));
    let before = look(world.path(TOOLS).as_std_path());
    assert!(!install(&world, &tools("1")));
    assert_eq!(look(world.path(TOOLS).as_std_path()), before);
}

/// Damages the tools, as another program might.
type Damage = fn(&Path);

#[test]
fn every_damage_of_the_directory_is_repaired() {
    let damages: [(&str, Damage); 7] = [
        ("a script was edited", |tools| {
            fs::write(tools.join("Makefile.toml"), "mine").unwrap();
        }),
        ("a program was torn", |tools| {
            let program = fs::File::options().write(true).open(tools.join("buildsys"));
            program.unwrap().set_len(1000).unwrap();
        }),
        ("a program was changed behind its size and mtime", |tools| {
            let path = tools.join("pubsys");
            let mtime = fs::metadata(&path).unwrap().modified().unwrap();
            let mut program = fs::File::options().write(true).open(path).unwrap();
            program.write_all(b"x").unwrap();
            program.set_modified(mtime).unwrap();
        }),
        ("a script was removed", |tools| {
            fs::remove_file(tools.join("waves/default.toml")).unwrap();
        }),
        ("a file came from elsewhere", |tools| {
            fs::write(tools.join("waves/theirs"), "theirs").unwrap();
        }),
        ("a mode was changed", |tools| {
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(tools.join("buildsys"), mode).unwrap();
        }),
        ("everything was removed", |tools| {
            fs::remove_dir_all(tools).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let world = World::new();
        install(&world, &tools("1"));
        damage(world.path(TOOLS).as_std_path());
        assert!(install(&world, &tools("1")), "{what}");
        assert_complete(world.path(TOOLS).as_std_path(), "1");
    }
}

#[test]
fn the_files_of_a_killed_upstream_are_replaced() {
    let world = World::new();
    fs::create_dir_all(world.path(TOOLS)).unwrap();
    fs::write(world.path("build/tools/buildsys"), "half of").unwrap();
    assert!(install(&world, &tools("1")));
    assert_complete(world.path(TOOLS).as_std_path(), "1");
}

#[test]
fn concurrent_callers_find_complete_tools() {
    let world = World::new();
    let (tools, start) = (tools("1"), Barrier::new(16));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let state = State::with(world.open());
                start.wait();
                let installed = state.install_tools(TOOLS, &tools).unwrap();
                assert_complete(installed.pin.path().as_ref(), "1");
            });
        }
    });
    assert_complete(world.path(TOOLS).as_std_path(), "1");
}

#[test]
fn g7_alternating_versions_leave_each_reader_its_own() {
    let world = World::new();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for reader in 0..4 {
            let (world, start) = (&world, &start);
            scope.spawn(move || {
                let version = ["1", "2"][reader % 2];
                let (state, tools) = (State::with(world.open()), tools(version));
                start.wait();
                for _ in 0..6 {
                    let installed = state.install_tools(TOOLS, &tools).unwrap();
                    assert_complete(installed.pin.path().as_ref(), version);
                }
            });
        }
    });
}

#[test]
fn an_archive_without_an_mtime_for_the_tools_changes_nothing() {
    let world = World::new();
    install(&world, &tools("1"));
    let undated = Tools::new(archive("2", &["Makefile.toml"]));
    let state = State::with(world.open());
    let error = state.install_tools(TOOLS, &undated).unwrap_err();
    let said = tljournal_testkit::explain(&error);
    assert!(said.contains("there is no `build.Dockerfile`"), "{said}");
    drop(state);
    assert_complete(world.path(TOOLS).as_std_path(), "1");
}

#[test]
fn a_payload_is_identified_by_its_content_or_by_a_given_digest() {
    let identity = |version| tools(version).identity().unwrap();
    assert_eq!(identity("1"), identity("1"));
    assert_ne!(identity("1"), identity("2"));
    let said = tools("2").known_as(identity("1"));
    assert_eq!(said.identity().unwrap(), identity("1"));
}

/// Each clone computed the identity for itself, and a program that keeps its tools in a static clones them for every
/// call.
#[test]
fn the_payload_is_read_once_for_all_clones() {
    let read = Arc::new(AtomicUsize::new(0));
    let counted = read.clone();
    let tools = Tools::new(archive("1", &SCRIPTS)).program("buildsys", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Cursor::new("buildsys")
    });
    for _ in 0..3 {
        tools.clone().identity().unwrap();
    }
    assert_eq!(read.load(Ordering::Relaxed), 1);
}

#[test]
fn tools_can_be_installed_anywhere() {
    let world = World::new();
    for (dir, home) in [
        ("any/where/tools", "any/where/.tools.journal"),
        ("project/build/tools", "project/build"),
        ("project/build/deep/tools", "project/build"),
    ] {
        for changed in [true, false] {
            let installed = twoliter_state::install_tools(world.path(dir), &tools("1")).unwrap();
            assert_eq!(installed.changed, changed, "{dir}");
        }
        assert_complete(world.path(dir).as_std_path(), "1");
        assert!(world.exists(&format!("{home}/.state.db")), "{dir}");
    }
}
