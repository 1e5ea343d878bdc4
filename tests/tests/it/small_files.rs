//! Small files that other programs read, on any filesystem.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use tljournal_testkit::World;
use tljournal_tests::Mounted;
use twoliter_state::{CARGO_METADATA, EXTERNAL_KIT_METADATA, LOCK_FILE, State, project_dir};

const FILES: [&str; 3] = [LOCK_FILE, EXTERNAL_KIT_METADATA, CARGO_METADATA];

fn look(world: &World, path: &str) -> (u64, u32, i64, i64, i64, i64) {
    let meta = world.path(path).metadata().unwrap();
    let (mtime, ctime) = (meta.mtime_nsec(), meta.ctime_nsec());
    (
        meta.ino(),
        meta.mode() & 0o7777,
        meta.mtime(),
        mtime,
        meta.ctime(),
        ctime,
    )
}

fn write_and_replace(world: &World) {
    let state = State::open(world.root()).unwrap();
    for path in FILES {
        assert!(state.write_file(path, "one").unwrap());
        assert_eq!(look(world, path).1, 0o644);
        world.set_mode(path, 0o600);
        let file = std::fs::File::options()
            .append(true)
            .open(world.path(path))
            .unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        file.set_modified(long_ago).unwrap();
        let before = look(world, path);
        assert!(!state.write_file(path, "one").unwrap());
        assert_eq!(look(world, path), before, "G4: equal is untouched");
        assert!(state.write_file(path, "two").unwrap());
        let after = look(world, path);
        assert_eq!((world.read(path), after.1), ("two".to_owned(), 0o600));
        assert!(
            after.2 > 1_000_000_000,
            "new content with an old mtime is not noticed"
        );
    }
    state.close().unwrap();
    assert_eq!(world.left_in_staging(), [""; 0]);
    let strays = world.snapshot();
    assert!(!strays.paths().any(|path| path.contains(".tljournal-")));
}

#[test]
fn g4_g5_small_files_are_replaced_atomically_and_untouched_when_equal() {
    write_and_replace(&World::new());
}

#[test]
fn g1_the_lock_file_is_staged_next_to_itself_if_the_build_directory_is_a_mount() {
    let world = World::new();
    world.make_dir("build");
    let Some(_mounted) = Mounted::tmpfs(world.path("build")) else {
        return;
    };
    write_and_replace(&world);
}

#[test]
fn the_build_directory_may_be_a_link() {
    let world = World::new();
    let elsewhere = world.outside().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    world.link(elsewhere.as_str(), "build");
    write_and_replace(&world);
    assert!(elsewhere.join(".state.db").exists());
}

/// Upstream's test of the same name: a link to `Twoliter.toml` puts `build/` next to the link.
#[test]
fn workspace_symlinks_are_not_followed() {
    let world = World::new();
    world.write("real/Twoliter.toml", "schema-version = 2");
    world.make_dir("farm");
    world.link("../real/Twoliter.toml", "farm/Twoliter.toml");
    let file = world.path("farm/Twoliter.toml");
    assert_eq!(project_dir(&file).unwrap(), world.path("farm"));
    State::open_beside(&file).unwrap().close().unwrap();
    assert!(world.exists("farm/build/.state.db") && !world.exists("real/build"));
}
