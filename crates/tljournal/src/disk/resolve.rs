use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Lacks;

/// How often in a row opening an entry is retried because it was moved meanwhile.
const RACES_MAX: u32 = 10_000;

/// Opens `path` beneath `dir` without following symbolic links.
///
/// Where the kernel has no `openat2`, or a sandbox forbids it, the components are opened one by one.
pub(super) fn open_beneath(
    dir: impl AsFd,
    path: &str,
    flags: OFlags,
    mode: Mode,
    lacks: Lacks,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // A single name cannot leave the directory and needs only `openat`.
    if !path.contains('/') && !["", ".", ".."].contains(&path) {
        return rustix::fs::openat(&dir, path, flags, mode);
    }
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    if lacks.openat2 {
        return walk(&dir, path, flags, mode);
    }
    let climbs = path.starts_with('/') || path.split('/').any(|part| part == "..");
    let mut races = 0;
    loop {
        match rustix::fs::openat2(&dir, path, flags, mode, how) {
            // The kernel could not prove that a concurrent rename did not lead out of the directory: retry.
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The entry was moved elsewhere before the kernel checked its position.
            Err(Errno::XDEV) if !climbs && races < RACES_MAX => races += 1,
            Err(Errno::NOSYS | Errno::PERM) => return walk(&dir, path, flags, mode),
            opened => return opened,
        }
    }
}

fn walk(dir: impl AsFd, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut held: Option<OwnedFd> = None;
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        if part == ".." {
            return Err(Errno::XDEV);
        }
        let at = held.as_ref().map_or(dir.as_fd(), AsFd::as_fd);
        if parts.peek().is_none() {
            return rustix::fs::openat(at, part, flags, mode);
        }
        held = Some(rustix::fs::openat(at, part, step, Mode::empty())?);
    }
    Err(Errno::NOENT)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests create files directly")]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_exchanged_while_it_is_opened_is_opened() {
        use rustix::fs::{RenameFlags, renameat_with};
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/f"), "one").unwrap();
        std::fs::write(dir.path().join("g"), "two").unwrap();
        let top = std::fs::File::open(dir.path()).unwrap();
        let within = std::fs::File::open(dir.path().join("a")).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    renameat_with(&top, "g", &within, "f", RenameFlags::EXCHANGE).unwrap();
                }
            });
            let opened = (0..100_000)
                .map(|_| {
                    open_beneath(
                        &within,
                        "f",
                        OFlags::RDONLY,
                        Mode::empty(),
                        Lacks::default(),
                    )
                })
                .find_map(Result::err);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(opened, None);
        });
        let climbing = open_beneath(
            &within,
            "../g",
            OFlags::RDONLY,
            Mode::empty(),
            Lacks::default(),
        );
        assert_eq!(climbing.unwrap_err(), Errno::XDEV);
    }

    #[test]
    fn g8_the_walk_without_openat2_follows_no_link_and_does_not_climb() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/f"), "x").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("l")).unwrap();
        std::os::unix::fs::symlink("f", dir.path().join("a/b/g")).unwrap();
        let top = std::fs::File::open(dir.path()).unwrap();
        let open = |path| walk(&top, path, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty());
        assert!(open("a/b/f").is_ok());
        assert_eq!(open("l/b/f").unwrap_err(), Errno::NOTDIR);
        assert_eq!(open("a/b/g").unwrap_err(), Errno::LOOP);
        assert_eq!(open("a/../a/b/f").unwrap_err(), Errno::XDEV);
        assert_eq!(open("a/x/f").unwrap_err(), Errno::NOENT);
    }
}
