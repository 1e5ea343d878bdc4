use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use camino::Utf8Path;

/// The limit for the start of a wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns when this many processes wait for locks of these files, according to the kernel.
///
/// # Panics
/// When they do not after half a minute.
pub fn until_waiting(number: usize, files: &[&Utf8Path]) {
    let inode = |file: &&Utf8Path| format!(":{} ", file.metadata().expect("a file").ino());
    let inodes: Vec<_> = files.iter().map(inode).collect();
    let waits = |line: &&str| line.contains("->") && inodes.iter().any(|it| line.contains(it));
    let begun = Instant::now();
    loop {
        let locks = std::fs::read_to_string("/proc/locks").expect("the locks of this machine");
        if locks.lines().filter(waits).count() >= number {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "no process waits for {files:?}");
        std::thread::yield_now();
    }
}
