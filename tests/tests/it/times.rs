//! Times that a filesystem cannot store: the stored value counts as the requested one.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use tljournal::{Expect, Payload, SourceEntry, Timestamp, TreeOptions, TreeSource};
use tljournal_testkit::{World, check_at_rest};
use tljournal_tests::{Mounted, quiet};

/// The first and the last possible time, and the limits of filesystems.
const TIMES: [(i64, u32); 14] = [
    (i64::MIN, 0),
    (-62_135_596_800, 0),
    (-3_000_000_000, 0),
    (-2_208_988_800, 500_000_000),
    (-2_147_483_649, 999_999_999),
    (-1, 999_999_999),
    (0, 0),
    (1_700_000_000, 123_456_789),
    (2_147_483_647, 1),
    (2_147_483_648, 0),
    (15_032_385_536, 0),
    (20_000_000_000, 7),
    (253_402_300_799, 999_999_999),
    (i64::MAX, 999_999_999),
];

fn tree((secs, nanos): (i64, u32)) -> TreeSource {
    let mtime = Timestamp::new(secs, nanos);
    TreeSource::entries([
        Ok(SourceEntry::dir(".", 0o755, mtime)),
        Ok(SourceEntry::dir("d", 0o755, mtime)),
        Ok(SourceEntry::file("d/f", 0o644, mtime, &b"content"[..])),
        Ok(SourceEntry::hard_link("d/h", "d/f")),
        Ok(SourceEntry::link("l", "d/f", mtime)),
    ])
}

/// The installed tree never verified, and was installed again each time.
fn what_is_asked_for_is_there(kind: &str, options: &[&str]) {
    let _quiet = quiet();
    let yard = World::new();
    yard.make_dir("disk");
    let Some(disk) = Mounted::image(kind, options, 320 << 20, yard.path("disk")) else {
        return;
    };
    let world = World::at(yard.path("disk/project"));
    fs::create_dir(world.root()).unwrap();
    let journal = world.open();
    for (number, time) in TIMES.into_iter().enumerate() {
        let (path, file) = (format!("build/t{number}"), format!("build/f{number}"));
        let mtime = Timestamp::new(time.0, time.1);
        let put = || {
            let mut txn = journal.begin("put");
            let payload = Payload::from("content").mtime(mtime);
            txn.put(&*file, payload, Expect::Any).unwrap();
            txn.prepare().unwrap().commit().unwrap()
        };
        let install = || {
            journal
                .install(&path, tree(time), TreeOptions::default())
                .unwrap()
        };
        assert!(put().changed_anything(), "{kind}: {mtime}");
        assert!(install().changed, "{kind}: {mtime}");
        for full in [false, true] {
            assert_eq!(journal.verify(&path, full).unwrap(), [], "{kind}: {mtime}");
        }
        assert!(
            !put().changed_anything(),
            "{kind}: {mtime}: the file is put again"
        );
        assert!(
            !install().changed,
            "{kind}: {mtime}: the tree is installed again"
        );
        // Any other time counts as an edit.
        let f = fs::File::options()
            .write(true)
            .open(world.path(&format!("{path}/d/f")))
            .unwrap();
        f.set_modified(UNIX_EPOCH + Duration::from_secs(1_234_567_890))
            .unwrap();
        assert_ne!(journal.verify(&path, false).unwrap(), [], "{kind}: {mtime}");
        assert!(install().changed, "{kind}: {mtime}");
    }
    drop(journal);
    assert_eq!(check_at_rest(&world), [""; 0], "{kind}");
    drop((disk, yard));
}

#[test]
fn g5_times_on_ext4_with_small_inodes() {
    what_is_asked_for_is_there("ext4", &["-I", "128"]);
}

#[test]
fn g5_times_on_ext4_with_usual_inodes() {
    what_is_asked_for_is_there("ext4", &[]);
}

#[test]
fn g5_times_on_ext3() {
    what_is_asked_for_is_there("ext3", &["-I", "128"]);
}

#[test]
fn g5_times_on_xfs_without_large_times() {
    what_is_asked_for_is_there("xfs", &["-m", "bigtime=0"]);
}

#[test]
fn g5_times_on_xfs() {
    what_is_asked_for_is_there("xfs", &[]);
}
