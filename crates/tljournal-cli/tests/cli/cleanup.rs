//! G12: leftovers that cannot be deleted never block other commands. Every obstacle, in every place, for its owner
//! and for root; then every kind of command.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::obstacles::{OBSTACLES, Obstacle, Place, USER, is_root};

/// The id of no transaction.
const ORPHAN: &str = "01a22c6c-0ddc-74c9-b8da-2b21d0566229";

/// Runs `check` for each obstacle and user.
fn every(check: impl Fn(Obstacle, u32)) {
    if !is_root() {
        return;
    }
    for uid in [USER, 0] {
        for obstacle in OBSTACLES {
            check(obstacle, uid);
        }
    }
}

/// Runs the command from the finding, which must delete the leftover completely.
fn clear_by_hand(place: &Place, obstacle: Obstacle, story: &str) {
    let found = place.findings("left-behind");
    assert_eq!(
        found.len(),
        usize::from(obstacle.stops(place.uid)),
        "{story}: {found:?}"
    );
    let Some(finding) = found.first() else {
        return;
    };
    let path = finding["path"].as_str().unwrap();
    assert!(path.starts_with("build/.state/"), "{story}: {finding}");
    assert_eq!(place.events(), 1, "{story}: not reported exactly once");
    let advice = finding["advice"].as_str().unwrap();
    assert!(advice.contains(obstacle.words()), "{story}: {advice}");
    let command = advice.trim_matches('`').replace("sudo ", "");
    let ran = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(ran.status.success(), "{story}: {command}: {ran:?}");
    place.works(&["gc"]);
    assert_eq!(place.findings("left-behind").len(), 0, "{story}");
}

#[test]
fn g12_an_obstacle_in_removed_content_blocks_nothing() {
    every(|obstacle, uid| {
        let (place, story) = (Place::of(uid), format!("{obstacle:?} removed by {uid}"));
        place.write("build/x/f", "own");
        if !obstacle.plant(&place.at("build/x"), uid) {
            return;
        }
        if obstacle.is_refused_before() {
            place.is_refused(&["rm", "build/x"]);
            return place.all_work(&story);
        }
        place.works(&["rm", "build/x"]);
        place.all_work(&story);
        clear_by_hand(&place, obstacle, &story);
        place.works(&["gc", "--keep-count", "0"]);
        let left = fs::read_dir(place.at("build/.state/txn")).unwrap().count();
        assert_eq!(left, 0, "{story}");
    });
}

#[test]
fn g12_an_obstacle_in_replaced_content_blocks_nothing() {
    every(|obstacle, uid| {
        let (place, story) = (Place::of(uid), format!("{obstacle:?} replaced by {uid}"));
        place.write("new/f", "1");
        place.works(&["tree", "install", "build/x", "--from", "new"]);
        if !obstacle.plant(&place.at("build/x"), uid) {
            return;
        }
        place.write("new/f", "2");
        if obstacle.is_refused_before() {
            place.is_refused(&["tree", "install", "build/x", "--from", "new"]);
            for args in [&["put", "build/other"][..], &["recover"], &["gc"]] {
                place.works(args);
            }
            return;
        }
        place.works(&["tree", "install", "build/x", "--from", "new"]);
        assert_eq!(place.project.text("build/x/f"), "2", "{story}");
        place.all_work(&story);
        // An addition to a tree is set aside, whatever it is.
        assert_eq!(place.findings("aside").len(), 1, "{story}");
    });
}

#[test]
fn g12_an_obstacle_in_an_orphan_blocks_nothing() {
    every(|obstacle, uid| {
        let (place, story) = (
            Place::of(uid),
            format!("{obstacle:?} in an orphan of {uid}"),
        );
        let orphan = place.make_dir(&format!("build/.state/txn/{ORPHAN}"));
        if !obstacle.plant(&orphan, uid) {
            return;
        }
        place.all_work(&story);
        clear_by_hand(&place, obstacle, &story);
        assert!(!orphan.exists(), "{story}");
    });
}

#[test]
fn g12_an_obstacle_in_quarantine_does_not_displace_new_items() {
    every(|obstacle, uid| {
        let (place, story) = (
            Place::of(uid),
            format!("{obstacle:?} in old evidence of {uid}"),
        );
        let oldest = place.make_dir("build/.state/aside/01000000-old");
        if !obstacle.plant(&oldest, uid) {
            return;
        }
        for n in 0..64 {
            place.write(&format!("build/.state/aside/01a22c6c-{n}/f"), "evidence");
        }
        place.write("source/f", "0");
        place.works(&["put", "build/a", "--from", "source/f"]);
        for edit in ["first", "second", "third"] {
            place.write("build/a", edit);
            place.write("source/f", &format!("after the {edit}"));
            place.works(&["put", "build/a", "--from", "source/f"]);
        }
        place.all_work(&story);
        for edit in ["first", "second", "third"] {
            let found = Command::new("grep")
                .args(["-rlx", edit])
                .arg(place.at("build/.state/aside"))
                .output();
            assert!(
                !found.unwrap().stdout.is_empty(),
                "{story}: the {edit} edit is gone"
            );
        }
        clear_by_hand(&place, obstacle, &story);
        assert!(!oldest.exists(), "{story}");
    });
}

/// Root's cleanup had the rights of the home's owner, and the finding named a command that the owner could not run.
#[test]
fn g12_the_command_that_a_finding_names_is_for_the_user_who_reads_it() {
    if !is_root() {
        return;
    }
    let place = Place::of(USER);
    place.write("build/d/id_rsa", "-----BEGIN PRIVATE KEY-----");
    let of_root = place.at("build/d/r");
    fs::create_dir(&of_root).unwrap();
    fs::write(of_root.join("f"), "x").unwrap();
    fs::set_permissions(&of_root, fs::Permissions::from_mode(0o700)).unwrap();
    place.works(&["rm", "build/d"]);
    place.project.ok(&["recover"]);
    for (is_root, done) in [
        (false, place.run(&["fsck", "--json"])),
        (true, place.project.run(&["fsck", "--json"])),
    ] {
        let findings = done.json()["findings"].clone();
        let advice = findings[0]["advice"].as_str().unwrap();
        assert_eq!(findings[0]["code"], "left-behind", "{findings}");
        assert!(advice.contains("rm -rf"), "{advice}");
        assert_eq!(advice.contains("sudo"), !is_root, "{advice}");
    }
}

/// Objects of every kind, in the place and with the name of a valid entry, or with another name.
fn strays(dir: &Path, name: &[u8], uid: u32) -> Vec<PathBuf> {
    let kinds = [
        "file",
        "link",
        "fifo",
        "socket",
        "device",
        "directory",
        "closed",
    ];
    let mut made = Vec::new();
    for (n, kind) in kinds.into_iter().enumerate() {
        let name: Vec<u8> = match name {
            // The last digit makes them unique.
            id if id == ORPHAN.as_bytes() => [&id[..35], n.to_string().as_bytes()].concat(),
            name => [name, kind.as_bytes()].concat(),
        };
        let at = dir.join(OsStr::from_bytes(&name));
        let run = |program: &str, args: &[&str]| {
            let ran = Command::new(program).arg(&at).args(args).status();
            assert!(ran.unwrap().success());
        };
        match kind {
            "file" => fs::write(&at, "stray").unwrap(),
            "link" => symlink("/etc", &at).unwrap(),
            "fifo" => run("mkfifo", &[]),
            "socket" => drop(UnixListener::bind(&at).unwrap()),
            "device" => run("mknod", &["c", "1", "3"]),
            _ => fs::create_dir(&at).unwrap(),
        }
        std::os::unix::fs::lchown(&at, Some(uid), Some(uid)).unwrap();
        if kind == "closed" {
            fs::set_permissions(&at, fs::Permissions::from_mode(0o000)).unwrap();
        }
        made.push(at);
    }
    made
}

#[test]
fn g12_strays_of_every_kind_among_the_journals_own_files_block_nothing() {
    if !is_root() {
        return;
    }
    for uid in [USER, 0] {
        for dir in ["txn", "aside", "log", "lock", "lock/name", ""] {
            for name in [ORPHAN.as_bytes(), b"stray-", b"n\xff-"] {
                let place = Place::of(uid);
                place.works(&["exec", "--lock", "a", "--log", "--", "true"]);
                let own = place.at("build/.state").join(dir);
                strays(&own, name, uid);
                let story = format!("strays {name:?} in {dir:?} of {uid}");
                place.all_work(&story);
                let code = if dir == "txn" {
                    "staging-stray"
                } else {
                    "state-stray"
                };
                let left = place.findings(code);
                assert!(left.is_empty(), "{story}: {left:?}");
            }
        }
    }
}
