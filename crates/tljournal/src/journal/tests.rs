use super::Journal;
use crate::model::RelPath;
use crate::pin::{self, Waiter};
use camino::Utf8PathBuf;
use std::os::unix::fs::MetadataExt;

/// A commit checks again that it holds what it replaces; other callers of `hold_alone` rely on this check alone.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "plays the other programs, and reads what the kernel says of its locks"
)]
fn g7_a_tree_that_was_waited_for_is_held_alone_under_the_name_that_it_has_by_then() {
    let temp = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(temp.path().to_path_buf()).unwrap();
    let journal = Journal::open(&root).unwrap();
    let tree = root.join("build/t");
    std::fs::create_dir(&tree).unwrap();
    let pinned = std::fs::File::open(&tree).unwrap();
    pinned.lock_shared().unwrap();
    let engine = journal.engine.clone();
    let place = engine.home.place(&RelPath::new("build/t").unwrap());
    let place = place.unwrap();
    let waiting = std::thread::spawn(move || {
        let (why, txn) = ("test", None);
        let held = pin::hold_alone(&engine, &place, Some(Waiter { why, txn }));
        let held = held.unwrap().unwrap();
        let there = engine.home.dir.stat("t").unwrap().unwrap();
        held.is(there.identity)
    });
    let waits = format!(":{} ", tree.metadata().unwrap().ino());
    let is_waiting = |line: &str| line.contains("->") && line.contains(&waits);
    while !std::fs::read_to_string("/proc/locks")
        .unwrap()
        .lines()
        .any(is_waiting)
    {
        assert!(!waiting.is_finished());
        std::thread::yield_now();
    }
    std::fs::rename(&tree, root.join("build/earlier")).unwrap();
    std::fs::create_dir(&tree).unwrap();
    drop(pinned);
    assert!(waiting.join().unwrap(), "another tree is held");
}
