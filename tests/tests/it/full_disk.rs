//! A disk that is really full, from the k-th mutating call of a transaction on, on every filesystem that can be
//! mounted here. Existing content stays, a rollback needs no space, and the next run works when there is space again.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FallocateFlags, fallocate};
use tljournal::Error;
use tljournal::disk::Call;
use tljournal_testkit::{When, World, check_agreement, check_at_rest, explain};
use tljournal_tests::{Case, Hook, Mounted, case_named, counted, quiet};

/// The exhausted resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Space,
    Inodes,
}

/// More files than any of the filesystems supports.
const FILES_MAX: usize = 20_000;

/// Uses up the resource, in a directory that is removed afterwards.
fn fill(room: Room, at: &Utf8Path) {
    std::fs::create_dir_all(at).unwrap_or_default();
    match room {
        Room::Inodes => {
            for number in 0..FILES_MAX {
                if File::create(at.join(number.to_string())).is_err() {
                    return;
                }
            }
            panic!("there is no end to the inodes");
        }
        Room::Space => {
            // Large pieces first, then single bytes.
            let Ok(mut file) = File::create(at.join("filler")) else {
                return;
            };
            let (mut offset, mut bytes) = (0, 1_u64 << 30);
            while bytes >= 4096 {
                match fallocate(&file, FallocateFlags::empty(), offset, bytes) {
                    Ok(()) => offset += bytes,
                    Err(_) => bytes /= 2,
                }
            }
            for number in 0..FILES_MAX {
                let piece = [0x5a; 512];
                let small = File::create(at.join(number.to_string()));
                let small = small.and_then(|mut small| small.write_all(&piece));
                if file.write_all(&piece).and(small).is_err() {
                    return;
                }
            }
        }
    }
}

/// Fills the filesystem before one call; returns whether the transaction was refused, `None` if there is no such
/// call.
fn check(case: &Case, room: Room, base: &Utf8Path, at: u64) -> Option<bool> {
    let _quiet = quiet();
    let world = World::at(base.join(format!("project-{at}")));
    std::fs::create_dir(world.root()).unwrap();
    case.prepare(&world);
    let allowed = case.allowed(&world);
    let filler = base.join("filler");
    let (made, place) = (AtomicU64::new(0), filler.clone());
    let hook = move |when: When, _: &Call<'_>| {
        if when == When::Before && made.fetch_add(1, Ordering::AcqRel) + 1 == at {
            fill(room, &place);
        }
        Ok(())
    };
    let story = format!("{} on {base}, out of {room:?} at call {at}", case.name);
    let said = world
        .open_witnessed(&Arc::new(Hook(hook)))
        .and_then(|journal| {
            let said = case.run(&journal);
            let unfinished = matches!(said, Err(Error::Unfinished { .. }));
            if said.is_err() && !unfinished {
                let found = world.snapshot().differences(&allowed[0]);
                assert!(found.is_empty(), "G1, {story}: {found:#?}");
            }
            said
        });
    // The end of the run deletes the files of a rolled-back transaction; that needs no space either.
    if said.is_err() && !matches!(said, Err(Error::Unfinished { .. })) {
        let left = world.left_in_staging();
        assert!(
            left.is_empty(),
            "G11, {story}: it could not be rolled back: {left:?}"
        );
    }
    let was_filled = filler.exists();
    if was_filled {
        std::fs::remove_dir_all(&filler).unwrap();
    }
    let unfinished = matches!(said, Err(Error::Unfinished { .. }));
    let full = said
        .as_ref()
        .map_or_else(|error| explain(error), |()| "it is Ok".to_owned());
    assert!(
        said.is_ok() || full.contains("space") || full.contains("full"),
        "G10, {story}: {full}"
    );
    let journal = world.open();
    let found = world.snapshot();
    let all: Vec<_> = allowed.iter().map(|one| found.differences(one)).collect();
    assert!(all.iter().any(Vec::is_empty), "G1, {story}: {all:#?}");
    if said.is_ok() || unfinished {
        assert!(all.last().unwrap().is_empty(), "G2, {story}: {all:#?}");
    }
    let wrong = check_agreement(&world, &journal, &case.steps);
    assert!(wrong.is_empty(), "G9, {story}: {wrong:?}");
    journal.recover().unwrap();
    drop(journal);
    let wrong = check_at_rest(&world);
    assert!(wrong.is_empty(), "{story}: {wrong:?}");
    case.steps.try_commit(&world.open()).unwrap();
    std::fs::remove_dir_all(world.root()).unwrap();
    was_filled.then_some(said.is_err())
}

/// Fills the filesystem before every `stride`-th call.
fn full_everywhere(
    what: &str,
    room: Room,
    stride: usize,
    mounted: impl FnOnce(Utf8PathBuf) -> Option<Mounted>,
) {
    let outside = World::new();
    let base = outside.path("mounted");
    std::fs::create_dir(&base).unwrap();
    let Some(mounted) = mounted(base.clone()) else {
        return;
    };
    for name in ["several", "tree-replace"] {
        let case = case_named(name);
        let calls = (1..).step_by(stride);
        let said: Vec<_> = calls
            .map_while(|at| check(&case, room, &base, at))
            .collect();
        let (count, refused) = (said.len(), said.iter().filter(|refused| **refused).count());
        println!("{what}: {name} ran out of {room:?} at {count} calls, {refused} were refused");
        counted(count, "calls on a disk that was really full");
        assert!(count > 5 && refused > 0, "{what}: {refused} of {count}");
    }
    drop(mounted);
}

#[test]
fn g11_a_full_ext4() {
    let options = ["-b", "4096"];
    full_everywhere("ext4", Room::Space, 1, |at| {
        Mounted::image("ext4", &options, 24 << 20, at)
    });
}

/// SQLite's shared index had holes there, and a store into one killed the process.
#[test]
fn g11_a_full_ext4_with_blocks_of_1_kib() {
    let options = ["-b", "1024"];
    full_everywhere("ext4 with small blocks", Room::Space, 5, |at| {
        Mounted::image("ext4", &options, 24 << 20, at)
    });
}

#[test]
fn g11_an_ext4_without_inodes() {
    let options = ["-b", "4096", "-N", "512"];
    full_everywhere("ext4", Room::Inodes, 3, |at| {
        Mounted::image("ext4", &options, 24 << 20, at)
    });
}

#[test]
fn g11_a_full_xfs() {
    full_everywhere("xfs", Room::Space, 5, |at| {
        Mounted::image("xfs", &[], 320 << 20, at)
    });
}

#[test]
fn g11_a_full_btrfs() {
    full_everywhere("btrfs", Room::Space, 5, |at| {
        Mounted::image("btrfs", &[], 128 << 20, at)
    });
}

#[test]
fn g11_a_full_tmpfs() {
    full_everywhere("tmpfs", Room::Space, 1, |at| {
        Mounted::tmpfs_with(at, c"size=12m")
    });
}

#[test]
fn g11_a_tmpfs_without_inodes() {
    full_everywhere("tmpfs", Room::Inodes, 1, |at| {
        Mounted::tmpfs_with(at, c"nr_inodes=600")
    });
}
