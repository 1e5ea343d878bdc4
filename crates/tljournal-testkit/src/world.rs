use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::disk::{Dir, Disk, Witness};
use tljournal::{Error, Journal, Options, TxnFilter};

use crate::snapshot::Snapshot;

/// The environment variable for the directory in which worlds are created, so that a suite can run on any filesystem.
pub const TEST_DIR: &str = "TLJOURNAL_TEST_DIR";

/// A project in its own temporary directory, which is removed when this is dropped.
///
/// Its methods panic on errors.
#[derive(Debug)]
pub struct World {
    root: Utf8PathBuf,
    owned: bool,
    disk: Disk,
}

impl World {
    /// A new, empty project.
    #[must_use]
    pub fn new() -> Self {
        Self::below(&std::env::var_os(TEST_DIR).map_or_else(std::env::temp_dir, Into::into))
    }

    /// A new, empty project on a filesystem in memory, if available and no other directory was requested.
    #[must_use]
    pub fn in_memory() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        match std::env::var_os(TEST_DIR) {
            None if memory.is_dir() => Self::below(memory),
            _ => Self::new(),
        }
    }

    fn below(base: &std::path::Path) -> Self {
        let temp = tempfile::Builder::new()
            .prefix("tljournal-world-")
            .tempdir_in(base)
            .unwrap_or_else(|error| panic!("no world in {}: {error}", base.display()));
        let root = Utf8PathBuf::from_path_buf(temp.keep()).expect("a UTF-8 temporary directory");
        let root = root.canonicalize_utf8().expect("a directory just made");
        fs::create_dir(root.join("project")).expect("a project");
        let root = root.join("project");
        Self {
            root,
            owned: true,
            disk: Disk::default(),
        }
    }

    /// The project in an existing directory, which is not removed.
    #[must_use]
    pub fn at(root: impl Into<Utf8PathBuf>) -> Self {
        Self {
            root: root.into(),
            owned: false,
            disk: Disk::default(),
        }
    }

    /// The same project, whose journal uses this disk.
    #[must_use]
    pub fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// The disk of its journal.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The project's root.
    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// A directory next to the project, for files outside of it.
    #[must_use]
    pub fn outside(&self) -> Utf8PathBuf {
        self.root
            .parent()
            .expect("a root has a parent")
            .to_path_buf()
    }

    /// Keeps the directory for inspection, and returns its path.
    #[must_use]
    pub fn keep(mut self) -> Utf8PathBuf {
        self.owned = false;
        self.outside()
    }

    /// A path below the root.
    #[must_use]
    pub fn path(&self, path: &str) -> Utf8PathBuf {
        self.root.join(path)
    }

    /// The options for opening its journal.
    pub fn options(&self) -> Options {
        Journal::options(&self.root).disk(self.disk.clone())
    }

    /// Opens its journal for work.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn open(&self) -> Journal {
        self.try_open()
            .unwrap_or_else(|error| panic!("failed to open `{}`: {}", self.root, explain(&error)))
    }

    /// Opens its journal for work.
    ///
    /// # Errors
    /// As for [`Options::work`].
    pub fn try_open(&self) -> Result<Journal, Error> {
        self.options().work()
    }

    /// Opens its journal for work, with a witness.
    ///
    /// # Errors
    /// As for [`Options::work`].
    pub fn open_witnessed(&self, witness: &Arc<impl Witness + 'static>) -> Result<Journal, Error> {
        let witness: Arc<dyn Witness> = witness.clone();
        self.options().disk(Disk::witnessed(witness)).work()
    }

    /// The current state of the project.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.root)
    }

    /// Writes a file without the journal, creating the parent directories.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        self.make_parent(path);
        fs::write(self.path(path), content).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Reads a file.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Makes a directory with its parents.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn make_dir(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Creates a symbolic link without the journal.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn link(&self, target: &str, path: &str) {
        self.make_parent(path);
        symlink(target, self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Sets the permission bits of a path.
    ///
    /// # Panics
    /// When they cannot be set.
    pub fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Whether something is at a path, including a dangling link.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// The names below `build/.state/txn` of transactions that retain nothing: files that were not cleaned up.
    #[must_use]
    pub fn left_in_staging(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("build/.state/txn")) else {
            return Vec::new();
        };
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let names = entries.filter_map(|entry| entry.ok().map(name));
        let kept = self.kept();
        names.filter(|name| !kept.contains(name)).collect()
    }

    /// The ids of the transactions that retain something.
    #[must_use]
    pub fn kept(&self) -> Vec<String> {
        let Ok(inspection) = self.options().inspect() else {
            return Vec::new();
        };
        let kept = TxnFilter {
            kept: true,
            ..TxnFilter::default()
        };
        let kept = inspection.history().transactions(&kept);
        let ids = kept.unwrap_or_default().into_iter();
        ids.map(|txn| txn.id.to_string()).collect()
    }

    fn make_parent(&self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.make_dir(parent);
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.owned {
            let outside = self.outside();
            let (Some(parent), Some(name)) = (outside.parent(), outside.file_name()) else {
                return;
            };
            // The engine's own removal handles read-only directories.
            let removed = Dir::open(parent, Disk::default()).and_then(|dir| dir.remove_tree(name));
            if let Err(error) = removed {
                let text = format!("a world remains at {outside}: {error}\n");
                let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            }
        }
    }
}

/// An error with its causes.
#[must_use]
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
