//! Which trees count as torn by a power cut.

use std::time::{Duration, SystemTime};

use tljournal_testkit::{Steps, World};
use tljournal_tests::small;

/// A rebuildable tree that replaced a durable one, and is not synced.
fn unsettled() -> World {
    let world = World::new();
    let journal = world.open();
    let one = Steps::new("one").tree("build/t", small("one"));
    one.try_commit(&journal).unwrap();
    let two = Steps::new("two").rebuildable("build/t", small("two"));
    two.try_commit(&journal).unwrap();
    journal.close().unwrap();
    world
}

/// Empties a file of the tree and sets this mtime; changes the recorded boot or mount of the tree.
fn tear(world: &World, mtime: SystemTime, column: &str) {
    let path = world.path("build/t/sub/f2");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(0).unwrap();
    file.set_modified(mtime).unwrap();
    let database = rusqlite::Connection::open(world.path("build/.state.db")).unwrap();
    let sql = format!("UPDATE entry SET {column} WHERE unsettled = 1");
    assert_eq!(database.execute(&sql, []).unwrap(), 1);
}

const COLUMNS: [&str; 2] = ["boot = 'earlier'", "mount = mount + 1"];

/// Its content was written, and its mtime set, before the cut: either, both or none have reached the medium.
#[test]
fn g1_a_file_that_lost_its_content_is_torn_with_any_mtime_from_before_the_cut() {
    let wanted = |world: &World| {
        let path = world.path("build/t/sub/f2");
        path.metadata().unwrap().modified().unwrap()
    };
    let earlier = |_: &World| SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    let mtimes: [fn(&World) -> SystemTime; 2] = [wanted, earlier];
    for mtime in mtimes {
        for column in COLUMNS {
            let world = unsettled();
            tear(&world, mtime(&world), column);
            let journal = world.open();
            assert_eq!(journal.recovery().trees_put_back, 1, "{column}");
            assert_eq!(world.read("build/t/sub/f2"), "one".repeat(1000));
        }
    }
}

/// An edit that empties a file does not set its mtime back.
#[test]
fn g9_a_file_that_was_emptied_later_is_an_edit() {
    for column in COLUMNS {
        let world = unsettled();
        let later = SystemTime::now() + Duration::from_secs(5);
        tear(&world, later, column);
        let journal = world.open();
        assert_eq!(journal.recovery().trees_put_back, 0, "{column}");
        assert_eq!(world.read("build/t/sub/f2"), "");
    }
}

/// Neither the boot nor the mount has changed, so nothing is read.
#[test]
fn a_tree_of_this_boot_is_not_read_again() {
    let world = unsettled();
    let path = world.path("build/t/sub/f2");
    let mtime = path.metadata().unwrap().modified().unwrap();
    tear(&world, mtime, "n = n");
    let journal = world.open();
    assert_eq!(journal.recovery().trees_put_back, 0);
}
