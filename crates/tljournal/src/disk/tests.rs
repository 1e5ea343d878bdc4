#![allow(
    clippy::disallowed_methods,
    reason = "tests read and change files without the engine"
)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use super::*;
use crate::model::{Kind, Timestamp};

fn scratch() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
    let dir = Dir::open(&path, Disk::default()).unwrap();
    (temp, dir)
}

#[test]
fn exchange_swaps_a_directory_and_keeps_inodes() {
    let (_temp, dir) = scratch();
    dir.make_dir("a", 0o755).unwrap();
    dir.make_dir("b", 0o700).unwrap();
    let (a, b) = (
        dir.stat("a").unwrap().unwrap(),
        dir.stat("b").unwrap().unwrap(),
    );
    dir.exchange("a", &dir, "b").unwrap();
    assert_eq!(dir.stat("a").unwrap().unwrap().identity, b.identity);
    assert_eq!(dir.stat("b").unwrap().unwrap().identity, a.identity);
    assert!(
        dir.rename_new("a", &dir, "b")
            .unwrap_err()
            .is(rustix::io::Errno::EXIST)
    );
}

#[test]
fn read_only_directories_do_not_stop_a_removal_and_links_are_not_followed() {
    let (temp, dir) = scratch();
    dir.make_dir("keep", 0o755).unwrap();
    drop(dir.create_file("keep/me", 0o644).unwrap());
    dir.make_dir("t", 0o755).unwrap();
    dir.make_dir("t/ro", 0o755).unwrap();
    drop(dir.create_file("t/ro/f", 0o444).unwrap());
    dir.make_link("../keep", "t/l").unwrap();
    std::fs::set_permissions(temp.path().join("t/ro"), PermissionsExt::from_mode(0o555)).unwrap();
    dir.remove_tree("t").unwrap();
    assert_eq!(dir.stat("t").unwrap(), None);
    assert_eq!(dir.stat("keep/me").unwrap().unwrap().kind, Kind::File);
}

#[test]
fn g5_mtimes_are_set_to_the_nanosecond_on_files_links_and_directories() {
    let (_temp, dir) = scratch();
    let time = Timestamp::new(-5, 123_456_789);
    let mut file = dir.create_file("f", 0o644).unwrap();
    file.write_all(b"x").unwrap();
    file.set_mtime(time).unwrap();
    dir.make_link("f", "l").unwrap();
    dir.set_mtime("l", time).unwrap();
    dir.make_dir("d", 0o755).unwrap();
    dir.open_dir("d")
        .unwrap()
        .set_own_meta(0o750, time)
        .unwrap();
    for name in ["f", "l", "d"] {
        assert_eq!(dir.stat(name).unwrap().unwrap().mtime, time, "{name}");
    }
}

/// Records the verbs and refuses one of them.
struct Recorder {
    verbs: Mutex<Vec<Verb>>,
    refuse: Option<Verb>,
}

impl Witness for Recorder {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        self.verbs.lock().unwrap().push(call.verb);
        match self.refuse == Some(call.verb) {
            true => Err(io::Error::from_raw_os_error(28)),
            false => Ok(()),
        }
    }
}

#[test]
fn a_witness_sees_every_mutating_call_and_can_refuse_one() {
    let (temp, _) = scratch();
    let path = Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
    let recorder = Arc::new(Recorder {
        verbs: Mutex::default(),
        refuse: Some(Verb::MakeLink),
    });
    let dir = Dir::open(&path, Disk::witnessed(recorder.clone())).unwrap();
    let mut file = dir.create_file("f", 0o644).unwrap();
    file.write_all(b"x").unwrap();
    let _synced = file.sync().unwrap();
    let refused = dir.make_link("f", "l").unwrap_err();
    assert!(refused.is_full());
    assert_eq!(
        refused.to_string(),
        format!("failed to make the symbolic link `{path}/l`")
    );
    assert_eq!(dir.stat("l").unwrap(), None);
    let seen = recorder.verbs.lock().unwrap();
    assert_eq!(
        *seen,
        [
            Verb::CreateFile,
            Verb::Write,
            Verb::SyncFile,
            Verb::MakeLink
        ]
    );
}

/// The thread of a watch read the watch's end as one more event and waited for the next one forever: every wait for
/// claims leaked a thread and an inotify instance.
#[test]
fn the_thread_of_a_watch_ends_with_it_and_with_the_file() {
    let (temp, dir) = scratch();
    for removed in [false, true] {
        std::fs::write(temp.path().join("a"), "").unwrap();
        let (sender, told) = std::sync::mpsc::channel();
        let watch = dir.watch("a", move || sender.send(()).is_ok()).unwrap();
        std::fs::write(temp.path().join("a"), "1").unwrap();
        told.recv().unwrap();
        match removed {
            true => std::fs::remove_file(temp.path().join("a")).unwrap(),
            false => drop(watch),
        }
        let patience = std::time::Duration::from_secs(30);
        let end = loop {
            if let Err(end) = told.recv_timeout(patience) {
                break end;
            }
        };
        assert_eq!(end, std::sync::mpsc::RecvTimeoutError::Disconnected);
    }
}

#[test]
fn g2_a_joint_sync_fails_if_one_of_its_parts_fails() {
    let (_temp, dir) = scratch();
    // The kernel's own directories cannot be synced.
    let other = Dir::open(Utf8Path::new("/proc/self"), Disk::default()).unwrap();
    let (good, bad) = (Unsynced::Dir(&dir), Unsynced::Dir(&other));
    dir.disk().sync_together(&[good, good, good]).unwrap();
    for together in [[bad, good, good], [good, bad, good], [good, good, bad]] {
        assert!(dir.disk().sync_together(&together).is_err());
    }
}

#[test]
fn g15_only_the_start_of_an_oversized_file_is_read() {
    let (_temp, dir) = scratch();
    let mut file = dir.create_file("f", 0o644).unwrap();
    file.write_all(b"0123456789").unwrap();
    let read = |bytes_max| dir.read_small("f", bytes_max).unwrap().unwrap();
    assert_eq!(
        (read(4), read(10), read(11)),
        (
            b"0123".to_vec(),
            b"0123456789".to_vec(),
            b"0123456789".to_vec()
        )
    );
    assert_eq!(dir.read_small("g", 4).unwrap(), None);
}

#[test]
fn g8_a_source_is_removed_only_if_it_is_still_the_same_file() {
    let (temp, dir) = scratch();
    let path = Utf8PathBuf::from_path_buf(temp.path().join("f")).unwrap();
    drop(dir.create_file("f", 0o644).unwrap());
    drop(dir.create_file("g", 0o644).unwrap());
    let other = dir.stat("g").unwrap().unwrap().identity;
    dir.disk().remove_source(&path, other).unwrap();
    let own = dir.stat("f").unwrap().unwrap().identity;
    dir.disk().remove_source(&path, own).unwrap();
    assert_eq!(dir.stat("f").unwrap(), None);
    dir.disk().remove_source(&path, own).unwrap();
}

#[test]
fn g15_a_directory_is_removed_however_deeply_it_is_nested() {
    let (_temp, dir) = scratch();
    dir.make_dir("top", 0o755).unwrap();
    let mut at = dir.open_dir("top").unwrap();
    for _ in 0..520 {
        at.make_dir("d", 0o755).unwrap();
        at = at.open_dir("d").unwrap();
    }
    drop(at);
    dir.remove_tree("top").unwrap();
    assert_eq!(dir.stat("top").unwrap(), None);
}

#[test]
fn g11_content_larger_than_the_free_space_is_refused_before_it_is_written() {
    let (_temp, dir) = scratch();
    dir.refuse_larger_than_free("f", 1).unwrap();
    let said = dir.refuse_larger_than_free("f", u64::MAX).unwrap_err();
    assert!(said.is_full(), "{said:?}");
}

/// The mode of a copy was that of the checked file, and its content that of the file that was opened.
#[test]
fn g13_a_file_that_is_exchanged_before_it_is_copied_stays_as_private_as_it_is() {
    struct Exchanging(std::path::PathBuf);
    impl Witness for Exchanging {
        fn before(&self, _: &Call<'_>) -> io::Result<()> {
            Ok(())
        }

        fn found(&self, stat: &mut Stat) {
            if (stat.kind, stat.size) == (Kind::File, 4) {
                let at = |name| self.0.join(name);
                std::fs::rename(at("open"), at("moved")).unwrap();
                std::fs::rename(at("private"), at("open")).unwrap();
            }
        }
    }
    let temp = tempfile::tempdir().unwrap();
    let inside = temp.path().join("from");
    std::fs::create_dir(&inside).unwrap();
    std::fs::create_dir(temp.path().join("to")).unwrap();
    for (name, content, mode) in [("open", "mine", 0o644), ("private", "secret", 0o600)] {
        std::fs::write(inside.join(name), content).unwrap();
        std::fs::set_permissions(inside.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let path = Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
    let disk = Disk::witnessed(Arc::new(Exchanging(inside)));
    let dir = Dir::open(&path, disk).unwrap();
    let (from, to) = (dir.open_dir("from").unwrap(), dir.open_dir("to").unwrap());
    from.copy_entry("open".as_ref(), &to, "open".as_ref())
        .unwrap();
    let copy = temp.path().join("to/open");
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "secret");
    let mode = std::fs::metadata(copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
