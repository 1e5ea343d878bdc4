//! The header of the database, byte by byte.

use std::fs;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tljournal_testkit::World;

use crate::foreign_database::{DATABASE, errors, look, put, scene};

const HEADER_BYTES: u64 = 100;

/// Where nothing has a meaning.
const RESERVED: std::ops::Range<u64> = 72..92;

/// The version of the format to write.
const WRITE_VERSION: u64 = 18;

/// Sets a byte; false if it has this value.
fn set(world: &World, at: u64, value: u8) -> bool {
    let path = world.path(DATABASE);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut found = [0];
    file.read_exact_at(&mut found, at).unwrap();
    file.write_all_at(&[value], at).unwrap();
    found != [value]
}

fn try_one(at: u64, value: u8) {
    let world = scene();
    if !set(&world, at, value) {
        return;
    }
    let _ = look(world.options());
    let found = errors(&world);
    assert!(at != WRITE_VERSION || value < 3 || found > 0, "it is found");
    put(&world, "build/new", "new");
    put(&world, "build/a", "three");
    assert!(look(world.options()), "looked at afterwards");
    if errors(&world) > 0 {
        // What says which pages are free is in the way of no command.
        world.options().rebuild(&Default::default()).unwrap();
        assert_eq!(errors(&world), 0);
    }
    assert_eq!(
        world.read("build/a") + &world.read("build/dir/b") + &world.read("build/new"),
        "threebnew"
    );
}

/// A write version that SQLite does not know made every command fail with "attempt to write a readonly database", and
/// an unknown format of the schema with "unsupported file format"; neither was set aside.
#[test]
fn g12_no_byte_of_the_header_makes_commands_fail_for_ever() {
    let mut failed = Vec::new();
    for at in 0..HEADER_BYTES {
        let values: &[u8] = match RESERVED.contains(&at) {
            true => &[255],
            false => &[0, 3, 5, 255],
        };
        for value in values {
            if catch_unwind(AssertUnwindSafe(|| try_one(at, *value))).is_err() {
                failed.push((at, *value));
            }
        }
    }
    assert_eq!(failed, [(0, 0); 0]);
}

/// What SQLite refuses in the header keeps no row from being saved.
#[test]
fn g9_a_database_with_an_unknown_format_is_rebuilt_with_its_rows() {
    for (at, value) in [(WRITE_VERSION, 3), (19, 9), (22, 7), (47, 5), (59, 7)] {
        let world = scene();
        assert!(set(&world, at, value));
        let rebuilt = world.options().rebuild(&Default::default()).unwrap();
        assert_eq!(rebuilt.entries, 2, "{at}");
        let journal = world.open();
        assert!(
            crate::foreign_database::holds(&journal, "build/dir/b"),
            "{at}"
        );
    }
}
