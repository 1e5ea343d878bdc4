use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use tljournal::{Journal, TreeOptions, TreeSource};
use tljournal_testkit::World;

use super::watch::Watch;
use super::yard::yard;

/// The path where archives are installed.
const TREE: &str = "build/tools";

/// How often a project is reused: its history grows.
const USES_MAX: u32 = 300;

struct Site {
    journal: Journal,
    watch: Watch,
    world: World,
    uses: u32,
}

/// Creating a project takes longer than installing a small archive.
static SITE: Mutex<Option<Site>> = Mutex::new(None);

/// Installs bytes as an archive: unchanged, and once more with the checksums of the headers corrected. Only the tree
/// may change, and the installed tree must match its manifest.
///
/// # Panics
/// If a guarantee is violated.
pub fn archive(bytes: &[u8]) {
    let mut site = SITE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut used = site.take().unwrap_or_else(Site::new);
    used.install(bytes);
    if let Some(right) = with_checksums(bytes) {
        used.install(&right);
    }
    // A project whose use panicked is not reused.
    *site = (used.uses < USES_MAX).then_some(used);
}

impl Site {
    fn new() -> Self {
        let world = yard();
        let journal = world.open();
        journal.recover().expect("a project at rest");
        let free = ["project/build/tools", "project/build/.state"]
            .into_iter()
            .map(str::to_owned);
        let database = ["", "-wal", "-shm"].map(|end| format!("project/build/.state.db{end}"));
        let free: Vec<_> = free.chain(database).collect();
        let free: Vec<_> = free.iter().map(String::as_str).collect();
        let watch = Watch::over(&world.outside(), &free);
        Self {
            journal,
            watch,
            world,
            uses: 0,
        }
    }

    fn install(&mut self, bytes: &[u8]) {
        self.uses += 1;
        let source = TreeSource::stream(Cursor::new(bytes.to_vec()));
        let before = self.world.snapshot();
        let done = self
            .journal
            .install(TREE, source, TreeOptions::default())
            .map(drop);
        self.watch.assert_untouched("an archive was installed");
        match done {
            Ok(()) => {
                let found = self.journal.verify(TREE, true).expect("a verified tree");
                assert!(
                    found.is_empty(),
                    "what was installed is not there: {found:?}"
                );
            }
            Err(_) => {
                let now = self.world.snapshot();
                assert!(now.matches(&before), "{:?}", now.differences(&before));
            }
        }
        let left = self.world.left_in_staging();
        assert!(left.is_empty(), "left in staging: {left:?}");
    }
}

const BLOCK: usize = 512;

/// The archive with correct checksums in its presumed headers; `None` if they are correct.
#[must_use]
pub fn with_checksums(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut right = bytes.to_vec();
    let mut at = 0;
    while let Some(block) = right.get_mut(at..at + BLOCK) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        if block.iter().any(|byte| *byte != 0) {
            block.copy_from_slice(header.as_bytes());
        }
        let size = header.entry_size().unwrap_or(0);
        let blocks = usize::try_from(size.div_ceil(BLOCK as u64)).unwrap_or(usize::MAX);
        at = at.saturating_add(BLOCK.saturating_add(blocks.saturating_mul(BLOCK)));
        if at > right.len() {
            break;
        }
    }
    (right != bytes).then_some(right)
}
