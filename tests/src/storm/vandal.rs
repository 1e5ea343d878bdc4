use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tljournal_testkit::{Random, Tell, World, tell};

use super::Done;

/// The pauses of the vandal.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(1)..Duration::from_millis(30);

/// How often the others must make progress before it acts again.
const PROGRESS: usize = 5;

/// A program that ignores the journal and removes, moves and cleans the build directory.
#[derive(Debug)]
pub struct Vandal {
    world: World,
    random: Random,
    acts: Acts,
    /// A channel without messages, for waiting.
    nothing: (Sender<()>, Receiver<()>),
}

/// Counts the starts and ends of the vandal's acts in a shared file: odd while it acts.
#[derive(Debug)]
pub(super) struct Acts(Utf8PathBuf);

impl Acts {
    pub(super) fn of(world: &World) -> Self {
        Self(world.outside().join("acts"))
    }

    /// The count, if it is idle.
    pub(super) fn quiet(&self) -> Option<u64> {
        match fs::read(&self.0) {
            Err(_) => Some(0),
            Ok(bytes) => {
                let count = u64::from_le_bytes(bytes.try_into().ok()?);
                (count % 2 == 0).then_some(count)
            }
        }
    }

    fn count(&self) -> std::io::Result<()> {
        let file = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .open(&self.0)?;
        let mut bytes = [0; 8];
        // An empty file counts as zero.
        let _ = file.read_at(&mut bytes, 0)?;
        file.write_all_at(&(u64::from_le_bytes(bytes) + 1).to_le_bytes(), 0)
    }
}

impl Vandal {
    /// A vandal of a project.
    #[must_use]
    pub fn new(root: Utf8PathBuf, seed: u64) -> Self {
        let world = World::at(root);
        Self {
            acts: Acts::of(&world),
            world,
            random: Random::new(seed),
            nothing: channel(),
        }
    }

    /// Acts until it is killed.
    ///
    /// # Errors
    /// When the storm has ended.
    pub fn rage(&mut self) -> Done {
        loop {
            let what = match self.random.below(3) {
                0 => self.act(Self::remove)?,
                1 => {
                    self.act(Self::move_away)?;
                    self.pause();
                    self.act(Self::move_back)?
                }
                _ => self.act(Self::clean)?,
            };
            tell(&Tell::Refused(what.to_owned()))?;
            self.pause();
        }
    }

    fn act(&self, act: fn(&Self) -> &'static str) -> Result<&'static str, std::io::Error> {
        self.acts.count()?;
        let what = act(self);
        self.acts.count()?;
        Ok(what)
    }

    /// Waits until the others have made progress.
    fn pause(&mut self) {
        let (mut seen, mut changes) = (self.done_by_others(), 0);
        while changes < PROGRESS {
            let _ = self.nothing.1.recv_timeout(self.random.duration(&PAUSE));
            let now = self.done_by_others();
            changes += usize::from(now != seen);
            seen = now;
        }
    }

    /// The files next to the home: each commit creates new ones.
    fn done_by_others(&self) -> Vec<(u64, i64)> {
        let entries = fs::read_dir(self.world.root()).into_iter().flatten();
        let metas = entries.flatten().filter_map(|entry| entry.metadata().ok());
        let files = metas.filter(fs::Metadata::is_file);
        let mut which: Vec<_> = files.map(|meta| (meta.ino(), meta.ctime_nsec())).collect();
        which.sort_unstable();
        which
    }

    fn away(&self) -> Utf8PathBuf {
        self.world.outside().join("away")
    }

    // Others create new entries all the time: what cannot be removed now stays.

    fn remove(&self) -> &'static str {
        let _ = fs::remove_dir_all(self.world.path("build"));
        "the vandal removed the home"
    }

    fn move_away(&self) -> &'static str {
        let _ = fs::remove_dir_all(self.away());
        let _ = fs::rename(self.world.path("build"), self.away());
        "the vandal moved the home away"
    }

    fn move_back(&self) -> &'static str {
        let (from, to) = (self.away(), self.world.path("build"));
        let flags = match to.exists() {
            true => RenameFlags::EXCHANGE,
            false => RenameFlags::empty(),
        };
        let _ = renameat_with(CWD, from.as_str(), CWD, to.as_str(), flags);
        "the vandal moved the home away and back"
    }

    fn clean(&self) -> &'static str {
        let entries = fs::read_dir(self.world.path("build"));
        for entry in entries.into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".state") {
                continue;
            }
            let _ = fs::remove_file(entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
        "the vandal cleaned the home"
    }
}
