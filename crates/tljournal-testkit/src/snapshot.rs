use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use tljournal::{Digest, Timestamp};

/// Everything below a directory, except the journal's own files (names that begin with `.state`).
///
/// A value that is unknown or irrelevant is `None` and matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot(pub(crate) BTreeMap<String, Seen>);

/// One entry of a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its type and content.
    pub what: What,
    /// Permission bits, except for links.
    pub mode: Option<u32>,
    /// The mtime.
    pub mtime: Option<Timestamp>,
}

/// The type and content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Dir,
    /// A file with this content.
    File(Digest),
    /// A link to this target.
    Link(String),
    /// Something else.
    Other,
}

impl Snapshot {
    /// The current state below a directory.
    ///
    /// # Panics
    /// When it cannot be read, or changes meanwhile.
    #[must_use]
    pub fn of(root: &Utf8Path) -> Self {
        let mut entries = BTreeMap::new();
        walk(root, "", &mut entries);
        Self(entries)
    }

    /// One entry; `None` if there is none.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Seen> {
        self.0.get(path)
    }

    /// Without the times of symbolic links, which not every copy preserves.
    #[must_use]
    pub fn ignoring_link_times(mut self) -> Self {
        for seen in self.0.values_mut() {
            if matches!(seen.what, What::Link(_)) {
                seen.mtime = None;
            }
        }
        self
    }

    /// With another entry at a path.
    #[must_use]
    pub fn with(mut self, path: &str, seen: Seen) -> Self {
        self.0.insert(path.to_owned(), seen);
        self
    }

    /// The entries below one of its directories, with paths relative to that.
    #[must_use]
    pub fn below(&self, dir: &str) -> Self {
        let inside = |path: &String| {
            let rest = path.strip_prefix(dir)?.strip_prefix('/')?;
            Some((rest.to_owned(), self.0[path].clone()))
        };
        Self(self.0.keys().filter_map(inside).collect())
    }

    /// The paths of all entries.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Without times and modes of the directories above `path`, which change with their entries.
    #[must_use]
    pub fn ignoring_parents_of(mut self, path: &str) -> Self {
        let mut rest = path;
        while let Some((parent, _)) = rest.rsplit_once('/') {
            if let Some(seen) = self.0.get_mut(parent) {
                (seen.mode, seen.mtime) = (None, None);
            }
            rest = parent;
        }
        self
    }

    /// Without the time of one entry, which is its creation time.
    #[must_use]
    pub fn ignoring_time_of(mut self, path: &str) -> Self {
        if let Some(seen) = self.0.get_mut(path) {
            seen.mtime = None;
        }
        self
    }

    /// The differences from `expected`, one line per entry.
    #[must_use]
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let paths: std::collections::BTreeSet<_> = self.0.keys().chain(expected.0.keys()).collect();
        let line = |path: &String| match (self.0.get(path), expected.0.get(path)) {
            (Some(seen), None) => Some(format!("+ {path:?} is there: {seen}")),
            (None, Some(wanted)) => Some(format!("- {path:?} is missing: {wanted}")),
            (Some(seen), Some(wanted)) if !seen.matches(wanted) => {
                Some(format!("~ {path:?} is {seen}, expected {wanted}"))
            }
            _ => None,
        };
        paths.into_iter().filter_map(line).collect()
    }

    /// Whether there are no differences.
    #[must_use]
    pub fn matches(&self, expected: &Self) -> bool {
        self.differences(expected).is_empty()
    }

    /// Fails with a readable list of the differences.
    ///
    /// # Panics
    /// If there is a difference.
    #[track_caller]
    pub fn assert_matches(&self, expected: &Self) {
        let differences = self.differences(expected);
        assert!(
            differences.is_empty(),
            "the directory is not as expected:\n{}",
            differences.join("\n")
        );
    }
}

impl Seen {
    /// A file with this content, and any mode and mtime.
    #[must_use]
    pub fn file(content: impl AsRef<[u8]>) -> Self {
        Self {
            what: What::File(Digest::of(content.as_ref())),
            mode: None,
            mtime: None,
        }
    }

    fn matches(&self, other: &Self) -> bool {
        let same = |a: &Option<_>, b: &Option<_>| a.is_none() || b.is_none() || a == b;
        self.what == other.what
            && same(&self.mode.map(i128::from), &other.mode.map(i128::from))
            && same(
                &self.mtime.map(Timestamp::as_nanos),
                &other.mtime.map(Timestamp::as_nanos),
            )
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Dir => f.write_str("a directory")?,
            What::File(digest) => write!(f, "a file {}", &digest.hex()[..8])?,
            What::Link(target) => write!(f, "a link to {target:?}")?,
            What::Other => f.write_str("something else")?,
        }
        if let Some(mode) = self.mode {
            write!(f, " {mode:04o}")?;
        }
        if let Some(mtime) = self.mtime {
            write!(f, " {mtime}")?;
        }
        Ok(())
    }
}

fn walk(root: &Utf8Path, below: &str, entries: &mut BTreeMap<String, Seen>) {
    let dir = root.join(below);
    let listed = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{dir}: {error}"));
    for entry in listed {
        let entry = entry.unwrap_or_else(|error| panic!("{dir}: {error}"));
        let name = entry.file_name();
        let name = name.to_str().expect("a UTF-8 name");
        if name.starts_with(".state") {
            continue;
        }
        let path = match below {
            "" => name.to_owned(),
            _ => format!("{below}/{name}"),
        };
        let full = root.join(&path);
        let meta = full
            .symlink_metadata()
            .unwrap_or_else(|error| panic!("{full}: {error}"));
        let what = match meta.file_type() {
            kind if kind.is_dir() => What::Dir,
            kind if kind.is_symlink() => {
                let target = fs::read_link(&full).unwrap_or_default();
                What::Link(target.to_string_lossy().into_owned())
            }
            kind if kind.is_file() => {
                let content = fs::read(&full).unwrap_or_else(|error| panic!("{full}: {error}"));
                What::File(Digest::of(&content))
            }
            _ => What::Other,
        };
        let is_link = matches!(what, What::Link(_));
        let is_dir = what == What::Dir;
        let seen = Seen {
            what,
            mode: (!is_link).then_some(meta.mode() & 0o7777),
            mtime: Some(Timestamp::new(meta.mtime(), meta.mtime_nsec() as u32)),
        };
        entries.insert(path.clone(), seen);
        if is_dir {
            walk(root, &path, entries);
        }
    }
}
