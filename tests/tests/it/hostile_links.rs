//! Links planted in place of everything the engine is about to use, at every call (G8): their targets are never
//! touched, not even temporarily.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tljournal::Stat;
use tljournal::disk::{Call, Witness};
use tljournal_testkit::{When, World};
use tljournal_tests::hostile::Watch;
use tljournal_tests::{Case, End, Hook, all_cases, at_every, case_named, counted};

/// The places that are replaced by a link: `*` is the directory of the transaction.
const PLACES: [&str; 22] = [
    "build/.state",
    "build/.state/txn",
    "build/.state/txn/*",
    "build/.state/txn/*/0",
    "build/.state/txn/*/0/bin",
    "build/.state/txn/*/3",
    "build/.state/txn/*/4/only",
    "build/.state/lock",
    "build/.state/lock/commit",
    "build/.state/lock/db",
    "build/.state/lock/runs",
    "build/.state/aside",
    "build/.state/reserve",
    "build/dir",
    "build/tools",
    "build/tools/bin",
    "build/old.txt",
    "build/deep",
    "Project.lock",
    "docs",
    // The caller chooses these two paths, so they are replaced after the opening.
    HOME,
    ROOT,
];
const HOME: &str = "build";
const ROOT: &str = ".";

/// The target of all links, where every access is detected. It has the names of a project at every level, so that a
/// followed link finds what it expects.
struct Sentinel {
    path: Utf8PathBuf,
    watch: Watch,
    _world: World,
}

impl Sentinel {
    fn new() -> Self {
        let world = World::new();
        let path = world.outside().join("sentinel");
        let dirs = [
            "", "txn", "lock", "aside", "tools", "bin", "dir", "index", "sealed",
        ];
        let files = [
            "0",
            "3",
            "4",
            "commit",
            "db",
            "runs",
            "old.txt",
            "run",
            "long",
            "only",
            "bystander",
            "reserve",
            "file",
            "page",
            ".state.db",
            "Project.lock",
        ];
        for dir in dirs {
            fs::create_dir_all(path.join(dir)).unwrap();
            for file in files {
                fs::write(path.join(dir).join(file), "not yours").unwrap();
            }
        }
        fs::create_dir(path.join("tools/bin")).unwrap();
        fs::create_dir(path.join(".state")).unwrap();
        Self {
            watch: Watch::over(&path, &[]),
            path,
            _world: world,
        }
    }
}

/// Puts a link to the sentinel in a place.
fn swap(root: &Utf8Path, place: &str, sentinel: &Utf8Path, moved: &Utf8Path) {
    let mut path = root.join(place);
    if let Some((before, after)) = place.split_once('*') {
        let dirs = fs::read_dir(root.join(before)).into_iter().flatten();
        let newest = dirs.flatten().map(|dir| dir.file_name()).max();
        let Some(newest) = newest else { return };
        path = Utf8PathBuf::from(format!("{}{}{after}", root.join(before), newest.display()));
    }
    if place == ROOT {
        path = root.to_owned();
    }
    let target = match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_file() => sentinel.join("commit"),
        _ => sentinel.to_owned(),
    };
    let _ = fs::rename(&path, moved);
    let _ = symlink(target, &path);
}

/// Runs a case with a place replaced before its k-th call; returns whether there was such a call.
fn run(sentinel: &Sentinel, case: &Case, place: &'static str, k: u64) -> bool {
    let world = World::new();
    case.prepare(&world);
    let vouched = [HOME, ROOT].contains(&place);
    let (count, is_open) = (AtomicU64::new(0), Arc::new(AtomicBool::new(!vouched)));
    let (root, is_open_there) = (world.root().to_owned(), is_open.clone());
    let done = Arc::new(AtomicBool::new(false));
    let is_done = done.clone();
    let (to, moved) = (sentinel.path.clone(), world.outside().join("moved"));
    let hook = Arc::new(Hook(move |when, _: &Call<'_>| {
        let counts = when == When::Before && is_open_there.load(Ordering::Acquire);
        if counts && count.fetch_add(1, Ordering::AcqRel) + 1 == k {
            swap(&root, place, &to, &moved);
            is_done.store(true, Ordering::Release);
        }
        Ok::<(), io::Error>(())
    }));
    let opened = world.open_witnessed(&hook);
    is_open.store(true, Ordering::Release);
    if let Ok(journal) = opened {
        if let Ok(prepared) = case.steps.prepare(&journal) {
            let _ = match case.end {
                End::RollBack => prepared.rollback(),
                End::Commit | End::Conflict => prepared.commit().map(drop),
            };
        }
        drop(journal);
    }
    sentinel
        .watch
        .assert_untouched(&format!("{}: {place} at {k}", case.name));
    if !vouched {
        if let Ok(journal) = world.try_open() {
            let _ = journal.recover();
            let _ = case.steps.try_commit(&journal);
        }
        let _ = world.options().inspect();
        sentinel
            .watch
            .assert_untouched(&format!("after {}: {place} at {k}", case.name));
    }
    done.load(Ordering::Acquire)
}

#[test]
fn g8_no_link_is_followed_in_any_transaction() {
    let sentinel = Sentinel::new();
    for (at, case) in all_cases().iter().enumerate() {
        let place = |k: u64| PLACES[(k as usize * 7 + at) % PLACES.len()];
        let count = at_every(1.., |k| run(&sentinel, case, place(k), k));
        counted(count, "links swapped in");
    }
}

#[test]
fn g8_no_link_is_followed_wherever_it_is_while_several_things_change() {
    let (sentinel, case) = (Sentinel::new(), case_named("several"));
    for (at, place) in PLACES.into_iter().enumerate() {
        // Not every call with every place: a test of its own tries all calls.
        let calls = (1 + at as u64 % SPARING..).step_by(SPARING as usize);
        assert!(
            at_every(calls, |k| run(&sentinel, &case, place, k)) > 0,
            "{place}"
        );
    }
}

/// One in this many calls is tried with each place.
const SPARING: u64 = 5;

/// The link was checked by its path, and the home was then opened by its path again.
#[test]
fn g13_a_home_that_is_exchanged_for_a_link_at_every_look_leads_root_nowhere() {
    const USER: u32 = 54_321;
    struct Exchanging(Utf8PathBuf);
    impl Witness for Exchanging {
        fn before(&self, _: &Call<'_>) -> io::Result<()> {
            Ok(())
        }

        fn found(&self, _: &mut Stat) {
            exchange(&self.0);
        }
    }
    fn exchange(root: &Utf8Path) {
        let (home, link) = (root.join("build"), root.join("link"));
        let flags = RenameFlags::EXCHANGE;
        renameat_with(CWD, home.as_str(), CWD, link.as_str(), flags).unwrap();
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root opens what belongs to another user");
        return;
    }
    for is_link_first in [false, true] {
        let (world, outside) = (World::new(), tempfile::tempdir().unwrap());
        fs::create_dir_all(world.path("build")).unwrap();
        symlink(outside.path(), world.path("link")).unwrap();
        for path in [world.outside(), world.path(""), world.path("build")] {
            chown(&path, Some(USER), Some(USER)).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        lchown(world.path("link"), Some(USER), Some(USER)).unwrap();
        if is_link_first {
            exchange(world.root());
        }
        let exchanging = Arc::new(Exchanging(world.root().to_owned()));
        drop(world.open_witnessed(&exchanging));
        let found = fs::read_dir(outside.path()).unwrap().count();
        assert_eq!(found, 0, "{is_link_first}");
    }
}
