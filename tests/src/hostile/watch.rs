use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

/// Detects changes, including inode and ctime: everything below a directory is watched, except for some paths.
#[derive(Debug)]
pub struct Watch {
    root: Utf8PathBuf,
    free: Vec<String>,
    seen: BTreeMap<String, Trace>,
}

#[derive(Clone, PartialEq, Eq)]
struct Trace {
    ino: u64,
    mode: u32,
    links: u64,
    /// Size, mtime, ctime; `None` for the directories above the exceptions.
    exact: Option<(u64, i64, i64, i64, i64)>,
    content: Vec<u8>,
}

impl Watch {
    /// Watches everything below a directory. The paths `free` and everything below them may change, and so may the
    /// times of the directories above.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn over(root: &Utf8Path, free: &[&str]) -> Self {
        let mut watch = Self {
            root: root.to_owned(),
            free: free.iter().map(|path| (*path).to_owned()).collect(),
            seen: BTreeMap::new(),
        };
        watch.seen = watch.look();
        watch
    }

    /// Fails if anything changed, even if it was changed back.
    ///
    /// # Panics
    /// If anything changed.
    #[track_caller]
    pub fn assert_untouched(&self, after: &str) {
        let now = self.look();
        let paths: std::collections::BTreeSet<_> = now.keys().chain(self.seen.keys()).collect();
        for path in paths {
            let (was, is) = (self.seen.get(path), now.get(path));
            assert!(was == is, "{after}: {path:?} was {was:?} and is {is:?}");
        }
    }

    fn look(&self) -> BTreeMap<String, Trace> {
        let mut seen = BTreeMap::new();
        let mut waiting = vec![String::new()];
        while let Some(below) = waiting.pop() {
            let names = fs::read_dir(self.root.join(&below)).expect("a watched directory");
            for entry in names {
                let name = entry.expect("a watched entry").file_name();
                let path = match below.as_str() {
                    "" => name.to_string_lossy().into_owned(),
                    _ => format!("{below}/{}", name.to_string_lossy()),
                };
                if self.free.contains(&path) {
                    continue;
                }
                let trace = self.trace(&path);
                if trace.mode & 0o170_000 == 0o040_000 {
                    waiting.push(path.clone());
                }
                seen.insert(path, trace);
            }
        }
        seen
    }

    fn trace(&self, path: &str) -> Trace {
        let full = self.root.join(path);
        let meta = full.symlink_metadata().expect("a watched entry");
        let is_above = |free: &String| {
            let rest = free.strip_prefix(path);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let on_the_way = meta.is_dir() && self.free.iter().any(is_above);
        let content = match meta.file_type() {
            kind if kind.is_file() => fs::read(&full).expect("a watched file"),
            kind if kind.is_symlink() => {
                let target = fs::read_link(&full).expect("a watched link");
                target.into_os_string().into_encoded_bytes()
            }
            _ => Vec::new(),
        };
        Trace {
            ino: meta.ino(),
            mode: meta.mode(),
            links: if on_the_way { 0 } else { meta.nlink() },
            exact: (!on_the_way).then(|| {
                let (mtime, ctime) = (meta.mtime(), meta.ctime());
                (
                    meta.size(),
                    mtime,
                    meta.mtime_nsec(),
                    ctime,
                    meta.ctime_nsec(),
                )
            }),
            content,
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.content);
        write!(
            f,
            "inode {} mode {:o} {:?}",
            self.ino, self.mode, self.exact
        )?;
        write!(f, " {:.80?}", text)
    }
}
