use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use camino::Utf8Path;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

fn date(path: &Utf8Path, secs: i64, nanos: i64) {
    let time = Timespec {
        tv_sec: secs,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path.as_str(), &times, AtFlags::SYMLINK_NOFOLLOW).expect("an entry");
}

/// Creates entries that every archive format supports.
///
/// # Panics
/// When they cannot be created.
pub fn plain_tree(at: &Utf8Path) {
    fs::create_dir_all(at.join("d/empty")).expect("an entry");
    let file = |path: &str, content: &[u8], mode: u32, secs: i64| {
        let path = at.join(path);
        fs::write(&path, content).expect("an entry");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("an entry");
        date(&path, secs, 0);
    };
    file("d/file", b"content", 0o644, 1_600_000_000);
    file("d/blocks", &[b'b'; 1024], 0o600, 1);
    file("d/nothing", b"", 0o444, 1_700_000_000);
    file("run", b"#!/bin/sh\n", 0o755, 1_500_000_000);
    file("odd mode", b"odd", 0o4711, 1_500_000_000);
    symlink("d/file", at.join("link")).expect("an entry");
    symlink("/nowhere/at all", at.join("d/dangling")).expect("an entry");
    for link in ["link", "d/dangling"] {
        date(&at.join(link), 1_400_000_000, 0);
    }
    fs::hard_link(at.join("d/file"), at.join("hard")).expect("an entry");
    let dirs = [("d/empty", 0o1777), ("d", 0o555), ("", 0o755)];
    for (dir, mode) in dirs {
        let dir = at.join(dir);
        fs::set_permissions(&dir, Permissions::from_mode(mode)).expect("an entry");
        date(&dir, 1_300_000_000, 0);
    }
}

/// The same, and entries that only some formats support: long names, non-ASCII names, links with two names, holes.
///
/// # Panics
/// When they cannot be created.
pub fn long_tree(at: &Utf8Path) {
    fs::create_dir_all(at).expect("an entry");
    let deep = at.join(format!("{}/{}", "long".repeat(30), "longer".repeat(40)));
    fs::create_dir_all(&deep).expect("an entry");
    fs::write(deep.join("n".repeat(200)), "deep").expect("an entry");
    symlink("t".repeat(300), deep.join("link")).expect("an entry");
    fs::write(at.join("naïve – 名前"), "not ASCII").expect("an entry");
    symlink("ziel→", at.join("ссылка")).expect("an entry");
    fs::hard_link(at.join("ссылка"), at.join("second name of a link")).expect("an entry");
    let sparse = File::create(at.join("sparse")).expect("an entry");
    sparse.set_len(9 << 20).expect("an entry");
    for piece in 0..40 {
        sparse
            .write_all_at(b"piece", piece * 200_000)
            .expect("an entry");
    }
    drop(sparse);
    for path in ["sparse", "ссылка", "naïve – 名前"] {
        date(&at.join(path), 1_600_000_000, 0);
    }
    plain_tree(at);
}

/// The same with times that few formats support.
///
/// # Panics
/// When they cannot be created.
pub fn nasty_tree(at: &Utf8Path) {
    fs::create_dir_all(at).expect("a directory");
    for (name, secs, nanos) in [
        ("fine", 1_600_000_000, 123_456_789),
        ("before 1970", -86_400, 500_000_000),
        ("before 1902", -2_208_988_800, 0),
        ("after 2038", 4_000_000_000, 1),
        ("after 2242", 9_000_000_000, 0),
        ("after 2446", 20_000_000_000, 0),
    ] {
        fs::write(at.join(name), name).expect("an entry");
        date(&at.join(name), secs, nanos);
    }
    long_tree(at);
}
