//! Simulated drives whose power can be cut while they are in use.
//!
//! Three filesystems are nested on loop devices. The innermost one is tested. Its image is a file on an ext4 whose
//! page cache simulates the drive's cache: data that was written and not flushed is only there. The image of that is
//! on a shelf, an xfs that clones a file atomically: the clone is what the medium would hold after a power cut at
//! that time.
//!
//! Everything is mounted for the thread that created the shelf, and its children only, so that no other process can
//! hold it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{ioctl_ficlone, statvfs};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use tempfile::TempDir;
use tljournal::disk::{Dir, Disk};
use tljournal_testkit::TEST_DIR;

/// A filesystem for a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// With a journal.
    Ext4,
    /// With a log.
    Xfs,
    /// With trees.
    Btrfs,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// Mount options that lose different data in a power cut, but never synced data.
    #[must_use]
    pub fn ways(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["defaults", "data=writeback,noauto_da_alloc"],
            // A copy has the UUID of its original, which xfs remembers while that is mounted.
            Self::Xfs => &["nouuid"],
            Self::Btrfs => &["defaults", "notreelog"],
        }
    }
}

/// The place of drives: a filesystem that clones a file atomically.
#[derive(Debug)]
pub struct Shelf {
    mounted: Loop,
    dir: TempDir,
}

/// Enough for all copies of a round, which share most of their content.
const SHELF_BYTES: u64 = 4 << 30;

/// The largest part of it that is really used.
const SHELF_BYTES_USED: u64 = 2 << 30;

/// Unique mount ids start here.
const UNIQUE_MOUNTS: u64 = 1 << 31;

const DRIVE_BYTES: u64 = 1 << 30;

/// xfs requires at least 300 MiB.
const DISK_BYTES: u64 = 320 << 20;

impl Shelf {
    /// A new shelf; `None` if it cannot be mounted or created, which is reported.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[must_use]
    pub fn new() -> Option<Self> {
        let root = Dir::open(Utf8Path::new("/"), Disk::default()).and_then(|root| root.own_stat());
        if root.is_ok_and(|root| root.mount < UNIQUE_MOUNTS) {
            skip("this kernel reuses mount ids, so a copy would look like the original".into());
            return None;
        }
        stay_alone().map_err(skip).ok()?;
        let dir = tempfile::Builder::new()
            .prefix("tljournal-shelf-")
            .tempdir_in(base())
            .expect("a temporary directory");
        let at = |name| Utf8PathBuf::from_path_buf(dir.path().join(name)).expect("a UTF-8 path");
        let (image, shelf) = (at("shelf.img"), at("shelf"));
        for name in ["shelf", "drive", "disk"] {
            std::fs::create_dir(at(name)).expect("a mount point");
        }
        let mounted = make("xfs", &image, SHELF_BYTES)
            .and_then(|()| Loop::mount(&image, &shelf, "defaults"))
            .map_err(skip);
        mounted.ok().map(|mounted| Self { mounted, dir })
    }

    /// A new drive with an empty filesystem; `None` if it cannot be created, which is reported.
    #[must_use]
    pub fn drive(&self, format: Format) -> Option<Drive<'_>> {
        let image = self.mounted.at.join("original.img");
        let drive = Drive {
            shelf: self,
            image,
            format,
        };
        let made = make("ext4", &drive.image, DRIVE_BYTES).and_then(|()| {
            let cache = drive.plug_in()?;
            let disk = cache.at.join(DISK);
            make(format.name(), &disk, DISK_BYTES)
        });
        let used = made.and_then(|()| drive.power_up(format.ways()[0]).map(drop));
        used.map_err(skip).ok().map(|()| drive)
    }

    fn mount_point(&self, name: &str) -> Utf8PathBuf {
        let at = self.dir.path().join(name);
        Utf8PathBuf::from_path_buf(at).expect("a UTF-8 path")
    }
}

/// The image of the tested filesystem, on its drive.
const DISK: &str = "disk.img";

/// A drive with a filesystem. One drive of a shelf is in use at a time.
#[derive(Debug)]
pub struct Drive<'a> {
    shelf: &'a Shelf,
    image: Utf8PathBuf,
    format: Format,
}

impl Drive<'_> {
    /// Mounts it with these options.
    ///
    /// # Errors
    /// Why it cannot be mounted.
    pub fn power_up(&self, way: &str) -> Result<Running, String> {
        let cache = self.plug_in()?;
        if self.format == Format::Btrfs {
            // Otherwise a copy would be taken for the original.
            let _ = run("btrfs", ["device", "scan", "--forget"]);
        }
        let at = self.shelf.mount_point("disk");
        let disk = Loop::mount(&cache.at.join(DISK), &at, way)?;
        Ok(Running { disk, cache })
    }

    fn plug_in(&self) -> Result<Loop, String> {
        Loop::mount(&self.image, &self.shelf.mount_point("drive"), "defaults")
    }

    /// The mount options of its filesystem.
    #[must_use]
    pub fn ways(&self) -> &'static [&'static str] {
        self.format.ways()
    }

    /// The current content of the medium, as another drive.
    ///
    /// # Panics
    /// When the shelf cannot clone it.
    #[must_use]
    pub fn cut(&self, name: &str) -> Self {
        let image = self.image.with_file_name(name);
        let from = File::open(&self.image).expect("an image");
        let to = File::create_new(&image).expect("a new image");
        ioctl_ficlone(&to, &from).expect("a clone");
        Self { image, ..*self }
    }

    /// Copies it for inspection, and returns the path.
    #[must_use]
    pub fn keep(&self) -> String {
        let kept = std::env::temp_dir().join(format!(
            "tljournal-cut-{}-{}",
            std::process::id(),
            self.image.file_name().unwrap_or_default()
        ));
        let args: [&OsStr; 3] = [
            "--sparse=always".as_ref(),
            self.image.as_ref(),
            kept.as_ref(),
        ];
        match run("cp", args) {
            Ok(()) => format!("its medium is in {}", kept.display()),
            Err(error) => format!("its medium is not kept: {error}"),
        }
    }
}

impl Drop for Drive<'_> {
    fn drop(&mut self) {
        // Only its space matters; the shelf is deleted too.
        let _ = std::fs::remove_file(&self.image);
    }
}

/// A mounted drive.
#[derive(Debug)]
pub struct Running {
    disk: Loop,
    cache: Loop,
}

impl Running {
    /// The root of its filesystem.
    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        &self.disk.at
    }

    /// Syncs everything on it, as the start of a test may require.
    ///
    /// # Panics
    /// When that fails.
    pub fn sync(&self) {
        let root = File::open(self.root()).expect("a root");
        rustix::fs::syncfs(root).expect("a sync");
    }

    /// Makes the drive flush its cache to the medium, as it may do at any time. The filesystem on it is not involved.
    ///
    /// # Panics
    /// When that fails.
    pub fn flush(&self) {
        let disk = File::open(self.cache.at.join(DISK)).expect("a disk");
        disk.sync_all().expect("a sync");
    }
}

/// An image that is mounted until this is dropped.
#[derive(Debug)]
struct Loop {
    at: Utf8PathBuf,
}

impl Loop {
    fn mount(image: &Utf8Path, at: &Utf8Path, way: &str) -> Result<Self, String> {
        let way = format!("loop,{way}");
        run("mount", ["-o", way.as_str(), image.as_str(), at.as_str()])?;
        Ok(Self { at: at.to_owned() })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Err(errno) = unmount(self.at.as_str(), UnmountFlags::empty()) {
            let text = format!("{} is unmounted later: {errno}\n", self.at);
            let _ = io::stderr().write_all(text.as_bytes());
            let _ = unmount(self.at.as_str(), UnmountFlags::DETACH);
        }
    }
}

/// Makes later mounts visible to this thread only.
fn stay_alone() -> Result<(), String> {
    let alone = unshare(CloneFlags::CLONE_NEWNS);
    alone.map_err(|errno| format!("no mounts of its own: {errno}"))?;
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", flags).map_err(|errno| format!("no private mounts: {errno}"))
}

/// A directory in memory, if there is enough, because there are many syncs.
fn base() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    let has_room =
        |free: rustix::fs::StatVfs| free.f_bavail.saturating_mul(free.f_frsize) > SHELF_BYTES_USED;
    match std::env::var_os(TEST_DIR) {
        Some(dir) => dir.into(),
        None if statvfs(memory).is_ok_and(has_room) => memory.into(),
        None => std::env::temp_dir(),
    }
}

/// Creates an image with an empty filesystem.
fn make(filesystem: &str, image: &Utf8Path, bytes: u64) -> Result<(), String> {
    let file = File::create_new(image).map_err(|error| format!("{image}: {error}"))?;
    let sized = file.set_len(bytes);
    sized.map_err(|error| format!("{image}: {error}"))?;
    run(&format!("mkfs.{filesystem}"), ["-q", image.as_str()])
}

fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<(), String> {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.map_err(|error| format!("{program}: {error}"))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&ran.stderr).trim()
        )),
    }
}

fn skip(why: String) {
    let text = format!("skipped: no drive can be created here: {why}\n");
    let _ = io::stderr().write_all(text.as_bytes());
}
