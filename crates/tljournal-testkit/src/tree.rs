use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use camino::Utf8Path;
use tljournal::disk::{Dir, Disk};
use tljournal::{Digest, Entry, EntryKind, Manifest, SourceEntry, Timestamp, TreeSource};

/// A tree as data: its entries in order, parents first, with the root as `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeSpec {
    /// Path, permission bits, mtime, type and content.
    pub entries: Vec<(String, u32, Timestamp, Leaf)>,
}

/// The type and content of an entry of a [`TreeSpec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// A directory.
    Dir,
    /// A file with this content.
    File(Vec<u8>),
    /// A symbolic link to this target.
    Link(String),
    /// A hard link to the file with this path, which sorts before it.
    Same(String),
}

impl TreeSpec {
    /// A tree with an empty root.
    #[must_use]
    pub fn new(mode: u32, mtime: Timestamp) -> Self {
        let root = (".".to_owned(), mode, mtime, Leaf::Dir);
        let entries = vec![root];
        Self { entries }
    }

    /// Adds a directory.
    #[must_use]
    pub fn dir(self, path: &str, mode: u32, mtime: Timestamp) -> Self {
        self.with(path, mode, mtime, Leaf::Dir)
    }

    /// Adds a file.
    #[must_use]
    pub fn file(
        self,
        path: &str,
        mode: u32,
        mtime: Timestamp,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        self.with(path, mode, mtime, Leaf::File(content.into()))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str, mtime: Timestamp) -> Self {
        self.with(path, 0, mtime, Leaf::Link(target.to_owned()))
    }

    /// Adds a hard link to an earlier file.
    ///
    /// # Panics
    /// When there is no such file.
    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        let (_, mode, mtime, _) = self.entry(target);
        let (mode, mtime) = (*mode, *mtime);
        self.with(path, mode, mtime, Leaf::Same(target.to_owned()))
    }

    /// The entry of a path, following hard links.
    fn entry(&self, path: &str) -> &(String, u32, Timestamp, Leaf) {
        let found = self.entries.iter().find(|entry| entry.0 == path);
        found.unwrap_or_else(|| panic!("{path} is not in the tree"))
    }

    /// The content of an entry, following hard links.
    pub(crate) fn content<'a>(&'a self, leaf: &'a Leaf) -> &'a Leaf {
        match leaf {
            Leaf::Same(target) => &self.entry(target).3,
            leaf => leaf,
        }
    }

    fn with(mut self, path: &str, mode: u32, mtime: Timestamp, leaf: Leaf) -> Self {
        self.entries.push((path.to_owned(), mode, mtime, leaf));
        self
    }

    /// The tree as a source that can be read once.
    #[must_use]
    pub fn source(&self) -> TreeSource {
        let entries = self.entries.clone().into_iter();
        TreeSource::entries(entries.map(|(path, mode, mtime, leaf)| {
            Ok(match leaf {
                Leaf::Dir => SourceEntry::dir(path, mode, mtime),
                Leaf::File(content) => {
                    SourceEntry::file(path, mode, mtime, std::io::Cursor::new(content))
                }
                Leaf::Link(target) => SourceEntry::link(path, target, mtime),
                Leaf::Same(target) => SourceEntry::hard_link(path, target),
            })
        }))
    }

    /// Its manifest.
    ///
    /// # Panics
    /// When the entries do not form a tree.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        let mut sorted: Vec<_> = self.entries.iter().map(|entry| &entry.0).collect();
        sorted.sort();
        let position = |path: &String| sorted.binary_search(&path).ok();
        let entry = |(path, mode, mtime, leaf): &(String, u32, Timestamp, Leaf)| Entry {
            path: if path == "." {
                String::new()
            } else {
                path.clone()
            },
            mode: *mode,
            mtime: *mtime,
            kind: match self.content(leaf) {
                Leaf::Dir | Leaf::Same(_) => EntryKind::Dir,
                Leaf::File(content) => EntryKind::File {
                    size: content.len() as u64,
                    digest: Digest::of(content),
                    same_as: match leaf {
                        Leaf::Same(target) => position(target).map(|first| first as u32),
                        _ => None,
                    },
                },
                Leaf::Link(target) => EntryKind::Link {
                    target: target.clone(),
                },
            },
        };
        let mut entries: Vec<_> = self.entries.iter().map(entry).collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Manifest::new(entries).expect("entries that are a tree")
    }

    /// Writes the tree into a new directory, without the journal.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_to(&self, root: &Utf8Path) {
        let handle = |path: &Utf8Path| {
            let (dir, name) = (path.parent().expect("a parent"), path.file_name());
            let dir = Dir::open(dir, Disk::default()).expect("a directory");
            (dir, name.expect("a name").to_owned())
        };
        let at = |path: &str| {
            if path == "." {
                root.to_owned()
            } else {
                root.join(path)
            }
        };
        for (path, mode, _, leaf) in &self.entries {
            let path = at(path);
            match leaf {
                Leaf::Dir => fs::create_dir(&path).expect("a new directory"),
                Leaf::File(content) => {
                    fs::write(&path, content).expect("a new file");
                    let mode = fs::Permissions::from_mode(*mode);
                    fs::set_permissions(&path, mode).expect("a mode");
                }
                Leaf::Link(target) => symlink(target, &path).expect("a new link"),
                Leaf::Same(target) => fs::hard_link(at(target), &path).expect("a new name"),
            }
        }
        // From the deepest level up, so that each directory's own times and modes are set last.
        for (path, mode, mtime, leaf) in self.entries.iter().rev() {
            let path = at(path);
            let (dir, name) = handle(&path);
            dir.set_mtime(&name, *mtime).expect("an mtime");
            if *leaf == Leaf::Dir {
                dir.set_dir_mode(&name, *mode).expect("a mode");
            }
        }
    }
}
