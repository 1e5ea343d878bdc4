//! Collects what the kernel knows of a silent process before it is killed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// The position of each thread of a process, and the holders of locks on its open files.
pub(super) fn of_silence(pid: u32) -> String {
    let mut lines = Vec::new();
    for thread in names(&format!("/proc/{pid}/task")) {
        let text = |file: &str| {
            let path = format!("/proc/{pid}/task/{thread}/{file}");
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let stack = text("stack").replace('\n', " ");
        lines.push(format!(
            "thread {thread} ({}) in {} [{}] {stack}",
            text("comm"),
            text("wchan"),
            text("syscall"),
        ));
    }
    let mut inodes = BTreeSet::new();
    for fd in names(&format!("/proc/{pid}/fd")) {
        let path = format!("/proc/{pid}/fd/{fd}");
        if let (Ok(leads_to), Ok(meta)) = (fs::read_link(&path), fs::metadata(&path)) {
            inodes.insert((meta.ino(), leads_to));
        }
    }
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    for (inode, path) in inodes {
        let suffix = format!(":{inode}");
        let held = |line: &&str| line.split_whitespace().any(|word| word.ends_with(&suffix));
        for line in locks.lines().filter(held) {
            lines.push(format!("{}: {line}", path.display()));
        }
    }
    lines.join("\n  ")
}

fn names(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(name).collect()
}
