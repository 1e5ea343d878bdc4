//! Drives whose power can be cut while they are in use.
//!
//! Three filesystems lie in one another, on loop devices. The innermost is the one that is tried. Its
//! image is a file on an ext4 whose page cache plays the drive's own: what was written and not flushed is
//! there only. The image of that lies on a shelf, an xfs that clones a file in one step: the clone is
//! what would be on the medium had the power failed at that moment.
//!
//! All of this is mounted for the thread that made the shelf, and what that starts: nobody else can hold it.

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

/// A filesystem that can be put on a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// With its journal.
    Ext4,
    /// With its log.
    Xfs,
    /// With its trees.
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

    /// Ways to mount it that lose different things in a power cut, and nothing that was synced.
    #[must_use]
    pub fn ways(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["defaults", "data=writeback,noauto_da_alloc"],
            // A copy has the name of its original, which xfs remembers while that is mounted.
            Self::Xfs => &["nouuid"],
            Self::Btrfs => &["defaults", "notreelog"],
        }
    }
}

/// Where drives lie: a filesystem that clones a file in one step.
#[derive(Debug)]
pub struct Shelf {
    mounted: Loop,
    dir: TempDir,
}

/// Enough for all copies of a round, which share most of their content.
const SHELF_BYTES: u64 = 4 << 30;

/// How much of that is really used at most.
const SHELF_BYTES_USED: u64 = 2 << 30;

/// Ids of mounts that are handed out once begin here.
const UNIQUE_MOUNTS: u64 = 1 << 31;

const DRIVE_BYTES: u64 = 1 << 30;

/// xfs wants at least 300 MiB.
const DISK_BYTES: u64 = 320 << 20;

impl Shelf {
    /// A new one; `None` where nothing can be mounted or made, which is told.
    ///
    /// # Panics
    /// When there is no temporary directory.
    #[must_use]
    pub fn new() -> Option<Self> {
        let root = Dir::open(Utf8Path::new("/"), Disk::default()).and_then(|root| root.own_stat());
        if root.is_ok_and(|root| root.mount < UNIQUE_MOUNTS) {
            skip(
                "this kernel hands out the ids of mounts again, as if a copy were the original"
                    .into(),
            );
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

    /// A new drive with an empty filesystem; `None` where it cannot be had, which is told.
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

/// The image of the filesystem that is tried, on its drive.
const DISK: &str = "disk.img";

/// A drive with a filesystem on it. One of a shelf is in use at a time.
#[derive(Debug)]
pub struct Drive<'a> {
    shelf: &'a Shelf,
    image: Utf8PathBuf,
    format: Format,
}

impl Drive<'_> {
    /// Mounts what is on it, this way.
    ///
    /// # Errors
    /// Why that is not possible.
    pub fn power_up(&self, way: &str) -> Result<Running, String> {
        let cache = self.plug_in()?;
        if self.format == Format::Btrfs {
            // Where the original was seen a copy would be taken for it.
            let _ = run("btrfs", ["device", "scan", "--forget"]);
        }
        let at = self.shelf.mount_point("disk");
        let disk = Loop::mount(&cache.at.join(DISK), &at, way)?;
        Ok(Running { disk, cache })
    }

    fn plug_in(&self) -> Result<Loop, String> {
        Loop::mount(&self.image, &self.shelf.mount_point("drive"), "defaults")
    }

    /// How its filesystem can be mounted.
    #[must_use]
    pub fn ways(&self) -> &'static [&'static str] {
        self.format.ways()
    }

    /// What is on the medium at this moment, as a drive of its own.
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

    /// Copies it to where somebody can look at it, and says where that is.
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
        // Only its space is of interest, and the shelf goes too.
        let _ = std::fs::remove_file(&self.image);
    }
}

/// A drive in use.
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

    /// Makes everything on it durable, as whoever begins something on it may want.
    ///
    /// # Panics
    /// When that fails.
    pub fn sync(&self) {
        let root = File::open(self.root()).expect("a root");
        rustix::fs::syncfs(root).expect("a sync");
    }

    /// Has the drive write its cache to the medium, as it may at any time. The filesystem on it is not asked
    /// for anything.
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

/// Mounts what is mounted from now on for this thread only.
fn stay_alone() -> Result<(), String> {
    let alone = unshare(CloneFlags::CLONE_NEWNS);
    alone.map_err(|errno| format!("no mounts of its own: {errno}"))?;
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", flags).map_err(|errno| format!("no private mounts: {errno}"))
}

/// Memory, if there is enough: syncs are many then.
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

/// Makes an image with an empty filesystem.
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
    let text = format!("skipped: no drive can be had here: {why}\n");
    let _ = io::stderr().write_all(text.as_bytes());
}
